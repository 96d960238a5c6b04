//! Every SGX and Open Enclave entry of the captures' manifest yields what the manifest expects of it.
//!
//! Absent captures skip the test, loudly; with `CI=true` they fail it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop, and say what it did"
)]

mod endorsements;
mod files;
mod quotes;
mod sdk;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use testkit::captures::{Captures, Entry};

/// What a check came to.
enum Outcome {
    /// Everything that the manifest expects was compared.
    Checked,
    /// Not for us, and why.
    Skipped(&'static str),
    /// The manifest says nothing of it; it was looked at all the same.
    WithoutExpectation,
}

type Check = fn(&Captures, &Entry) -> Outcome;

/// The kinds, how each is checked, and how many entries are at least checked.
const KINDS: &[(&str, Check, usize)] = &[
    ("attested-tls-cert", quotes::attested_tls_certificate, 1),
    ("enclave-held-data", quotes::enclave_held_data, 4),
    ("issuer-chain", files::chain, 2),
    ("oe-endorsements", endorsements::set, 2),
    ("oe-report", quotes::quote, 5),
    ("pck-cert", files::part_of_the_sample, 0),
    ("pck-chain", files::part_of_the_sample, 0),
    ("pck-crl", endorsements::revocation_list, 7),
    ("pcs-client-response-json", endorsements::document_with_chain, 4),
    ("qeidentity", endorsements::document, 8),
    ("qeidentity-with-chain-json", endorsements::document_with_chain, 1),
    ("qve-collateral-dump", endorsements::set, 1),
    ("qve-collateral-serialised", endorsements::set, 1),
    ("qveidentity", endorsements::document, 1),
    ("quote-collateral-v3-json", endorsements::set, 4),
    ("quote-collateral-v3-yaml", files::yaml, 0),
    ("root-ca", files::root, 0),
    ("root-ca-crl", endorsements::revocation_list, 5),
    ("sgx-attestation-json", quotes::attestation_json, 2),
    ("sgx-quote-json", quotes::quote_json, 4),
    ("sgx-quote-v3", quotes::quote, 13),
    ("tcb-evaluation-numbers", files::evaluation_numbers, 0),
    ("tcb-signing-cert", files::signing_certificate, 0),
    ("tcb-signing-chain", files::chain, 2),
    ("tcb-with-chain-json", endorsements::document_with_chain, 2),
    ("tcbinfo", endorsements::document, 8),
    ("test-root-ca", files::part_of_the_sample, 0),
];

#[test]
fn every_entry_yields_what_the_manifest_expects() {
    let Some(captures) = Captures::find() else {
        return;
    };
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in captures.entries() {
        let Some((kind, check, _)) = KINDS.iter().find(|(kind, ..)| *kind == entry.kind) else {
            continue;
        };
        let count = counts.entry(kind).or_default();
        match catch_unwind(AssertUnwindSafe(|| check(&captures, entry))) {
            Ok(Outcome::Checked) => count[0] += 1,
            Ok(Outcome::Skipped(reason)) => {
                count[1] += 1;
                reasons.insert(kind, reason);
            }
            Ok(Outcome::WithoutExpectation) => count[2] += 1,
            Err(_) => wrong.push(entry.path.clone()),
        }
    }
    println!("{:28} {:>7} {:>7} {:>19}", "kind", "checked", "skipped", "without expectation");
    for (kind, [checked, skipped, without]) in &counts {
        let reason = reasons.get(kind).unwrap_or(&"");
        println!("{kind:28} {checked:>7} {skipped:>7} {without:>19}  {reason}");
    }
    assert!(wrong.is_empty(), "not as expected: {}", wrong.join(", "));
    for (kind, _, least) in KINDS {
        let checked = counts.get(kind).map_or(0, |count| count[0]);
        assert!(checked >= *least, "{checked} entries of kind {kind} were checked, {least} before");
    }
}
