//! Endorsements that are not Intel's, not current, or not for SGX.

use time::Duration;

use super::{Book, NOW};
use crate::intel::{Ca, Minted, TcbLevel, stranger};
use crate::x509::{self, Extension, Name, put, take};

const SECOND: Duration = Duration::SECOND;

pub(super) fn write(book: &mut Book) {
    windows(book);
    tcb_info(book);
    qe_identity(book);
    signing_chain(book);
    revocation_lists(book);
}

fn windows(book: &mut Book) {
    let e = "Endorsement.?";
    book.forge("dcap/tcb_info_expired", e, "the TCB info's next update was due a second ago", |f| {
        f.tcb_info.next_update = NOW - SECOND;
    });
    book.forge("dcap/tcb_info_not_yet_issued", e, "the TCB info is issued in the next second", |f| {
        f.tcb_info.issue_date = NOW + SECOND;
    });
    book.forge("dcap/qe_identity_expired", e, "the QE identity's next update was due a second ago", |f| {
        f.qe_identity.next_update = NOW - SECOND;
    });
    book.forge("dcap/qe_identity_not_yet_issued", e, "the QE identity is issued in the next second", |f| {
        f.qe_identity.issue_date = NOW + SECOND;
    });
    book.forge("dcap/root_crl_expired", e, "the root's list was due a second ago", |f| {
        f.root_crl.next_update = Some(NOW - SECOND);
    });
    book.forge("dcap/pck_crl_expired", e, "the PCK list was due a second ago", |f| {
        f.pck_crl.next_update = Some(NOW - SECOND);
    });
    book.forge("dcap/pck_crl_not_yet_issued", e, "the PCK list is issued in the next second", |f| {
        f.pck_crl.this_update = NOW + SECOND;
    });
    book.forge("dcap/tcb_signing_expired", e, "the TCB signing certificate expired a second ago", |f| {
        f.chain.tcb_signing.not_after = NOW - SECOND;
    });
}

