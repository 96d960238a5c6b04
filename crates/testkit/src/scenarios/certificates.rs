//! PCK chains that are not Intel's.

use time::Duration;

use super::{Book, NOW, find};
use crate::asn1;
use crate::intel::{Ca, Certification, Forge, stranger};
use crate::vector::Vector;
use crate::x509::{self, Extension, Name, pem, put, take};

pub(super) fn write(book: &mut Book) {
    pem_text(book);
    profile(book);
    roots(book);
    names_and_signatures(book);
    reissued(book);
    validity(book);
    sgx_extension(book);
}

/// The PEM certificates of a freshly minted chain, leaf first.
fn blocks(forge: &Forge) -> [String; 3] {
    let mut leaf = forge.chain.leaf.clone();
    put(
        &mut leaf.extensions,
        Extension { oid: "1.2.840.113741.1.13.1", critical: false, value: forge.sgx.der() },
    );
    [leaf, forge.chain.intermediate.clone(), forge.chain.root.clone()]
        .map(|certificate| pem("CERTIFICATE", &certificate.der()))
}

fn chain(book: &mut Book, name: &str, expect: &str, comment: &str, text: impl FnOnce([String; 3]) -> String) {
    book.forge(&format!("dcap/{name}"), &format!("Verify.PckChain.{expect}"), comment, |forge| {
        let data = text(blocks(forge)).into_bytes();
        forge.quote.certification = Certification::Other { kind: 5, data };
    });
}

fn pem_text(book: &mut Book) {
    chain(book, "chain_empty", "Pem.Boundary", "no certificate", |_| String::new());
    chain(book, "chain_leaf_only", "CertificateCount", "one certificate", |[leaf, ..]| leaf);
    chain(book, "chain_without_root", "CertificateCount", "two certificates", |[leaf, ca, _]| leaf + &ca);
    chain(book, "chain_with_four", "CertificateCount", "the root twice", |[leaf, ca, root]| {
        leaf + &ca + &root + &root
    });
    chain(book, "chain_reversed", "Profile", "root first", |[leaf, ca, root]| root + &ca + &leaf);
    chain(book, "chain_swapped", "Profile", "intermediate before leaf", |[leaf, ca, root]| {
        ca + &leaf + &root
    });
    book.forge(
        "dcap/chain_root_before_ca",
        "genuine UpToDate",
        "as Fortanix's attesters write it",
        |forge| {
            let [leaf, ca, root] = blocks(forge);
            let data = (leaf + &root + &ca).into_bytes();
            forge.quote.certification = Certification::Other { kind: 5, data };
        },
    );
    book.forge(
        "dcap/chain_root_before_intermediate",
        "genuine UpToDate",
        "leaf, root, intermediate, as the Fortanix SDK writes them",
        |forge| {
            let [leaf, ca, root] = blocks(forge);
            let data = (leaf + &root + &ca).into_bytes();
            forge.quote.certification = Certification::Other { kind: 5, data };
        },
    );
    chain(book, "chain_text_between", "Pem.Boundary", "text between two certificates", |[leaf, ca, root]| {
        leaf + "some text\n" + &ca + &root
    });
    chain(
        book,
        "chain_text_before",
        "Pem.Boundary",
        "text before the first certificate",
        |[leaf, ca, root]| "some text\n".to_owned() + &leaf + &ca + &root,
    );
    chain(book, "chain_text_after", "Pem.Boundary", "text after the last certificate", |[leaf, ca, root]| {
        leaf + &ca + &root + "some text\n"
    });
    chain(book, "chain_two_nuls", "Pem.Boundary", "two NULs after the chain", |[leaf, ca, root]| {
        leaf + &ca + &root + "\0\0"
    });
    chain(
        book,
        "chain_wrong_label",
        "Pem.Boundary",
        "a section that is not a certificate",
        |[leaf, ca, root]| leaf.replace("CERTIFICATE", "X509 CRL") + &ca + &root,
    );
    chain(book, "chain_bad_base64", "Pem.Base64", "a character outside base64", |[leaf, ca, root]| {
        leaf.replacen("MII", "MI*", 1) + &ca + &root
    });
    chain(book, "chain_der_trailing", "Malformed", "a byte after the DER of the leaf", |[leaf, ca, root]| {
        let mut der = decode(&leaf);
        der.push(0);
        pem("CERTIFICATE", &der) + &ca + &root
    });
    chain(book, "chain_der_truncated", "Malformed", "the DER of the leaf ends early", |[leaf, ca, root]| {
        let mut der = decode(&leaf);
        der.pop();
        pem("CERTIFICATE", &der) + &ca + &root
    });
    chain(book, "chain_with_nine", "Pem.TooMany", "nine certificates", |[leaf, ca, root]| {
        [leaf, ca, root].concat().repeat(3)
    });
}

