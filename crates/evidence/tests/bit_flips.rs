//! Every bit of a genuine quote counts, and every byte of its endorsements: flipping one is refused.
//! There is no list of exceptions, because there are none.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, clippy::print_stdout, missing_docs)]

mod support;

use evidence::TrustAnchors;
use evidence::dcap::{Endorsements, RawEndorsements, VerifiedPck};
use evidence::sgx::Quote;
use serde_json::Value;
use support::{Vectors, parse, prepare};
use time::OffsetDateTime;
use time::macros::datetime;

/// Accepts evidence as a service does: a PCK chain verified before is found by its digest.
struct Verifier {
    key: [u8; 32],
    pck: VerifiedPck,
    endorsements: Endorsements,
    now: OffsetDateTime,
}

impl Verifier {
    fn accepts(&self, kind: &str, bytes: &[u8]) -> bool {
        let Ok(quote) = parse(kind, bytes) else { return false };
        self.accepts_quote(&quote)
    }

    fn accepts_quote(&self, quote: &Quote<'_>) -> bool {
        let Ok(key) = quote.pck_cache_key() else { return false };
        let fresh;
        let pck = if key == self.key {
            &self.pck
        } else {
            let Ok(pck) = quote.pck_chain().and_then(|chain| chain.verify(&TrustAnchors::pinned())) else {
                return false;
            };
            fresh = pck;
            &fresh
        };
        quote.verify(pck, &self.endorsements, self.now).is_ok()
    }
}

#[test]
fn every_bit_of_a_quote_counts() {
    // A plain quote, one with custom claims after it, and an Open Enclave report.
    for (path, kind) in [
        ("sgx/dcap-qvl/sgx_quote.bin", "sgx-quote-v3"),
        ("sgx/ravl/oe.coffelake.quote.bin", "sgx-quote-v3"),
        ("sgx/maa-recordings/1.0.0.att.test_attest_open_enclave.00.report.bin", "oe-report"),
    ] {
        let Some(vectors) = Vectors::load() else { return };
        let entry = vectors.entries.iter().find(|entry| entry["path"] == path).unwrap();
        let now = support::time(&entry["verify_at"]).unwrap();
        let collection = vectors.collection(&entry["collateral"]);
        let mut bytes = vectors.read(path);
        let quote = parse(kind, &bytes).unwrap();
        let key = quote.pck_cache_key().unwrap();
        let (pck, endorsements) = prepare(&quote, &collection, now);
        let verifier = Verifier { key, pck, endorsements, now };
        assert!(verifier.accepts(kind, &bytes));
        let accepted = flips(&mut bytes, Every::Bit, |bytes| verifier.accepts(kind, bytes));
        assert_eq!(accepted, [], "{path}");
    }
}

#[test]
fn every_byte_of_the_endorsements_counts() {
    let Some(vectors) = Vectors::load() else { return };
    let now = datetime!(2025-07-04 00:00 UTC);
    let paths: Value = serde_json::json!(["collateral/dcap-qvl/sgx_quote_collateral.json"]);
    let quote = vectors.read("sgx/dcap-qvl/sgx_quote.bin");
    let chain = Quote::parse(&quote).unwrap().pck_chain().unwrap();
    let raw = vectors.collection(&paths).select(&chain.endorsements_id(), None, now).unwrap();
    let anchors = TrustAnchors::pinned();
    assert!(Endorsements::verify(&raw, &anchors, now).is_ok());
    let fields: [(&str, Field); 7] = [
        ("tcb_info", |raw| &mut raw.tcb_info),
        ("tcb_info_issuer_chain", |raw| &mut raw.tcb_info_issuer_chain),
        ("qe_identity", |raw| &mut raw.qe_identity),
        ("qe_identity_issuer_chain", |raw| &mut raw.qe_identity_issuer_chain),
        ("root_ca_crl", |raw| &mut raw.root_ca_crl),
        ("pck_crl", |raw| &mut raw.pck_crl),
        ("pck_crl_issuer_chain", |raw| &mut raw.pck_crl_issuer_chain),
    ];
    for (name, field) in fields {
        let mut changed = raw.clone();
        let mut bytes = field(&mut changed).clone();
        let accepted = flips(&mut bytes, Every::Byte, |bytes| {
            bytes.clone_into(field(&mut changed));
            Endorsements::verify(&changed, &anchors, now).is_ok()
        });
        assert_eq!(accepted, [], "{name}");
    }
}

type Field = fn(&mut RawEndorsements) -> &mut Vec<u8>;

enum Every {
    Bit,
    /// One bit of each byte, another one from byte to byte.
    Byte,
}

/// The flips that were accepted, as (byte, bit).
fn flips(bytes: &mut [u8], every: Every, mut accepts: impl FnMut(&[u8]) -> bool) -> Vec<(usize, usize)> {
    let mut accepted = Vec::new();
    for index in 0..bytes.len() {
        let bits = match every {
            Every::Bit => 0..8,
            Every::Byte => index * 5 % 8..index * 5 % 8 + 1,
        };
        for bit in bits {
            bytes[index] ^= 1 << bit;
            if accepts(bytes) {
                accepted.push((index, bit));
            }
            bytes[index] ^= 1 << bit;
        }
    }
    accepted
}
