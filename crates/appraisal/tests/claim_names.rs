//! The names that policies may read are those that evidence yields.

use appraisal::{SGX_CLAIM_NAMES, incoming, sgx_claims};
use evidence::dcap::Endorsements;
use evidence::sgx::Quote;
use testkit::intel::report::KSS;
use testkit::intel::{Ca, Forge};
use time::macros::datetime;

#[test]
fn an_enclave_with_everything_yields_every_name() {
    let now = datetime!(2026-01-01 0:00 UTC);
    let mut forge = Forge::new(Ca::Platform, now);
    forge.quote.body.flags |= KSS;
    let minted = forge.mint();
    let endorsements = Endorsements::verify(&minted.endorsements(), &minted.anchors(), now).unwrap();
    let quote = Quote::parse(&minted.quote).unwrap();
    let pck = quote.pck_chain().unwrap().verify(&minted.anchors()).unwrap();
    let report = quote.verify(&pck, &endorsements, now).unwrap().bind(None, None).unwrap();
    let mut names: Vec<_> =
        incoming(&sgx_claims(&report)).into_iter().map(|claim| claim.claim_type).collect();
    names.sort();
    assert_eq!(names, SGX_CLAIM_NAMES);
}
