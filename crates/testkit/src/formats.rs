//! The endorsements of a forgery in the files people keep them in.

use serde_json::json;

use crate::intel::Minted;
use crate::x509::pem;

/// The blob of the Open Enclave SDK: u32 version, type, size and count, offsets, then nine elements, each
/// ended by a NUL (Open Enclave SDK, `internal/sgx/collateral.h`); integers in little-endian.
#[must_use]
pub fn open_enclave(minted: &Minted, created: &str) -> Vec<u8> {
    let with_nul = |bytes: &[u8]| [bytes, &[0]].concat();
    let elements = [
        1_u32.to_le_bytes().to_vec(),
        with_nul(&minted.tcb_info),
        with_nul(&minted.tcb_info_issuer_chain),
        with_nul(pem("X509 CRL", &minted.pck_crl).as_bytes()),
        with_nul(pem("X509 CRL", &minted.root_ca_crl).as_bytes()),
        with_nul(&minted.pck_crl_issuer_chain),
        with_nul(&minted.qe_identity),
        with_nul(&minted.qe_identity_issuer_chain),
        with_nul(created.as_bytes()),
    ];
    let u32_of = |length: usize| u32::try_from(length).expect("short").to_le_bytes();
    let mut offsets = Vec::new();
    let mut data = Vec::new();
    for element in &elements {
        offsets.extend_from_slice(&u32_of(data.len()));
        data.extend_from_slice(element);
    }
    let header = [
        1_u32.to_le_bytes(),
        2_u32.to_le_bytes(),
        u32_of(offsets.len() + data.len()),
        u32_of(elements.len()),
    ];
    [header.concat(), offsets, data].concat()
}

/// `sgx_ql_qve_collateral_t` as attestation agents serialise it: big-endian u16 major and minor version,
/// u32 TEE type, then seven items, each a u64 length and its bytes with a NUL.
#[must_use]
pub fn serialised_collateral(minted: &Minted) -> Vec<u8> {
    let items = [
        minted.pck_crl_issuer_chain.clone(),
        pem("X509 CRL", &minted.root_ca_crl).into_bytes(),
        pem("X509 CRL", &minted.pck_crl).into_bytes(),
        minted.tcb_info_issuer_chain.clone(),
        minted.tcb_info.clone(),
        minted.qe_identity_issuer_chain.clone(),
        minted.qe_identity.clone(),
    ];
    let mut out = vec![0, 3, 0, 1, 0, 0, 0, 0];
    for mut item in items {
        item.push(0);
        out.extend_from_slice(&u64::try_from(item.len()).expect("short").to_be_bytes());
        out.extend_from_slice(&item);
    }
    out
}

/// The JSON of the `dcap-qvl` library (`QuoteCollateralV3`): signed texts without their envelope,
/// signatures and revocation lists in hexadecimal.
#[must_use]
pub fn dcap_qvl(minted: &Minted) -> Vec<u8> {
    let (tcb_info, tcb_info_signature) = split(&minted.tcb_info);
    let (qe_identity, qe_identity_signature) = split(&minted.qe_identity);
    json!({
        "pck_crl_issuer_chain": text(&minted.pck_crl_issuer_chain),
        "root_ca_crl": hex::encode(&minted.root_ca_crl),
        "pck_crl": hex::encode(&minted.pck_crl),
        "tcb_info_issuer_chain": text(&minted.tcb_info_issuer_chain),
        "tcb_info": tcb_info,
        "tcb_info_signature": tcb_info_signature,
        "qe_identity_issuer_chain": text(&minted.qe_identity_issuer_chain),
        "qe_identity": qe_identity,
        "qe_identity_signature": qe_identity_signature,
    })
    .to_string()
    .into_bytes()
}

/// TCB info as client libraries record it: the document as a string beside its issuer chain.
#[must_use]
pub fn tcb_info_wrapper(minted: &Minted) -> Vec<u8> {
    json!({ "issuer_chain": text(&minted.tcb_info_issuer_chain), "tcb_info_json": text(&minted.tcb_info) })
        .to_string()
        .into_bytes()
}

/// QE identity as client libraries record it: the document as a string beside its issuer chain.
#[must_use]
pub fn qe_identity_wrapper(minted: &Minted) -> Vec<u8> {
    json!({
        "issuer_chain": text(&minted.qe_identity_issuer_chain),
        "enclave_identity_json": text(&minted.qe_identity),
    })
    .to_string()
    .into_bytes()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// `{"name":BODY,"signature":"HEX"}` taken apart.
fn split(document: &[u8]) -> (&str, &str) {
    let document = text(document);
    let start = document.find(':').expect("a member") + 1;
    let (body, rest) = document[start..].rsplit_once(r#","signature":""#).expect("a signature");
    (body, rest.trim_end_matches(r#""}"#))
}