fn tcb_info(book: &mut Book) {
    let e = "Endorsement.?";
    let mut edit = |name: &str, comment: &str, from: &str, to: &str| {
        book.forge(&format!("dcap/tcb_info_{name}"), e, comment, |f| {
            f.tcb_info.edits = vec![(from.to_owned(), to.to_owned())];
        });
    };
    edit("version_4", "a version nobody knows", r#""version":3"#, r#""version":4"#);
    edit("version_text", "the version is text", r#""version":3"#, r#""version":"3""#);
    edit("type_1", "a type nobody knows", r#""tcbType":0"#, r#""tcbType":1"#);
    edit("id_tdx", "TCB info of TDX", r#""id":"SGX""#, r#""id":"TDX""#);
    edit("id_unknown", "TCB info of an unknown TEE", r#""id":"SGX""#, r#""id":"XGS""#);
    edit(
        "tdx_module",
        "TCB info of SGX with a TDX module",
        r#""tcbType":0"#,
        concat!(
            r#""tcbType":0,"tdxModule":{"mrsigner":""#,
            "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
            r#"","attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF"}"#,
        ),
    );
    edit("duplicate_key", "the FMSPC twice", r#""fmspc":"#, r#""fmspc":"00906ed50000","fmspc":"#);
    edit("fmspc_short", "an FMSPC of five bytes", r#""fmspc":"00"#, r#""fmspc":""#);
    edit("fmspc_not_hex", "an FMSPC that is not hexadecimal", r#""fmspc":"00"#, r#""fmspc":"zz"#);
    edit(
        "date_unreadable",
        "an issue date that is none",
        r#""issueDate":"2025"#,
        r#""issueDate":"yesterday"#,
    );
    edit("status_unknown", "a status nobody knows", r#""tcbStatus":"UpToDate""#, r#""tcbStatus":"Fine""#);
    edit("component_256", "a component security version of 256", r#"{"svn":12}"#, r#"{"svn":256}"#);
    edit("component_missing", "fifteen components", r#"{"svn":12},"#, "");
    edit("component_fraction", "a component security version of 1.5", r#"{"svn":12}"#, r#"{"svn":1.5}"#);
    edit("pcesvn_missing", "a level without PCESVN", r#","pcesvn":13"#, "");
    edit("evaluation_number_missing", "no evaluation data number", r#""tcbEvaluationDataNumber":18,"#, "");
    book.forge("dcap/tcb_info_no_levels", e, "no TCB level", |f| f.tcb_info.levels = Vec::new());
    book.forge("dcap/tcb_info_level_twice", e, "two levels with the same security versions", |f| {
        let again = TcbLevel { status: "OutOfDate".to_owned(), ..f.tcb_info.levels[0].clone() };
        f.tcb_info.levels.push(again);
    });
    book.forge("dcap/tcb_info_deep", e, "nested a thousand levels deep", |f| {
        let deep = format!(r#""x":{}{},"fmspc""#, "[".repeat(1000), "]".repeat(1000));
        f.tcb_info.edits = vec![(r#""fmspc""#.to_owned(), deep)];
    });
    book.forge("dcap/tcb_info_signed_by_stranger", e, "not signed by the TCB signing key", |f| {
        f.tcb_info.signer = stranger();
    });
    book.forge("dcap/tcb_info_signed_by_root", e, "signed by the root itself", |f| {
        f.tcb_info.signer = f.chain.root.key.clone();
    });
    document(book, "tcb_info", |m| &mut m.tcb_info);
}

fn qe_identity(book: &mut Book) {
    let e = "Endorsement.?";
    let mut edit = |name: &str, comment: &str, from: &str, to: &str| {
        book.forge(&format!("dcap/qe_identity_{name}"), e, comment, |f| {
            f.qe_identity.edits = vec![(from.to_owned(), to.to_owned())];
        });
    };
    edit("version_1", "a version no longer used", r#""version":2"#, r#""version":1"#);
    edit("id_td_qe", "identity of the TD quoting enclave", r#""id":"QE""#, r#""id":"TD_QE""#);
    edit("id_qve", "identity of the quote verification enclave", r#""id":"QE""#, r#""id":"QVE""#);
    edit("duplicate_key", "the product id twice", r#""isvprodid":1"#, r#""isvprodid":1,"isvprodid":2"#);
    edit("mask_short", "a mask of three bytes", r#""miscselectMask":"FF"#, r#""miscselectMask":""#);
    edit("mrsigner_missing", "no signer", r#""mrsigner":"#, r#""mrsignerr":"#);
    edit(
        "status_configuration_needed",
        "a status that enclaves cannot have",
        r#""tcbStatus":"UpToDate""#,
        r#""tcbStatus":"ConfigurationNeeded""#,
    );
    edit("svn_65536", "a security version of 65536", r#""isvsvn":8"#, r#""isvsvn":65536"#);
    book.forge("dcap/qe_identity_no_levels", e, "no level", |f| f.qe_identity.levels = Vec::new());
    book.forge("dcap/qe_identity_signed_by_stranger", e, "not signed by the TCB signing key", |f| {
        f.qe_identity.signer = stranger();
    });
    document(book, "qe_identity", |m| &mut m.qe_identity);
}

/// What can be wrong with the envelope of a signed document.
fn document(book: &mut Book, item: &str, field: fn(&mut Minted) -> &mut Vec<u8>) {
    let e = "Endorsement.?";
    let mut bytes = |name: &str, comment: &str, change: fn(&mut String)| {
        book.bytes(&format!("dcap/{item}_{name}"), e, comment, |minted| {
            let mut text = String::from_utf8(field(minted).clone()).expect("JSON is text");
            change(&mut text);
            *field(minted) = text.into_bytes();
        });
    };
    bytes("empty", "no bytes", String::clear);
    bytes("not_json", "not JSON", |t| *t = "<html>503</html>".to_owned());
    bytes("truncated", "the closing brace is missing", |t| {
        t.pop();
    });
    bytes("changed", "one digit changed after signing", |t| {
        *t = t.replacen(r#"DataNumber":18"#, r#"DataNumber":19"#, 1)
    });
    bytes("reformatted", "a space added after signing", |t| {
        *t = t.replacen(r#""version":"#, r#""version": "#, 1)
    });
    bytes("signature_missing", "no signature", |t| *t = t.replacen(r#""signature""#, r#""signatura""#, 1));
    bytes("signature_short", "a signature of 63 bytes", |t| {
        let end = t.len() - 2;
        t.replace_range(end - 2..end, "");
    });
    bytes("signature_zero", "a signature of zeros", |t| {
        let end = t.len() - 2;
        t.replace_range(end - 128..end, &"0".repeat(128));
    });
    bytes("body_twice", "a second, unsigned body after the signature", |t| {
        let body = t[..t.find(r#","signature""#).expect("signed")].to_owned();
        t.pop();
        *t = format!("{t},{}}}", &body[1..]);
    });
}

fn signing_chain(book: &mut Book) {
    let e = "Endorsement.?";
    book.forge(
        "dcap/tcb_signing_signed_by_stranger",
        e,
        "the TCB signing certificate is not the root's",
        |f| {
            f.chain.tcb_signing.signer = stranger();
        },
    );
    book.forge(
        "dcap/tcb_signing_issued_by_intermediate",
        e,
        "a PCK authority issued the TCB signing certificate",
        |f| {
            f.chain.tcb_signing.signer = f.chain.intermediate.key.clone();
            f.chain.tcb_signing.issuer = f.chain.intermediate.subject.clone();
        },
    );
    book.forge("dcap/tcb_signing_subject", e, "a signer that is not for TCB signing", |f| {
        f.chain.tcb_signing.subject = Name::intel("Intel SGX PCK Certificate");
    });
    book.forge(
        "dcap/tcb_signing_is_an_authority",
        e,
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
    book.bytes("dcap/signing_chain_empty", e, "no issuer chain", |m| m.tcb_info_issuer_chain.clear());
    book.bytes("dcap/signing_chain_root_only", e, "only the root", |m| {
        m.tcb_info_issuer_chain = m.root.clone()
    });
    book.bytes("dcap/signing_chain_of_pck", e, "the PCK chain in its place", |m| {
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
    let e = "Endorsement.?";
    book.forge("dcap/pck_crl_signed_by_stranger", e, "the PCK list is not signed by its issuer", |f| {
        f.pck_crl.signer = stranger();
    });
    book.forge("dcap/root_crl_signed_by_stranger", e, "the root's list is not signed by the root", |f| {
        f.root_crl.signer = stranger();
    });
    book.forge(
        "dcap/root_crl_signed_by_intermediate",
        e,
        "the root's list is signed by an intermediate",
        |f| {
            f.root_crl.signer = f.chain.intermediate.key.clone();
        },
    );
    book.forge("dcap/pck_crl_issuer_sibling", "?", "the list of the sibling authority", |f| {
        f.pck_crl.issuer = Ca::Processor.name();
    });
    let sibling = {
        // A whole second authority under the same root, with a sound list of its own.
        let mut forge = crate::Forge::new(Ca::Platform, NOW);
        forge.quote.user_data = [1; 20];
        let mut other = forge.clone();
        other.chain.intermediate.subject = Ca::Processor.name();
        other.chain.intermediate.key = stranger();
        other.chain.intermediate.serial = vec![0x42; 20];
        other.pck_crl.issuer = Ca::Processor.name();
        other.pck_crl.signer = other.chain.intermediate.key.clone();
        let id = other.chain.intermediate.key.id();
        put(&mut other.pck_crl.extensions, Extension::authority_key_id(&id));
        put(&mut other.chain.intermediate.extensions, Extension::subject_key_id(&id));
        let (mut minted, other) = (forge.mint(), other.mint());
        minted.pck_crl = other.pck_crl;
        minted.pck_crl_issuer_chain = other.pck_crl_issuer_chain;
        minted
    };
    book.add(
        "dcap/pck_crl_of_sibling",
        crate::vector::Vector::new(
            "?",
            "a sound list of the other authority under the same root",
            NOW,
            &sibling,
        ),
    );
    book.bytes("dcap/root_crl_is_pck_crl", e, "the PCK list in the place of the root's", |m| {
        m.root_ca_crl = m.pck_crl.clone();
    });
    book.bytes("dcap/pck_crl_is_root_crl", e, "the root's list in the place of the PCK list", |m| {
        m.pck_crl = m.root_ca_crl.clone();
    });
    book.forge("dcap/pck_crl_without_number", e, "a list without CRL number", |f| {
        take(&mut f.pck_crl.extensions, x509::CRL_NUMBER);
    });
    book.forge("dcap/pck_crl_without_authority_key_id", e, "a list without authority key identifier", |f| {
        take(&mut f.pck_crl.extensions, x509::AUTHORITY_KEY_ID);
    });
    book.forge("dcap/pck_crl_other_authority_key_id", e, "a list that names another authority key", |f| {
        put(&mut f.pck_crl.extensions, Extension::authority_key_id(&stranger().id()));
    });
    book.forge("dcap/pck_crl_without_next_update", e, "a list that never expires", |f| {
        f.pck_crl.next_update = None
    });
    book.forge(
        "dcap/pck_crl_unknown_critical_extension",
        e,
        "a delta list (critical extension 2.5.29.27)",
        |f| {
            f.pck_crl.extensions.push(Extension { oid: "2.5.29.27", critical: true, value: vec![2, 1, 1] });
        },
    );
    book.bytes("dcap/pck_crl_empty", e, "no list", |m| m.pck_crl.clear());
    book.bytes("dcap/root_crl_truncated", e, "a list that ends early", |m| {
        m.root_ca_crl.pop();
    });
    book.bytes("dcap/root_crl_trailing", e, "a byte after the list", |m| m.root_ca_crl.push(0));
    book.bytes("dcap/root_crl_is_certificate", e, "a certificate in the place of a list", |m| {
        use base64::Engine;
        let text = String::from_utf8(m.root.clone()).expect("PEM is text");
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        m.root_ca_crl = base64::engine::general_purpose::STANDARD.decode(body).expect("our own PEM");
    });
}
