//! SGX evidence and its endorsements.

use std::sync::OnceLock;

use evidence::dcap::formats::Collection;
use evidence::dcap::{Endorsements, RawEndorsements};
use evidence::sgx::Quote;
use evidence::{TrustAnchors, open_enclave};

use crate::intel::{Ca, Certification, Forge, Minted};
use crate::scenarios::NOW;

/// An SGX quote: parsed, and verified under Intel's root.
pub fn sgx_quote(data: &[u8]) {
    if let Ok(quote) = Quote::parse(data) {
        verify(&quote);
    }
}

/// Open Enclave evidence, likewise.
pub fn open_enclave_report(data: &[u8]) {
    if let Ok(report) = open_enclave::Report::parse(data) {
        verify(report.quote());
    }
}

/// The PEM chain inside a quote.
pub fn pck_chain(data: &[u8]) {
    let mut forge = world().forge.clone();
    forge.quote.certification = Certification::Other { kind: 5, data: data.to_vec() };
    sgx_quote(&forge.quote.around(&[]));
}

/// The SGX extension of a PCK certificate, inside a chain that is sound otherwise.
///
/// # Panics
/// If the chain around it is not.
pub fn sgx_extension(data: &[u8]) {
    let mut forge = world().forge.clone();
    forge.sgx.value = Some(data.to_vec());
    let minted = forge.mint();
    let quote = Quote::parse(&minted.quote).expect("the quote around the chain is sound");
    if let Ok(chain) = quote.pck_chain() {
        let _ = chain.verify(&world().anchors);
    }
}

/// The issuer chain of a signed document.
pub fn signer_chain(data: &[u8]) {
    endorse(|raw| raw.tcb_info_issuer_chain = data.to_vec());
}

/// An operator's own root.
pub fn trust_anchor(data: &[u8]) {
    let _ = TrustAnchors::with_roots(&[data], &[]);
}

/// A revocation list, as the root's and as the PCK authority's.
pub fn crl(data: &[u8]) {
    endorse(|raw| raw.root_ca_crl = data.to_vec());
    endorse(|raw| raw.pck_crl = data.to_vec());
}

/// TCB info: as a document that came from anywhere, and as the signed value of a genuine one, because
/// nothing is parsed before its signature is checked.
pub fn tcb_info(data: &[u8]) {
    endorse(|raw| raw.tcb_info = data.to_vec());
    endorse(|raw| raw.tcb_info = sign("tcbInfo", data));
}

/// QE identity, likewise.
pub fn qe_identity(data: &[u8]) {
    endorse(|raw| raw.qe_identity = data.to_vec());
    endorse(|raw| raw.qe_identity = sign("enclaveIdentity", data));
}

/// A file of endorsements in whatever format.
///
/// # Panics
/// If the forged quote that needs them is not sound.
pub fn endorsement_file(data: &[u8]) {
    let mut collection = Collection::new();
    if collection.add(data).is_ok() {
        let quote = Quote::parse(&world().minted.quote).expect("a sound quote");
        let chain = quote.pck_chain().expect("a sound chain");
        let _ = collection.select(&chain.endorsements_id(), Some(&chain.issuer_chain_pem()), NOW);
    }
}

/// The forged world that untrusted parts are put into.
pub(super) struct World {
    pub(super) forge: Forge,
    pub(super) minted: Minted,
    anchors: TrustAnchors,
    endorsements: Endorsements,
}

pub(super) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let forge = Forge::new(Ca::Platform, NOW);
        let minted = forge.mint();
        let anchors = minted.anchors();
        let endorsements =
            Endorsements::verify(&minted.endorsements(), &anchors, NOW).expect("a sound world");
        World { forge, minted, anchors, endorsements }
    })
}

/// Verification must say no: nothing that a fuzzer makes is signed by Intel. Real quotes are, but their
/// endorsements are not this world's.
fn verify(quote: &Quote<'_>) {
    let Ok(chain) = quote.pck_chain() else {
        return;
    };
    if let Ok(pck) = chain.verify(&TrustAnchors::pinned()) {
        assert!(quote.verify(&pck, &world().endorsements, NOW).is_err(), "a forged quote verifies");
    }
}

fn endorse(change: impl FnOnce(&mut RawEndorsements)) {
    let mut raw = world().minted.endorsements();
    change(&mut raw);
    let _ = Endorsements::verify(&raw, &world().anchors, NOW);
}

/// `{"member":VALUE,"signature":"..."}`, signed by the world's TCB signing key.
fn sign(member: &str, value: &[u8]) -> Vec<u8> {
    let signature = hex::encode(world().forge.chain.tcb_signing.key.sign_fixed(value));
    let (start, end) = (format!("{{\"{member}\":"), format!(",\"signature\":\"{signature}\"}}"));
    [start.as_bytes(), value, end.as_bytes()].concat()
}
