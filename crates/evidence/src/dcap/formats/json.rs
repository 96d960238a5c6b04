//! The JSON formats. Every one holds signed documents whose exact text counts, so members are taken as
//! raw text. Tools that read and write JSON again add white space to it; Intel publishes none, so it is
//! taken out, and the signature says whether that was right.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::recognise::{blob, issuer_chain, trim};
use super::{FormatError, Item};
use crate::dcap::signed_json::refuse_duplicate_members;

/// The members of an object, with their text as it stands in the file.
type Members<'a> = BTreeMap<&'a str, &'a RawValue>;

/// The items of a JSON object of a known format.
pub(super) fn items(text: &[u8]) -> Result<Vec<Item>, FormatError> {
    let first = first_member(text);
    // The common case is not read at all: the document's signature is over its text.
    if matches!(first, Some(b"tcbInfo" | b"enclaveIdentity")) {
        return document(text, None);
    }
    refuse_duplicate_members(text)?;
    let members: Members<'_> = serde_json::from_slice(text).map_err(|_| FormatError::Unknown)?;
    let has = |name| members.contains_key(name);
    if has("tcbInfo") || has("enclaveIdentity") {
        document(text, None)
    } else if has("tcbEvaluationDataNumbers") || has("raw_tcb_evaluation_data_numbers") {
        // Signed, but about evaluation numbers only; nothing here needs it.
        Ok(Vec::new())
    } else if has("tcb_info_signature") {
        dcap_qvl(&members)
    } else if has("tcb_info_json") || has("enclave_identity_json") {
        teepot(&members)
    } else if has("raw_tcb_info") || has("raw_enclave_identity") {
        fortanix(&members)
    } else if let Some(collaterals) = members.get("collaterals") {
        pccs_admin(collaterals)
    } else {
        Err(FormatError::Unknown)
    }
}

/// A signed document, perhaps with white space in it.
pub(super) fn document(text: &[u8], chain: Option<Vec<u8>>) -> Result<Vec<Item>, FormatError> {
    let text = compact(trim(text));
    // The identity of the quote verification enclave is an enclave identity that nothing here needs.
    if first_member(&text) == Some(b"enclaveIdentity") {
        return Ok(Item::qe_identity(text, chain)?.into_iter().collect());
    }
    Ok(vec![Item::new(text, chain)?])
}

/// `QuoteCollateralV3` of the dcap-qvl crate: signed values and signatures apart, CRLs in hexadecimal.
fn dcap_qvl(members: &Members<'_>) -> Result<Vec<Item>, FormatError> {
    let text = |part| member_text(members, "dcap-qvl JSON", part);
    let signed = |name: &str, value: &'static str, signature: &'static str| {
        Ok::<_, FormatError>(joined(name, &text(value)?, &text(signature)?))
    };
    let chain = |part| issuer_chain(text(part)?.as_bytes());
    let tcb_info = signed("tcbInfo", "tcb_info", "tcb_info_signature")?;
    let qe_identity = signed("enclaveIdentity", "qe_identity", "qe_identity_signature")?;
    let mut items = document(tcb_info.as_bytes(), Some(chain("tcb_info_issuer_chain")?))?;
    items.extend(document(qe_identity.as_bytes(), Some(chain("qe_identity_issuer_chain")?))?);
    items.extend(blob(text("root_ca_crl")?.as_bytes(), None)?);
    items.extend(blob(text("pck_crl")?.as_bytes(), Some(text("pck_crl_issuer_chain")?.as_bytes()))?);
    Ok(items)
}

/// A document as text, and its issuer chain, as the client of teepot keeps them.
fn teepot(members: &Members<'_>) -> Result<Vec<Item>, FormatError> {
    let text = |part| member_text(members, "document with chain", part);
    let chain = issuer_chain(text("issuer_chain")?.as_bytes())?;
    let part = if members.contains_key("tcb_info_json") { "tcb_info_json" } else { "enclave_identity_json" };
    document(text(part)?.as_bytes(), Some(chain))
}

/// A signed value as text, its signature in DER as a list of bytes, and its chain as a list of PEM texts,
/// as the client of Fortanix keeps them.
fn fortanix(members: &Members<'_>) -> Result<Vec<Item>, FormatError> {
    let malformed = |part| FormatError::Part { format: "document with chain", part };
    let (part, name) = if members.contains_key("raw_tcb_info") {
        ("raw_tcb_info", "tcbInfo")
    } else {
        ("raw_enclave_identity", "enclaveIdentity")
    };
    let value = member_text(members, "document with chain", part)?;
    let signature: Vec<u8> = member(members, "signature").ok_or_else(|| malformed("signature"))?;
    let signature = raw_signature(&signature).ok_or_else(|| malformed("signature"))?;
    let chain: Vec<String> = member(members, "ca_chain").ok_or_else(|| malformed("ca_chain"))?;
    let chain = issuer_chain(chain.concat().as_bytes())?;
    document(joined(name, &value, &hex::encode(signature)).as_bytes(), Some(chain))
}