fn decode(pem: &str) -> Vec<u8> {
    use base64::Engine;
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(body).expect("our own PEM")
}

fn profile(book: &mut Book) {
    let extensions = [
        ("authority_key_id", x509::AUTHORITY_KEY_ID),
        ("subject_key_id", x509::SUBJECT_KEY_ID),
        ("key_usage", x509::KEY_USAGE),
        ("basic_constraints", x509::BASIC_CONSTRAINTS),
        ("crl_points", x509::CRL_POINTS),
    ];
    for (name, oid) in extensions {
        book.forge(
            &format!("dcap/leaf_without_{name}"),
            "Verify.PckChain.MissingExtension",
            "a required extension of the leaf is missing",
            |forge| {
                take(&mut forge.chain.leaf.extensions, oid);
            },
        );
        book.forge(
            &format!("dcap/intermediate_without_{name}"),
            "Verify.PckChain.MissingExtension",
            "a required extension of the intermediate is missing",
            |forge| {
                take(&mut forge.chain.intermediate.extensions, oid);
            },
        );
    }
    book.forge(
        "dcap/leaf_is_an_authority",
        "Verify.PckChain.Profile",
        "the leaf may issue certificates",
        |forge| {
            put(&mut forge.chain.leaf.extensions, Extension::basic_constraints(Some(0)));
        },
    );
    book.forge(
        "dcap/leaf_key_usage_signs_certificates",
        "Verify.PckChain.Profile",
        "key usage of an authority on the leaf",
        |forge| {
            put(&mut forge.chain.leaf.extensions, Extension::key_usage(x509::SIGNS_CERTIFICATES));
        },
    );
    book.forge(
        "dcap/intermediate_is_no_authority",
        "Verify.PckChain.Profile",
        "basic constraints of an end entity on the intermediate",
        |forge| {
            put(&mut forge.chain.intermediate.extensions, Extension::basic_constraints(None));
        },
    );
    book.forge(
        "dcap/intermediate_key_usage_signs_data",
        "Verify.PckChain.Profile",
        "the intermediate may not sign certificates",
        |forge| {
            put(&mut forge.chain.intermediate.extensions, Extension::key_usage(x509::SIGNS_DATA));
        },
    );
    book.forge(
        "dcap/leaf_unknown_critical_extension",
        "Verify.PckChain.UnknownCriticalExtension",
        "a critical extension nobody knows",
        |forge| {
            forge.chain.leaf.extensions.push(Extension {
                oid: "1.2.3.4.5",
                critical: true,
                value: vec![5, 0],
            });
        },
    );
    book.forge(
        "dcap/leaf_extension_twice",
        "Verify.PckChain.DuplicateExtension",
        "key usage twice",
        |forge| {
            forge.chain.leaf.extensions.push(Extension::key_usage(x509::SIGNS_DATA));
        },
    );
    book.forge(
        "dcap/leaf_version_1",
        "Verify.PckChain.Malformed",
        "an X.509 certificate of version 1",
        |forge| {
            forge.chain.leaf.version = 0;
        },
    );
    book.forge(
        "dcap/leaf_other_algorithm",
        "Verify.PckChain.Signature",
        "ecdsa-with-SHA384 as signature algorithm",
        |forge| {
            forge.chain.leaf.algorithm = "1.2.840.10045.4.3.3";
        },
    );
    book.forge(
        "dcap/leaf_other_authority_key_id",
        "Verify.PckChain.Issuer",
        "the authority key identifier is of another key",
        |forge| {
            put(&mut forge.chain.leaf.extensions, Extension::authority_key_id(&stranger().id()));
        },
    );
}

