//! Endorsements: what each says of itself, and that its signature holds, or does not.

use evidence::TrustAnchors;
use evidence::dcap::formats::{Collection, Item, ItemKind};
use evidence::dcap::{Endorsements, EndorsementsId, PckCa, RawEndorsements, Tee};
use serde_json::Value;
use testkit::captures::sgx;
use testkit::captures::{Captures, Entry};
use testkit::intel::{Ca, Forge};
use testkit::names;
use testkit::x509::pem;
use time::{Duration, OffsetDateTime};

use crate::Outcome;

/// A signed document alone: its signer is among the captured issuer chains.
pub(crate) fn document(captures: &Captures, entry: &Entry) -> Outcome {
    let mut collection = Collection::new();
    let bytes = captures.read(&entry.path);
    let count = collection.add(&bytes).unwrap_or_else(|error| panic!("{}: {error}", entry.path));
    if entry.json["expected"]["id"] == "QVE" {
        assert_eq!(count, 0, "the identity of the quote verification enclave is of no use");
        return Outcome::Checked;
    }
    let item = collection.items().next().expect("one document");
    described(item, &entry.json["expected"]);
    let verified = issuer_chains(captures, entry).iter().any(|chain| verifies(captures, entry, item, chain));
    assert_eq!(verified, entry.json["expected"]["verdict"] != "reject", "signature");
    Outcome::Checked
}

/// A signed document in one file with its issuer chain.
pub(crate) fn document_with_chain(captures: &Captures, entry: &Entry) -> Outcome {
    let expected = &entry.json["expected"];
    let mut collection = Collection::new();
    let added = collection.add(&captures.read(&entry.path));
    let genuine = expected["verdict"] != "reject";
    if expected["id"] == "QVE" {
        assert_eq!(added, Ok(0), "the identity of the quote verification enclave is of no use");
        return Outcome::Checked;
    }
    match added {
        Ok(_) => {}
        Err(error) if genuine => panic!("{error}"),
        Err(_) => return Outcome::Checked,
    }
    let item =
        collection.items().find(|item| !matches!(item.kind, ItemKind::Certificate(_))).expect("a document");
    let chain = item.issuer_chain.clone().expect("its issuer chain");
    if genuine {
        described(item, expected);
    }
    assert_eq!(verifies(captures, entry, item, &chain), genuine, "signature");
    Outcome::Checked
}

/// What a document says of itself, against the manifest.
fn described(item: &Item, expected: &Value) {
    let window = |member: &str| sgx::time(&expected[member]).unwrap();
    let validity = item.unverified_validity;
    assert_eq!((validity.not_before, validity.not_after), (window("issueDate"), window("nextUpdate")));
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    if let Some(expected) = number(&expected["tcbEvaluationDataNumber"]) {
        assert_eq!(item.unverified_number, expected, "evaluation data number");
    }
    match item.kind {
        ItemKind::TcbInfo { tee, fmspc } => {
            assert_eq!(tee == Tee::Tdx, expected["id"] == "TDX");
            if let Some(expected) = expected["fmspc"].as_str() {
                assert_eq!(hex::encode(fmspc), expected.to_ascii_lowercase());
            }
        }
        ItemKind::QeIdentity(Tee::Sgx) => assert_eq!(expected["id"], "QE"),
        ItemKind::QeIdentity(Tee::Tdx) => assert_eq!(expected["id"], "TD_QE"),
        kind => panic!("a {kind}"),
    }
}

/// Every captured chain of two that could have signed a document, those of the entry's directory included.
fn issuer_chains(captures: &Captures, entry: &Entry) -> Vec<Vec<u8>> {
    let root = pem("CERTIFICATE", &captures.read("collateral/automata-2025-10/root.der"));
    let mut chains = Vec::new();
    for other in captures.entries() {
        let bytes = || captures.read(&other.path);
        match other.kind.as_str() {
            "tcb-signing-chain" | "issuer-chain" => chains.push(sgx::strict_pem(&bytes())),
            "tcb-signing-cert" => {
                let bytes = bytes();
                let signer = if bytes.starts_with(b"-") {
                    sgx::strict_pem(&bytes)
                } else {
                    pem("CERTIFICATE", &bytes).into_bytes()
                };
                chains.push([&signer, root.as_bytes()].concat());
            }
            _ => {}
        }
    }
    assert!(!chains.is_empty(), "{}: no issuer chains", entry.path);
    chains
}