/// What Intel's PCCS admin tool fetches for a list of platforms.
fn pccs_admin(collaterals: &RawValue) -> Result<Vec<Item>, FormatError> {
    let malformed = |part| FormatError::Part { format: "PCCS admin tool JSON", part };
    let members: Members<'_> =
        serde_json::from_str(collaterals.get()).map_err(|_| malformed("collaterals"))?;
    let certificates: BTreeMap<String, &RawValue> = member(&members, "certificates").unwrap_or_default();
    let chain = |names: [&str; 2]| {
        let text: String =
            names.iter().find_map(|name| serde_json::from_str(certificates.get(*name)?.get()).ok())?;
        issuer_chain(text.as_bytes()).ok()
    };
    let tcb_chain = chain(["TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"]);
    let qe_chain = chain(["SGX-Enclave-Identity-Issuer-Chain", "Enclave-Identity-Issuer-Chain"]);
    let pck_chains: BTreeMap<String, String> = certificates
        .get("SGX-PCK-Certificate-Issuer-Chain")
        .and_then(|chains| serde_json::from_str(chains.get()).ok())
        .unwrap_or_default();

    let mut items = Vec::new();
    let tcb_infos: Vec<Members<'_>> = member(&members, "tcbinfos").unwrap_or_default();
    for (name, tcb_info) in tcb_infos.into_iter().flatten() {
        if name.contains("tcbinfo") {
            items.extend(document(tcb_info.get().as_bytes(), tcb_chain.clone())?);
        }
    }
    for (name, identity) in &members {
        if name.contains("identity") {
            let text: String = serde_json::from_str(identity.get()).map_err(|_| malformed("identity"))?;
            if !text.is_empty() {
                items.extend(document(text.as_bytes(), qe_chain.clone())?);
            }
        }
    }
    let pck_crls: BTreeMap<String, String> = member(&members, "pckcacrl").unwrap_or_default();
    for (name, crl) in &pck_crls {
        let ca = if name == "platformCrl" { "PLATFORM" } else { "PROCESSOR" };
        items.extend(blob(crl.as_bytes(), pck_chains.get(ca).map(String::as_bytes))?);
    }
    let root_crl: String = member(&members, "rootcacrl").unwrap_or_default();
    if !root_crl.is_empty() {
        items.extend(blob(root_crl.as_bytes(), None)?);
    }
    Ok(items)
}

fn member<'a, T: Deserialize<'a>>(members: &Members<'a>, name: &str) -> Option<T> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

fn member_text(
    members: &Members<'_>,
    format: &'static str,
    part: &'static str,
) -> Result<String, FormatError> {
    member(members, part).ok_or(FormatError::Part { format, part })
}

/// The document that a signed value and its signature are parts of.
fn joined(name: &str, value: &str, signature: &str) -> String {
    format!("{{\"{name}\":{value},\"signature\":\"{signature}\"}}")
}

/// The name of an object's first member, if it is written plainly.
fn first_member(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    text.split(|byte| *byte == b'"').next()
}

/// JSON without the white space between its tokens; texts keep theirs.
fn compact(json: &[u8]) -> Vec<u8> {
    let mut compact = Vec::with_capacity(json.len());
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_text = *byte == b'"';
        }
        compact.push(*byte);
    }
    compact
}

/// r ‖ s of a DER `ECDSA-Sig-Value` (RFC 3279 §2.2.3).
fn raw_signature(der: &[u8]) -> Option<[u8; 64]> {
    use der::Reader as _;
    let mut reader = der::SliceReader::new(der).ok()?;
    let numbers = reader.sequence(|r| {
        Ok::<_, der::Error>((r.decode::<der::asn1::UintRef<'_>>()?, r.decode::<der::asn1::UintRef<'_>>()?))
    });
    let (r, s) = numbers.ok()?;
    let mut raw = [0; 64];
    let (first, second) = raw.split_at_mut(32);
    for (half, number) in [(first, r), (second, s)] {
        let start = half.len().checked_sub(number.as_bytes().len())?;
        half.get_mut(start..)?.copy_from_slice(number.as_bytes());
    }
    Some(raw)
}