/// Chains whose root certificate has the trusted key, and something wrong with it. The anchor is the
/// sound certificate of the same key.
fn roots(book: &mut Book) {
    let mut root = |name: &str, expect: &str, comment: &str, change: fn(&mut Forge)| {
        let mut forge = Forge::new(Ca::Platform, NOW);
        let anchor = forge.mint().root;
        change(&mut forge);
        let vector = Vector::new(&format!("Verify.PckChain.{expect}"), comment, NOW, &forge.mint());
        book.add(&format!("dcap/{name}"), vector.with("TEST ROOT", anchor));
    };
    root(
        "root_not_self_signed",
        "Signature",
        "the root has the trusted key but another signature",
        |forge| {
            forge.chain.root.signer = stranger();
        },
    );
    root("root_path_length_zero", "Profile", "the root allows no intermediate", |forge| {
        put(&mut forge.chain.root.extensions, Extension::basic_constraints(Some(0)));
    });
    root(
        "root_without_authority_key_id",
        "MissingExtension",
        "Intel's profile asks for it even here",
        |forge| {
            take(&mut forge.chain.root.extensions, x509::AUTHORITY_KEY_ID);
        },
    );
    root("root_subject_differs", "Profile", "the root has the trusted key but another name", |forge| {
        let name = Name::intel("Intel SGX Attestation Report Signing CA");
        forge.chain.root.subject = name.clone();
        forge.chain.root.issuer = name.clone();
        forge.chain.intermediate.issuer = name;
    });
    let mut forge = Forge::new(Ca::Platform, NOW);
    let anchor = forge.mint().root;
    forge.chain.root.serial = vec![0x77; 20];
    forge.chain.root.not_before -= Duration::days(100);
    book.add(
        "dcap/root_reissued",
        Vector::new(
            "genuine UpToDate",
            "another certificate of the trusted key, as Intel has issued",
            NOW,
            &forge.mint(),
        )
        .with("TEST ROOT", anchor.clone()),
    );
    for (name, expect, root) in [
        ("anchor_empty", "Anchor.Root.Pem.Boundary", Vec::new()),
        (
            "anchor_two_certificates",
            "Anchor.Root.CertificateCount",
            [anchor.clone(), anchor.clone()].concat(),
        ),
        ("anchor_oversized", "Anchor.Root.Pem.TooLong", Vec::new()),
    ] {
        let mut vector = Vector::new(expect, "no trust anchor", NOW, &forge.mint()).with("TEST ROOT", root);
        vector.sections.retain(|name, _| name == "TEST ROOT");
        vector.grow = (name == "anchor_oversized").then(|| (64 * 1024 + 1, "TEST ROOT".to_owned()));
        book.add(&format!("dcap/{name}"), vector);
    }
}

fn names_and_signatures(book: &mut Book) {
    book.forge(
        "dcap/leaf_signed_by_stranger",
        "Verify.PckChain.Signature",
        "the leaf is not signed by the intermediate",
        |forge| {
            forge.chain.leaf.signer = stranger();
        },
    );
    book.forge(
        "dcap/intermediate_signed_by_stranger",
        "Verify.PckChain.Signature",
        "the intermediate is not signed by the root",
        |forge| {
            forge.chain.intermediate.signer = stranger();
        },
    );
    book.forge(
        "dcap/leaf_issuer_differs",
        "Verify.PckChain.Profile",
        "the leaf names another issuer",
        |forge| {
            forge.chain.leaf.issuer = Ca::Processor.name();
        },
    );
    book.forge(
        "dcap/intermediate_issuer_differs",
        "Verify.PckChain.Issuer",
        "the intermediate names another issuer",
        |forge| {
            forge.chain.intermediate.issuer = Name::intel("Intel SGX Other Root");
        },
    );
    book.forge(
        "dcap/leaf_subject_differs",
        "Verify.PckChain.Profile",
        "a leaf that is no PCK certificate",
        |forge| {
            forge.chain.leaf.subject = Name::intel("Intel SGX TCB Signing");
        },
    );
    book.forge(
        "dcap/intermediate_subject_differs",
        "Verify.PckChain.Profile",
        "an intermediate that is neither Platform nor Processor CA",
        |forge| {
            let name = Name::intel("Intel SGX Some Other CA");
            forge.chain.intermediate.subject = name.clone();
            forge.chain.leaf.issuer = name.clone();
            forge.pck_crl.issuer = name;
        },
    );
    let mut forge = Forge::new(Ca::Platform, NOW);
    forge.quote.user_data = [0; 20];
    let other_root = Forge::new(Ca::Platform, NOW).mint().root;
    book.add(
        "dcap/root_of_another_world",
        Vector::new(
            "Verify.PckChain.UntrustedRoot",
            "a sound chain under a root nobody trusts",
            NOW,
            &forge.mint(),
        )
        .with("TEST ROOT", other_root),
    );
}

/// A quote whose intermediate is an older certificate of the key and name that the endorsements have a
/// newer one of.
fn reissued(book: &mut Book) {
    let mut older = |name: &str, expect: &str, comment: &str, change: fn(&mut Forge)| {
        let mut forge = Forge::new(Ca::Platform, NOW);
        let current = forge.mint();
        forge.chain.intermediate.serial = vec![0x22; 20];
        change(&mut forge);
        let quote = forge.mint().quote;
        let vector = Vector::new(expect, comment, NOW, &current).with("SGX QUOTE", quote);
        book.add(&format!("dcap/{name}"), vector.with("ROOT CA CRL", forge.root_crl.der()));
    };
    older("older_intermediate", "genuine UpToDate", "two certificates of one PCK authority", |_| {});
    older(
        "older_intermediate_revoked",
        "Verify.PckCaRevoked",
        "the root's list has the older one",
        |forge| {
            forge.root_crl.revoked = vec![vec![0x22; 20]];
        },
    );
    older(
        "older_intermediate_expired",
        "Verify.PckValidity",
        "the older one expired a second ago",
        |forge| {
            forge.chain.intermediate.not_after = NOW - Duration::SECOND;
        },
    );
}

