//! Open Enclave wrappers, sound and broken.

use super::{Book, NOW};
use crate::intel::{Ca, Forge};
use crate::open_enclave::{self, LEGACY_REPORT, RAW_QUOTE, SGX_ECDSA};
use crate::vector::Vector;

pub(super) fn write(book: &mut Book) {
    let minted = Forge::new(Ca::Platform, NOW).mint();
    let quote = &minted.quote;
    let mut add = |name: &str, expect: &str, comment: &str, report: Vec<u8>| {
        let vector = Vector::new(expect, comment, NOW, &minted).without("SGX QUOTE");
        let vector = vector.with("OPEN ENCLAVE REPORT", report);
        let vector = if expect.starts_with("Parse") { vector.quote_alone() } else { vector };
        book.add(&format!("oe/{name}"), vector);
    };
    let length = u64::try_from(quote.len()).expect("short");
    add("report", "genuine UpToDate", "a legacy report header", open_enclave::report(quote));
    add(
        "report_local",
        "Parse.LocalReport",
        "a local report",
        open_enclave::report_with(1, 1, length, quote),
    );
    add(
        "report_type_3",
        "Parse.LocalReport",
        "a report type nobody knows",
        open_enclave::report_with(1, 3, length, quote),
    );
    add(
        "report_version_0",
        "Parse.UnsupportedVersion",
        "header version 0",
        open_enclave::report_with(0, 2, length, quote),
    );
    add(
        "report_version_4",
        "Parse.UnsupportedVersion",
        "header version 4",
        open_enclave::report_with(4, 2, length, quote),
    );
    add(
        "report_size_larger",
        "Parse.Shape.Truncated",
        "one byte more announced",
        open_enclave::report_with(1, 2, length + 1, quote),
    );
    add(
        "report_size_smaller",
        "Parse.Shape.Truncated",
        "one byte less announced",
        open_enclave::report_with(1, 2, length - 1, quote),
    );
    add(
        "report_size_maximum",
        "Parse.Shape.Truncated",
        "2^64-1 bytes announced",
        open_enclave::report_with(1, 2, u64::MAX, quote),
    );
    add(
        "report_header_truncated",
        "Parse.Shape.Truncated",
        "15 of the header's 16 bytes",
        open_enclave::report(quote)[..15].to_vec(),
    );
    add("report_empty", "Parse.Shape.Truncated", "no bytes", Vec::new());
    add("bare_quote", "Parse.UnsupportedVersion", "a quote without its wrapper", quote.clone());
    add(
        "evidence_raw_quote",
        "genuine UpToDate",
        "evidence header with the raw-quote format",
        open_enclave::evidence(3, RAW_QUOTE, quote),
    );
    add(
        "evidence_unknown_format",
        "Parse.UnknownFormat",
        "a format id nobody knows",
        open_enclave::evidence(3, [9; 16], quote),
    );
    let legacy = open_enclave::report(quote);
    add(
        "evidence_legacy_report",
        "genuine UpToDate",
        "a legacy report inside an evidence header",
        open_enclave::evidence(3, LEGACY_REPORT, &legacy),
    );
    add(
        "evidence_size_larger",
        "Parse.Shape.Truncated",
        "one byte more announced than there is",
        open_enclave::evidence_with(3, SGX_ECDSA, length + 1, quote),
    );
    claims(book);
}

/// Evidence of format SGX ECDSA: the quote's report data are the hash of the custom claims after it.
fn claims(book: &mut Book) {
    let claims = b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let mut forge = Forge::new(Ca::Platform, NOW);
    forge.quote.body.report_data[..32].copy_from_slice(&crypto::sha256(&claims));
    let minted = forge.mint();
    let mut add = |name: &str, expect: &str, comment: &str, claims: &[u8]| {
        let data = [&minted.quote[..], claims].concat();
        let report = open_enclave::evidence(3, SGX_ECDSA, &data);
        let vector = Vector::new(expect, comment, NOW, &minted).without("SGX QUOTE");
        book.add(&format!("oe/{name}"), vector.with("OPEN ENCLAVE REPORT", report));
    };
    add("evidence", "genuine UpToDate", "evidence header, quote and custom claims", &claims);
    let mut other = claims.clone();
    other[0] ^= 2;
    add(
        "evidence_other_claims",
        "Parse.TrailingBytes",
        "custom claims other than those in the report data",
        &other,
    );
    add(
        "evidence_zeros_after_quote",
        "genuine UpToDate",
        "zeros that are no custom claims are padding",
        &[0; 16],
    );
}