/// Whether a document verifies under `chain` in the middle of its window, everything else being forged under
/// a root of our own.
fn verifies(captures: &Captures, entry: &Entry, item: &Item, chain: &[u8]) -> bool {
    let validity = item.unverified_validity;
    let at = sgx::middle(validity.not_before, validity.not_after);
    let mut forge = Forge::new(Ca::Platform, at);
    forge.qe_identity.evaluation_data_number = u32::MAX;
    forge.tcb_info.evaluation_data_number = u32::MAX;
    let tdx = matches!(item.kind, ItemKind::TcbInfo { tee: Tee::Tdx, .. } | ItemKind::QeIdentity(Tee::Tdx));
    if tdx {
        forge.for_tdx();
    }
    let minted = forge.mint();
    let mut raw = minted.endorsements();
    let tcb_info = matches!(item.kind, ItemKind::TcbInfo { .. });
    let (body, issuers) = if tcb_info {
        (&mut raw.tcb_info, &mut raw.tcb_info_issuer_chain)
    } else {
        (&mut raw.qe_identity, &mut raw.qe_identity_issuer_chain)
    };
    item.body.clone_into(body);
    chain.clone_into(issuers);
    let root = trusted_root(captures, entry);
    let anchors = TrustAnchors::with_roots(&[&minted.root], &[&minted.root, &root]).expect("two roots");
    let Ok(endorsements) = Endorsements::verify(&raw, &anchors, at) else {
        return false;
    };
    assert_eq!(u64::from(endorsements.tcb_evaluation_data_number()), item.unverified_number);
    if let ItemKind::TcbInfo { fmspc, .. } = item.kind {
        assert_eq!(endorsements.id().fmspc, fmspc);
    }
    true
}

/// Intel's root or, for the sample of Intel's library, the sample's.
fn trusted_root(captures: &Captures, entry: &Entry) -> Vec<u8> {
    if entry.path.starts_with("collateral/intel-qvl-sample/") {
        sgx::strict_pem(&captures.read("collateral/intel-qvl-sample/sgx/trustedRootCaCert.pem"))
    } else {
        pem("CERTIFICATE", &captures.read("collateral/automata-2025-10/root.der")).into_bytes()
    }
}

/// A revocation list: its window, and that its issuer signed it.
pub(crate) fn revocation_list(captures: &Captures, entry: &Entry) -> Outcome {
    let expected = &entry.json["expected"];
    let item = Item::new(captures.read(&entry.path), None).unwrap();
    let root_list = item.kind == ItemKind::RootCaCrl;
    assert_eq!(root_list, entry.kind == "root-ca-crl");
    let validity = item.unverified_validity;
    let at = sgx::middle(validity.not_before, validity.not_after);
    let (chain, other) = issuers(captures, entry, &item);
    let forge = Forge::new(Ca::Processor, at);
    let minted = forge.mint();
    // The list of the other level comes from the captures too; where none is of the time, any time will do
    // up to the last step, which compares the windows.
    let mut raw = RawEndorsements { pck_crl_issuer_chain: chain, ..minted.endorsements() };
    raw.root_ca_crl = if root_list { item.body.clone() } else { other.clone() };
    raw.pck_crl = if root_list { other } else { item.body.clone() };
    let root = trusted_root(captures, entry);
    let anchors = TrustAnchors::with_roots(&[&root], &[&minted.root]).expect("two roots");
    let outcome =
        Endorsements::verify(&raw, &anchors, at).map_err(|rejection| names::endorsement(&rejection.error));
    assert!(
        outcome.is_ok() || outcome.as_ref().is_err_and(|error| error == "Endorsement.Validity"),
        "{outcome:?}"
    );
    raw.root_ca_crl.reverse();
    assert!(Endorsements::verify(&raw, &anchors, at).is_err());
    if expected.is_null() {
        return Outcome::WithoutExpectation;
    }
    let window = |member: &str| sgx::time(&expected[member]).unwrap();
    assert_eq!((validity.not_before, validity.not_after), (window("last_update"), window("next_update")));
    let revoked = expected["revoked"]
        .as_u64()
        .or_else(|| expected["revoked_serials"].as_array().and_then(|list| list.len().try_into().ok()));
    if let (Ok(endorsements), Some(revoked), false) = (outcome, revoked, root_list) {
        assert_eq!(u64::try_from(endorsements.pck_crl_revoked_count()), Ok(revoked), "revoked certificates");
    }
    Outcome::Checked
}

