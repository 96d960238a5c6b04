//! Quotes whose bytes do not have the shape.

use super::{Book, CERTIFICATION, patch};
use crate::intel::{Certification, Forge};

pub(super) fn write(book: &mut Book) {
    book.quote_only("sgx/empty", "Parse.Shape.Truncated", "no bytes at all", Vec::clear);
    book.quote_only("sgx/truncated_header", "Parse.Shape.Truncated", "47 of the header's 48 bytes", |q| {
        q.truncate(47)
    });
    book.quote_only("sgx/truncated_body", "Parse.Shape.Truncated", "the report body ends early", |q| {
        q.truncate(431)
    });
    book.quote_only(
        "sgx/truncated_authentication",
        "Parse.Shape.Truncated",
        "the last byte is missing",
        |q| {
            q.pop();
        },
    );
    for (name, version) in [("version_0", 0_u16), ("version_2", 2), ("version_4", 4), ("version_5", 5)] {
        book.quote_only(
            &format!("sgx/{name}"),
            "Parse.UnsupportedVersion",
            &format!("quote version {version}"),
            |q| {
                patch(q, 0, &version.to_le_bytes());
            },
        );
    }
    book.quote_only(
        "sgx/key_type_p384",
        "Parse.UnsupportedAttestationKey",
        "attestation key type 3, ECDSA P-384",
        |q| {
            patch(q, 2, &[3, 0]);
        },
    );
    book.quote_only(
        "sgx/tee_type_tdx",
        "Parse.UnsupportedTee",
        "TEE type of TDX in a quote of version 3",
        |q| {
            patch(q, 4, &[0x81, 0, 0, 0]);
        },
    );
    book.quote_only(
        "sgx/authentication_longer_than_said",
        "Parse.Shape.Truncated",
        "the authentication data say one byte less",
        |q| {
            let length = u32::from_le_bytes([q[432], q[433], q[434], q[435]]) - 1;
            patch(q, 432, &length.to_le_bytes());
        },
    );
    book.quote_only(
        "sgx/authentication_length_maximum",
        "Parse.Shape.Truncated",
        "authentication data of 4 GiB announced",
        |q| {
            patch(q, 432, &[0xff; 4]);
        },
    );
    book.quote_only(
        "sgx/qe_authentication_length_lies",
        "Parse.Shape.Truncated",
        "QE authentication data of 65535 bytes announced",
        |q| {
            patch(q, CERTIFICATION - 34, &[0xff, 0xff]);
        },
    );
    book.quote_only(
        "sgx/certification_length_lies",
        "Parse.Shape.Truncated",
        "certification data one byte shorter than announced",
        |q| {
            let at = CERTIFICATION + 2;
            let length = u32::from_le_bytes([q[at], q[at + 1], q[at + 2], q[at + 3]]) + 1;
            patch(q, at, &length.to_le_bytes());
        },
    );
    book.quote_only(
        "sgx/certification_type_0",
        "Parse.UnknownCertificationType",
        "certification data type 0",
        |q| {
            patch(q, CERTIFICATION, &[0, 0]);
        },
    );
    book.quote_only(
        "sgx/certification_type_8",
        "Parse.UnknownCertificationType",
        "certification data type 8",
        |q| {
            patch(q, CERTIFICATION, &[8, 0]);
        },
    );
    certification_types(book);
    wrapped(book);
    after_the_quote(book);
}

/// Types 1 to 4 and 7 parse and are refused by name; 6 does not belong into version 3.
fn certification_types(book: &mut Book) {
    for (kind, data, what) in [
        (1, 36, "PPID in plain text"),
        (2, 276, "PPID encrypted with RSA-2048"),
        (3, 404, "PPID encrypted with RSA-3072"),
        (7, 64, "platform manifest"),
    ] {
        other(
            book,
            "Verify.CertificationType",
            kind,
            vec![0; data],
            &format!("certification data type {kind}, {what}"),
        );
    }
    other(
        book,
        "Verify.CertificationType",
        4,
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".to_vec(),
        "type 4, the PCK leaf alone",
    );
    other(
        book,
        "Parse.UnknownCertificationType",
        6,
        vec![0; 600],
        "type 6, which wraps the QE report in version 4 and 5",
    );
    book.forge(
        "sgx/certification_type_1_short",
        "Parse.Shape.Truncated",
        "certification data type 1 of 35 bytes",
        |forge: &mut Forge| forge.quote.certification = Certification::Other { kind: 1, data: vec![0; 35] },
    );
}

fn other(book: &mut Book, expect: &str, kind: u16, data: Vec<u8>, comment: &str) {
    book.forge(&format!("sgx/certification_type_{kind}"), expect, comment, |forge| {
        forge.quote.certification = Certification::Other { kind, data };
    });
}

/// Type 6 around type 5, which version 4 and 5 have and version 3 may have.
fn wrapped(book: &mut Book) {
    book.forge(
        "sgx/wrapped",
        "genuine UpToDate",
        "the QE report repeated in certification data type 6",
        |forge| {
            forge.quote.certification = Certification::Wrapped { inner: 5 };
        },
    );
    book.forge("sgx/wrapped_twice", "Parse.UnknownCertificationType", "type 6 inside type 6", |forge| {
        forge.quote.certification = Certification::Wrapped { inner: 6 };
    });
    book.quote_only(
        "sgx/wrapped_other_report",
        "Parse.WrappedQeReport",
        "type 6 with another QE report",
        |quote| {
            let mut forge = Forge::new(crate::intel::Ca::Platform, super::NOW);
            forge.quote.certification = Certification::Wrapped { inner: 5 };
            *quote = forge.mint().quote;
            quote[CERTIFICATION + 6] ^= 1;
        },
    );
}

fn after_the_quote(book: &mut Book) {
    book.quote_only("sgx/trailing_text", "Parse.TrailingBytes", "text after the quote", |quote| {
        quote.extend_from_slice(b"and more");
    });
    book.quote_only(
        "sgx/trailing_byte_after_padding",
        "Parse.TrailingBytes",
        "a byte after zero padding",
        |quote| {
            quote.extend_from_slice(&[0; 100]);
            quote.push(1);
        },
    );
    book.quote_only("sgx/oversized", "Parse.TooLong", "a quote with 60 KiB of padding", |_| {});
    let oversized = book.0.last_mut().expect("just added");
    oversized.vector.grow = Some((64 * 1024 + 1, "SGX QUOTE".to_owned()));
    book.quote_only(
        "sgx/authentication_shorter_than_said",
        "Parse.Shape.Trailing",
        "a byte between the certification data and the end",
        |quote| {
            let length = u32::from_le_bytes([quote[432], quote[433], quote[434], quote[435]]) + 1;
            patch(quote, 432, &length.to_le_bytes());
            quote.push(0);
        },
    );
}