fn validity(book: &mut Book) {
    let second = Duration::SECOND;
    book.forge("dcap/leaf_expired", "Verify.PckValidity", "the leaf expired a second ago", |forge| {
        forge.chain.leaf.not_after = NOW - second;
    });
    book.forge(
        "dcap/leaf_not_yet_valid",
        "Verify.PckValidity",
        "the leaf is valid from the next second",
        |forge| {
            forge.chain.leaf.not_before = NOW + second;
        },
    );
    book.forge(
        "dcap/intermediate_expired",
        "Endorsement.Validity",
        "the intermediate expired a second ago",
        |forge| {
            forge.chain.intermediate.not_after = NOW - second;
        },
    );
    book.forge("dcap/root_expired", "Endorsement.Validity", "the root expired a second ago", |forge| {
        forge.chain.root.not_after = NOW - second;
    });
    book.forge(
        "dcap/leaf_last_second",
        "genuine UpToDate",
        "the leaf is in the last second of its validity",
        |forge| {
            forge.chain.leaf.not_after = NOW;
            forge.chain.leaf.not_before = NOW - Duration::DAY;
        },
    );
}

fn sgx_extension(book: &mut Book) {
    book.forge(
        "dcap/sgx_extension_absent",
        "Verify.PckExtension.Missing",
        "a PCK certificate without the SGX extension",
        |forge| {
            forge.sgx.absent = true;
        },
    );
    book.forge(
        "dcap/sgx_extension_not_der",
        "Verify.PckExtension.Malformed",
        "the SGX extension is not DER",
        |forge| {
            forge.sgx.value = Some(vec![0x30, 0x82, 0xff, 0xff]);
        },
    );
    let oid = |suffix: &str| asn1::oid(&format!("1.2.840.113741.1.13.1.{suffix}"));
    book.forge(
        "dcap/sgx_extension_without_fmspc",
        "Verify.PckExtension.Missing",
        "the FMSPC is missing",
        |forge| {
            let der = forge.sgx.der();
            let entry = asn1::sequence(&[oid("4"), asn1::element(asn1::OCTET_STRING, &forge.sgx.fmspc)]);
            let at = find(&der, &entry);
            let content = [&der[4..at], &der[at + entry.len()..]].concat();
            forge.sgx.value = Some(asn1::element(asn1::SEQUENCE, &content));
        },
    );
    book.forge(
        "dcap/sgx_extension_fmspc_twice",
        "Verify.PckExtension.Duplicate",
        "the FMSPC is there twice, with different values",
        |forge| {
            let der = forge.sgx.der();
            let entry = asn1::sequence(&[oid("4"), asn1::element(asn1::OCTET_STRING, &[9; 6])]);
            forge.sgx.value = Some(asn1::element(asn1::SEQUENCE, &[&der[4..], &entry].concat()));
        },
    );
    book.forge(
        "dcap/sgx_extension_fmspc_short",
        "Verify.PckExtension.Malformed",
        "an FMSPC of five bytes",
        |forge| {
            let der = forge.sgx.der();
            let entry = asn1::sequence(&[oid("4"), asn1::element(asn1::OCTET_STRING, &forge.sgx.fmspc)]);
            let short = asn1::sequence(&[oid("4"), asn1::element(asn1::OCTET_STRING, &forge.sgx.fmspc[..5])]);
            let at = find(&der, &entry);
            let content = [&der[4..at], &short, &der[at + entry.len()..]].concat();
            forge.sgx.value = Some(asn1::element(asn1::SEQUENCE, &content));
        },
    );
    book.forge(
        "dcap/sgx_extension_component_256",
        "Verify.PckExtension.Malformed",
        "a component security version of 256",
        |forge| {
            let der = forge.sgx.der();
            let entry = |value| asn1::sequence(&[oid("2.5"), asn1::small_integer(value)]);
            let at = find(&der, &entry(255));
            let mut patched = der.clone();
            // 255 and 256 are both two bytes of content.
            patched[at..at + entry(256).len()].copy_from_slice(&entry(256));
            forge.sgx.value = Some(patched);
        },
    );
    book.forge(
        "dcap/sgx_extension_component_negative",
        "Verify.PckExtension.Malformed",
        "a component security version of -1",
        |forge| {
            let der = forge.sgx.der();
            let at = find(&der, &asn1::sequence(&[oid("2.1"), asn1::small_integer(12)]));
            let mut patched = der.clone();
            let end = at + asn1::sequence(&[oid("2.1"), asn1::small_integer(12)]).len();
            patched[end - 1] = 0xff;
            forge.sgx.value = Some(patched);
        },
    );
}
