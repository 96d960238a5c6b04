//! Endorsements that are not Intel's, not current, or not for SGX.

use time::Duration;

use super::{Book, NOW};
use crate::intel::{Ca, Minted, TcbLevel, stranger};
use crate::vector::Vector;
use crate::x509::{self, Extension, Name, put, take};

const SECOND: Duration = Duration::SECOND;

pub(super) fn write(book: &mut Book) {
    windows(book);
    tcb_info(book);
    qe_identity(book);
    signing_chain(book);
    revocation_lists(book);
    oversized(book);
}

fn windows(book: &mut Book) {
    book.forge(
        "dcap/tcb_info_expired",
        "Endorsement.Validity",
        "the TCB info's next update was due a second ago",
        |f| {
            f.tcb_info.next_update = NOW - SECOND;
        },
    );
    book.forge(
        "dcap/tcb_info_not_yet_issued",
        "Endorsement.Validity",
        "the TCB info is issued in the next second",
        |f| {
            f.tcb_info.issue_date = NOW + SECOND;
        },
    );
    book.forge(
        "dcap/qe_identity_expired",
        "Endorsement.Validity",
        "the QE identity's next update was due a second ago",
        |f| {
            f.qe_identity.next_update = NOW - SECOND;
        },
    );
    book.forge(
        "dcap/qe_identity_not_yet_issued",
        "Endorsement.Validity",
        "the QE identity is issued in the next second",
        |f| {
            f.qe_identity.issue_date = NOW + SECOND;
        },
    );
    book.forge(
        "dcap/root_crl_expired",
        "Endorsement.Validity",
        "the root's list was due a second ago",
        |f| {
            f.root_crl.next_update = Some(NOW - SECOND);
        },
    );
    book.forge("dcap/pck_crl_expired", "Endorsement.Validity", "the PCK list was due a second ago", |f| {
        f.pck_crl.next_update = Some(NOW - SECOND);
    });
    book.forge(
        "dcap/pck_crl_not_yet_issued",
        "Endorsement.Validity",
        "the PCK list is issued in the next second",
        |f| {
            f.pck_crl.this_update = NOW + SECOND;
        },
    );
    book.forge(
        "dcap/tcb_signing_expired",
        "Endorsement.Validity",
        "the TCB signing certificate expired a second ago",
        |f| {
            f.chain.tcb_signing.not_after = NOW - SECOND;
        },
    );
}