/// The issuer chain that a list needs, and a list of the other level by the same root, of the same time if
/// there is one.
fn issuers(captures: &Captures, entry: &Entry, item: &Item) -> (Vec<u8>, Vec<u8>) {
    if entry.path.starts_with("collateral/intel-qvl-sample/") {
        let file = |name: &str| captures.read(&format!("collateral/intel-qvl-sample/sgx/{name}"));
        let chain = sgx::strict_pem(&file("pckSignChain.pem"));
        let other = if item.kind == ItemKind::RootCaCrl { "intermediateCaCrl.der" } else { "rootCaCrl.der" };
        return (chain, file(other));
    }
    let ca = if item.kind == ItemKind::PckCrl(PckCa::Platform) { PckCa::Platform } else { PckCa::Processor };
    let quote = match ca {
        PckCa::Platform => "sgx/trustee/occlum_quote.dat",
        PckCa::Processor => "sgx/dcap-qvl/sgx_quote.bin",
    };
    let bytes = captures.read(quote);
    let quote = sgx::parse(sgx::Wrapping::Quote, &bytes).unwrap();
    let chain = quote.pck_chain().unwrap().issuer_chain_pem();
    let wanted = if item.kind == ItemKind::RootCaCrl { "pck-crl" } else { "root-ca-crl" };
    let kind = if item.kind == ItemKind::RootCaCrl { ItemKind::PckCrl(ca) } else { ItemKind::RootCaCrl };
    let validity = item.unverified_validity;
    let at = sgx::middle(validity.not_before, validity.not_after);
    let others = captures
        .entries()
        .iter()
        .filter(|other| other.kind == wanted && !other.path.starts_with("collateral/intel-qvl-sample/"));
    let others = others.map(|other| Item::new(captures.read(&other.path), None).unwrap());
    let other =
        others.filter(|other| other.kind == kind).max_by_key(|other| other.unverified_validity.contains(at));
    (chain, other.expect("a list of the other level").body)
}

/// A whole set in one file.
pub(crate) fn set(captures: &Captures, entry: &Entry) -> Outcome {
    let expected = &entry.json["expected"];
    let bytes = captures.read(&entry.path);
    let mut collection = Collection::new();
    collection.add(&bytes).unwrap_or_else(|error| panic!("{}: {error}", entry.path));
    if let Some(header) = expected["header"].as_object() {
        assert_eq!(header["version"], 1);
    }
    for item in collection.items() {
        match item.kind {
            ItemKind::TcbInfo { .. } => described(item, &as_tcb_info(&expected["tcb_info"])),
            ItemKind::QeIdentity(_) => described(item, &expected["qe_identity"]),
            ItemKind::RootCaCrl => listed(item, &expected["root_ca_crl"]),
            ItemKind::PckCrl(_) => listed(item, &expected["pck_crl"]),
            ItemKind::Certificate(_) => {}
        }
    }
    let tee = if expected["tcb_info"]["id"] == "TDX" { Tee::Tdx } else { Tee::Sgx };
    let fmspc = hex::decode(expected["tcb_info"]["fmspc"].as_str().unwrap()).unwrap();
    let platform = expected["pck_crl"]["issuer"].as_str().unwrap().contains("Platform");
    let ca = if platform { PckCa::Platform } else { PckCa::Processor };
    let id = EndorsementsId { tee, fmspc: fmspc.try_into().unwrap(), ca };
    let from = sgx::time(&expected["all_current_from"]).unwrap();
    let to = sgx::time(&expected["all_current_to"]).unwrap();
    assert_eq!(expected["tcb_info_signature_ok"], true);
    assert_eq!(expected["qe_identity_signature_ok"], true);
    let verify = |at: OffsetDateTime| {
        let raw = collection.select(&id, None, at).unwrap_or_else(|missing| panic!("{missing}"));
        Endorsements::verify(&raw, &TrustAnchors::pinned(), at)
            .map_err(|rejection| names::endorsement(&rejection.error))
    };
    if from > to {
        // Nothing but the windows stands against them: every signature is checked before.
        for at in [from, to, sgx::middle(from, to)] {
            assert_eq!(verify(at).err().as_deref(), Some("Endorsement.Validity"));
        }
        return Outcome::Checked;
    }
    for at in [from, sgx::middle(from, to), to] {
        let endorsements = verify(at).unwrap_or_else(|error| panic!("at {at}: {error}"));
        assert_eq!(endorsements.id(), id);
        assert_eq!(
            u64::try_from(endorsements.pck_crl_revoked_count()).ok(),
            expected["pck_crl"]["revoked"].as_u64()
        );
        assert_eq!(endorsements.expires().at, to);
    }
    for at in [from - Duration::SECOND, to + Duration::SECOND] {
        assert_eq!(verify(at).err().as_deref(), Some("Endorsement.Validity"), "at {at}");
    }
    Outcome::Checked
}

/// TCB info of version 2 has no `id`; the manifest calls it `SGX(v2)`.
fn as_tcb_info(expected: &Value) -> Value {
    let mut expected = expected.clone();
    if expected["id"] == "SGX(v2)" {
        expected["id"] = Value::Null;
    }
    expected
}

fn listed(item: &Item, expected: &Value) {
    let window = |member: &str| sgx::time(&expected[member]).unwrap();
    let validity = item.unverified_validity;
    assert_eq!((validity.not_before, validity.not_after), (window("last"), window("next")));
}