fn tcb_info(book: &mut Book) {
    let mut edit = |name: &str, expect: &str, comment: &str, from: &str, to: &str| {
        book.forge(&format!("dcap/tcb_info_{name}"), &format!("Endorsement.{expect}"), comment, |f| {
            f.tcb_info.edits = vec![(from.to_owned(), to.to_owned())];
        });
    };
    edit("version_4", "Document.Version", "a version nobody knows", r#""version":3"#, r#""version":4"#);
    edit("version_text", "Document.Json", "the version is text", r#""version":3"#, r#""version":"3""#);
    edit("type_1", "Document.Member", "a type nobody knows", r#""tcbType":0"#, r#""tcbType":1"#);
    edit("id_tdx", "Document.Member", "TCB info of TDX", r#""id":"SGX""#, r#""id":"TDX""#);
    edit("id_unknown", "Document.Member", "TCB info of an unknown TEE", r#""id":"SGX""#, r#""id":"XGS""#);
    edit(
        "tdx_module",
        "Document.Member",
        "TCB info of SGX with a TDX module",
        r#""tcbType":0"#,
        concat!(
            r#""tcbType":0,"tdxModule":{"mrsigner":""#,
            "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
            r#"","attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF"}"#,
        ),
    );
    edit(
        "duplicate_key",
        "Document.Json",
        "the FMSPC twice",
        r#""fmspc":"#,
        r#""fmspc":"00906ed50000","fmspc":"#,
    );
    edit("fmspc_short", "Document.Json", "an FMSPC of five bytes", r#""fmspc":"00"#, r#""fmspc":""#);
    edit(
        "fmspc_not_hex",
        "Document.Json",
        "an FMSPC that is not hexadecimal",
        r#""fmspc":"00"#,
        r#""fmspc":"zz"#,
    );
    edit(
        "date_unreadable",
        "Document.Json",
        "an issue date that is none",
        r#""issueDate":"2025"#,
        r#""issueDate":"yesterday"#,
    );
    edit(
        "status_unknown",
        "Document.Json",
        "a status nobody knows",
        r#""tcbStatus":"UpToDate""#,
        r#""tcbStatus":"Fine""#,
    );
    edit(
        "component_256",
        "Document.Json",
        "a component security version of 256",
        r#"{"svn":12}"#,
        r#"{"svn":256}"#,
    );
    edit("component_missing", "Document.Json", "fifteen components", r#"{"svn":12},"#, "");
    edit(
        "component_fraction",
        "Document.Json",
        "a component security version of 1.5",
        r#"{"svn":12}"#,
        r#"{"svn":1.5}"#,
    );
    edit("pcesvn_missing", "Document.Json", "a level without PCESVN", r#","pcesvn":13"#, "");
    edit(
        "evaluation_number_missing",
        "Document.Json",
        "no evaluation data number",
        r#""tcbEvaluationDataNumber":18,"#,
        "",
    );
    book.forge("dcap/tcb_info_no_levels", "Endorsement.Document.Member", "no TCB level", |f| {
        f.tcb_info.levels = Vec::new()
    });
    book.forge(
        "dcap/tcb_info_level_twice",
        "Endorsement.Document.DuplicateLevel",
        "two levels with the same security versions",
        |f| {
            let again = TcbLevel { status: "OutOfDate".to_owned(), ..f.tcb_info.levels[0].clone() };
            f.tcb_info.levels.push(again);
        },
    );
    book.forge("dcap/tcb_info_deep", "Endorsement.Document.Json", "nested a thousand levels deep", |f| {
        let deep = format!(r#""x":{}{},"fmspc""#, "[".repeat(1000), "]".repeat(1000));
        f.tcb_info.edits = vec![(r#""fmspc""#.to_owned(), deep)];
    });
    book.forge(
        "dcap/tcb_info_signed_by_stranger",
        "Endorsement.Document.Signature",
        "not signed by the TCB signing key",
        |f| {
            f.tcb_info.signer = stranger();
        },
    );
    book.forge(
        "dcap/tcb_info_signed_by_root",
        "Endorsement.Document.Signature",
        "signed by the root itself",
        |f| {
            f.tcb_info.signer = f.chain.root.key.clone();
        },
    );
    document(book, "tcb_info", |m| &mut m.tcb_info);
}

fn qe_identity(book: &mut Book) {
    let mut edit = |name: &str, expect: &str, comment: &str, from: &str, to: &str| {
        book.forge(&format!("dcap/qe_identity_{name}"), &format!("Endorsement.{expect}"), comment, |f| {
            f.qe_identity.edits = vec![(from.to_owned(), to.to_owned())];
        });
    };
    edit("version_1", "Document.Version", "a version no longer used", r#""version":2"#, r#""version":1"#);
    edit("id_td_qe", "Tee", "identity of the TD quoting enclave", r#""id":"QE""#, r#""id":"TD_QE""#);
    edit(
        "id_qve",
        "Document.Member",
        "identity of the quote verification enclave",
        r#""id":"QE""#,
        r#""id":"QVE""#,
    );
    edit(
        "duplicate_key",
        "Document.Json",
        "the product id twice",
        r#""isvprodid":1"#,
        r#""isvprodid":1,"isvprodid":2"#,
    );
    edit(
        "mask_short",
        "Document.Json",
        "a mask of three bytes",
        r#""miscselectMask":"FF"#,
        r#""miscselectMask":""#,
    );
    edit("mrsigner_missing", "Document.Json", "no signer", r#""mrsigner":"#, r#""mrsignerr":"#);
    edit(
        "status_configuration_needed",
        "Document.Member",
        "a status that enclaves cannot have",
        r#""tcbStatus":"UpToDate""#,
        r#""tcbStatus":"ConfigurationNeeded""#,
    );
    edit("svn_65536", "Document.Json", "a security version of 65536", r#""isvsvn":8"#, r#""isvsvn":65536"#);
    book.forge("dcap/qe_identity_no_levels", "Endorsement.Document.Member", "no level", |f| {
        f.qe_identity.levels = Vec::new()
    });
    book.forge(
        "dcap/qe_identity_signed_by_stranger",
        "Endorsement.Document.Signature",
        "not signed by the TCB signing key",
        |f| {
            f.qe_identity.signer = stranger();
        },
    );
    document(book, "qe_identity", |m| &mut m.qe_identity);
}

/// What can be wrong with the envelope of a signed document.
fn document(book: &mut Book, item: &str, field: fn(&mut Minted) -> &mut Vec<u8>) {
    let mut bytes = |name: &str, expect: &str, comment: &str, change: fn(&mut String)| {
        book.bytes(
            &format!("dcap/{item}_{name}"),
            &format!("Endorsement.Document.{expect}"),
            comment,
            |minted| {
                let mut text = String::from_utf8(field(minted).clone()).expect("JSON is text");
                change(&mut text);
                *field(minted) = text.into_bytes();
            },
        );
    };
    bytes("empty", "Envelope", "no bytes", String::clear);
    bytes("not_json", "Envelope", "not JSON", |t| *t = "<html>503</html>".to_owned());
    bytes("truncated", "Envelope", "the closing brace is missing", |t| {
        t.pop();
    });
    bytes("changed", "Signature", "one digit changed after signing", |t| {
        *t = t.replacen(r#"DataNumber":18"#, r#"DataNumber":19"#, 1)
    });
    bytes("reformatted", "Signature", "a space added after signing", |t| {
        *t = t.replacen(r#""version":"#, r#""version": "#, 1)
    });
    bytes("signature_missing", "Envelope", "no signature", |t| {
        *t = t.replacen(r#""signature""#, r#""signatura""#, 1)
    });
    bytes("signature_short", "Envelope", "a signature of 63 bytes", |t| {
        let end = t.len() - 2;
        t.replace_range(end - 2..end, "");
    });
    bytes("signature_zero", "Signature", "a signature of zeros", |t| {
        let end = t.len() - 2;
        t.replace_range(end - 128..end, &"0".repeat(128));
    });
    bytes("body_twice", "Envelope", "a second, unsigned body after the signature", |t| {
        let body = t[..t.find(r#","signature""#).expect("signed")].to_owned();
        t.pop();
        *t = format!("{t},{}}}", &body[1..]);
    });
}

fn signing_chain(book: &mut Book) {
    book.forge(
        "dcap/tcb_signing_signed_by_stranger",
        "Endorsement.Chain.Signature",
        "the TCB signing certificate is not the root's",
        |f| {
            f.chain.tcb_signing.signer = stranger();
        },
    );
    book.forge(
        "dcap/tcb_signing_issued_by_intermediate",
        "Endorsement.Chain.Issuer",
        "a PCK authority issued the TCB signing certificate",
        |f| {
            f.chain.tcb_signing.signer = f.chain.intermediate.key.clone();
            f.chain.tcb_signing.issuer = f.chain.intermediate.subject.clone();
        },
    );
    book.forge(
        "dcap/tcb_signing_subject",
        "Endorsement.Chain.Profile",
        "a signer that is not for TCB signing",
        |f| {
            f.chain.tcb_signing.subject = Name::intel("Intel SGX PCK Certificate");
        },
    );
    book.forge(
        "dcap/tcb_signing_is_an_authority",
        "Endorsement.Chain.Profile",
        "a TCB signing certificate that may issue certificates",
        |f| {
            put(&mut f.chain.tcb_signing.extensions, Extension::basic_constraints(Some(0)));
            put(&mut f.chain.tcb_signing.extensions, Extension::key_usage(x509::SIGNS_CERTIFICATES));
        },
    );
    book.forge(
        "dcap/tcb_signing_2",
        "genuine UpToDate",
        "the signer's name as Intel numbers it today",
        |f| {
            f.chain.tcb_signing.subject = Name::intel("Intel SGX TCB Signing 2");
        },
    );
    book.bytes("dcap/signing_chain_empty", "Endorsement.Chain.Pem.Boundary", "no issuer chain", |m| {
        m.tcb_info_issuer_chain.clear()
    });
    book.bytes("dcap/signing_chain_root_only", "Endorsement.Chain.CertificateCount", "only the root", |m| {
        m.tcb_info_issuer_chain = m.root.clone()
    });
    book.bytes("dcap/signing_chain_of_pck", "Endorsement.Chain.Profile", "the PCK chain in its place", |m| {
        m.tcb_info_issuer_chain = m.pck_crl_issuer_chain.clone();
    });
    book.bytes(
        "dcap/signing_chain_nul",
        "genuine UpToDate",
        "issuer chains that keep their terminating NUL",
        |m| {
            m.tcb_info_issuer_chain.push(0);
            m.qe_identity_issuer_chain.push(0);
        },
    );
    book.bytes(
        "dcap/pck_crl_issuer_chain_absent",
        "genuine UpToDate",
        "the PCK list's issuer chain is the quote's",
        |m| {
            m.pck_crl_issuer_chain.clear();
        },
    );
}

fn revocation_lists(book: &mut Book) {
    book.forge(
        "dcap/pck_crl_signed_by_stranger",
        "Endorsement.Crl.Signature",
        "the PCK list is not signed by its issuer",
        |f| {
            f.pck_crl.signer = stranger();
        },
    );
    book.forge(
        "dcap/root_crl_signed_by_stranger",
        "Endorsement.Crl.Signature",
        "the root's list is not signed by the root",
        |f| {
            f.root_crl.signer = stranger();
        },
    );
    book.forge(
        "dcap/root_crl_signed_by_intermediate",
        "Endorsement.Crl.Signature",
        "the root's list is signed by an intermediate",
        |f| {
            f.root_crl.signer = f.chain.intermediate.key.clone();
        },
    );
    book.forge(
        "dcap/pck_crl_issuer_sibling",
        "Endorsement.Crl.Issuer",
        "the list of the sibling authority",
        |f| {
            f.pck_crl.issuer = Ca::Processor.name();
        },
    );
    for (name, expect, authority, comment) in [
        (
            "pck_crl_of_sibling",
            "Verify.PckCrlIssuer",
            Ca::Processor.name(),
            "the other authority under the same root",
        ),
        (
            "pck_crl_of_namesake",
            "Verify.PckCrlIssuer",
            Ca::Platform.name(),
            "a namesake authority under the same root",
        ),
        (
            "pck_crl_of_other_ca",
            "Endorsement.PckCa",
            Name::intel("Intel SGX Other CA"),
            "an authority for something else",
        ),
    ] {
        let comment = format!("a sound list of {comment}");
        book.add(&format!("dcap/{name}"), Vector::new(expect, &comment, NOW, &sibling(authority)));
    }
    book.bytes(
        "dcap/root_crl_is_pck_crl",
        "Endorsement.Crl.Issuer",
        "the PCK list in the place of the root's",
        |m| {
            m.root_ca_crl = m.pck_crl.clone();
        },
    );
    book.bytes(
        "dcap/pck_crl_is_root_crl",
        "Endorsement.Crl.Issuer",
        "the root's list in the place of the PCK list",
        |m| {
            m.pck_crl = m.root_ca_crl.clone();
        },
    );
    book.forge("dcap/pck_crl_without_number", "Endorsement.Crl.Missing", "a list without CRL number", |f| {
        take(&mut f.pck_crl.extensions, x509::CRL_NUMBER);
    });
    book.forge(
        "dcap/pck_crl_without_authority_key_id",
        "Endorsement.Crl.Missing",
        "a list without authority key identifier",
        |f| {
            take(&mut f.pck_crl.extensions, x509::AUTHORITY_KEY_ID);
        },
    );
    book.forge(
        "dcap/pck_crl_other_authority_key_id",
        "Endorsement.Crl.Issuer",
        "a list that names another authority key",
        |f| {
            put(&mut f.pck_crl.extensions, Extension::authority_key_id(&stranger().id()));
        },
    );
    book.forge(
        "dcap/pck_crl_without_next_update",
        "Endorsement.Crl.Missing",
        "a list that never expires",
        |f| f.pck_crl.next_update = None,
    );
    book.forge(
        "dcap/pck_crl_unknown_critical_extension",
        "Endorsement.Crl.UnknownExtension",
        "a delta list (critical extension 2.5.29.27)",
        |f| {
            f.pck_crl.extensions.push(Extension { oid: "2.5.29.27", critical: true, value: vec![2, 1, 1] });
        },
    );
    book.bytes("dcap/pck_crl_empty", "Endorsement.Crl.Malformed", "no list", |m| m.pck_crl.clear());
    book.bytes("dcap/root_crl_truncated", "Endorsement.Crl.Malformed", "a list that ends early", |m| {
        m.root_ca_crl.pop();
    });
    book.bytes("dcap/root_crl_trailing", "Endorsement.Crl.Malformed", "a byte after the list", |m| {
        m.root_ca_crl.push(0)
    });
    book.bytes(
        "dcap/root_crl_is_certificate",
        "Endorsement.Crl.Malformed",
        "a certificate in the place of a list",
        |m| {
            use base64::Engine;
            let text = String::from_utf8(m.root.clone()).expect("PEM is text");
            let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
            m.root_ca_crl = base64::engine::general_purpose::STANDARD.decode(body).expect("our own PEM");
        },
    );
}

/// A world with the sound list, and issuer chain, of a second authority under its root.
fn sibling(name: Name) -> Minted {
    let forge = crate::Forge::new(Ca::Platform, NOW);
    let mut other = forge.clone();
    other.chain.intermediate.subject = name.clone();
    other.chain.intermediate.key = stranger();
    other.chain.intermediate.serial = vec![0x42; 20];
    other.pck_crl.issuer = name;
    other.pck_crl.signer = other.chain.intermediate.key.clone();
    let id = other.chain.intermediate.key.id();
    put(&mut other.pck_crl.extensions, Extension::authority_key_id(&id));
    put(&mut other.chain.intermediate.extensions, Extension::subject_key_id(&id));
    let (mut minted, other) = (forge.mint(), other.mint());
    minted.pck_crl = other.pck_crl;
    minted.pck_crl_issuer_chain = other.pck_crl_issuer_chain;
    minted
}

/// Endorsements longer than anything Intel issues.
fn oversized(book: &mut Book) {
    for (name, expect, section, length) in [
        ("tcb_info_oversized", "Endorsement.Document.TooLong", "TCB INFO", 512 * 1024 + 1),
        ("pck_crl_oversized", "Endorsement.Crl.TooLong", "PCK CRL", 1024 * 1024 + 1),
        ("signing_chain_oversized", "Endorsement.Chain.Pem.TooLong", "TCB INFO ISSUER CHAIN", 64 * 1024 + 1),
    ] {
        book.bytes(&format!("dcap/{name}"), expect, "filled up with zeros", |_| {});
        book.0.last_mut().expect("just added").vector.grow = Some((length, section.to_owned()));
    }
    book.forge("dcap/pck_crl_number_of_65_bits", "Endorsement.Crl.Number", "a CRL number of 2^64", |f| {
        let value = crate::asn1::integer(&[1, 0, 0, 0, 0, 0, 0, 0, 0]);
        put(&mut f.pck_crl.extensions, Extension { oid: x509::CRL_NUMBER, critical: false, value });
    });
}
