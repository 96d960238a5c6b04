//! Every captured file of endorsements is recognised by content, and whole sets verify at their time.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, clippy::print_stdout, missing_docs)]

mod support;

use evidence::dcap::formats::{Collection, ItemKind};
use evidence::dcap::{EndorsementError, Endorsements, EndorsementsId, PckCa, Tee};
use evidence::{TrustAnchors, Validity};
use serde_json::Value;
use support::Vectors;
use time::macros::datetime;

/// Kinds of the manifest that hold endorsements.
const KINDS: [&str; 15] = [
    "issuer-chain",
    "oe-endorsements",
    "pck-cert",
    "pck-chain",
    "pck-crl",
    "pcs-client-response-json",
    "qeidentity",
    "qeidentity-with-chain-json",
    "quote-collateral-v3-json",
    "qve-collateral-dump",
    "qve-collateral-serialised",
    "qveidentity",
    "root-ca",
    "root-ca-crl",
    "tcb-evaluation-numbers",
];
const MORE_KINDS: [&str; 5] =
    ["tcb-signing-cert", "tcb-signing-chain", "tcb-with-chain-json", "tcbinfo", "test-root-ca"];

#[test]
fn every_file_of_endorsements_is_recognised() {
    let Some(vectors) = Vectors::load() else { return };
    let mut files = 0;
    for entry in &vectors.entries {
        let (path, kind) = (entry["path"].as_str().unwrap(), entry["kind"].as_str().unwrap());
        if !KINDS.contains(&kind) && !MORE_KINDS.contains(&kind) {
            continue;
        }
        let mut collection = Collection::new();
        let count = collection.add(&vectors.read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        check_items(path, kind, count, &collection, &entry["expected"]);
        files += 1;
    }
    println!("recognised {files} files");
    assert!(files >= 60, "{files}");
}

fn check_items(path: &str, kind: &str, count: usize, collection: &Collection, expected: &Value) {
    let find = |wanted: fn(&ItemKind) -> bool| collection.items().find(|item| wanted(&item.kind));
    let check = |item: Option<&evidence::dcap::formats::Item>, expected: &Value| {
        let validity = item.unwrap_or_else(|| panic!("{path}: item missing")).unverified_validity;
        let from =
            ["issueDate", "last_update", "last"].iter().find_map(|name| support::time(&expected[name]));
        let to = ["nextUpdate", "next_update", "next"].iter().find_map(|name| support::time(&expected[name]));
        if let (Some(not_before), Some(not_after)) = (from, to) {
            assert_eq!(validity, Validity { not_before, not_after }, "{path}");
        }
    };
    match kind {
        "tcbinfo" | "tcb-with-chain-json" => {
            check(find(|kind| matches!(kind, ItemKind::TcbInfo { .. })), expected)
        }
        // One file of that kind is the identity of the verification enclave.
        "qeidentity" | "qeidentity-with-chain-json" if expected["id"] != "QVE" => {
            check(find(|kind| matches!(kind, ItemKind::QeIdentity(_))), expected);
        }
        "pck-crl" => check(find(|kind| matches!(kind, ItemKind::PckCrl(_))), expected),
        "root-ca-crl" => check(find(|kind| matches!(kind, ItemKind::RootCaCrl)), expected),
        "quote-collateral-v3-json"
        | "oe-endorsements"
        | "qve-collateral-serialised"
        | "qve-collateral-dump" => {
            assert_eq!(count, 4, "{path}");
            check(find(|kind| matches!(kind, ItemKind::TcbInfo { .. })), &expected["tcb_info"]);
            check(find(|kind| matches!(kind, ItemKind::QeIdentity(_))), &expected["qe_identity"]);
            check(find(|kind| matches!(kind, ItemKind::PckCrl(_))), &expected["pck_crl"]);
            check(find(|kind| matches!(kind, ItemKind::RootCaCrl)), &expected["root_ca_crl"]);
        }
        "tcb-evaluation-numbers" | "pck-cert" | "qveidentity" => assert_eq!(count, 0, "{path}"),
        "root-ca" | "tcb-signing-cert" | "test-root-ca" => assert_eq!(count, 1, "{path}"),
        "issuer-chain" | "tcb-signing-chain" => assert_eq!(count, 2, "{path}"),
        _ => {}
    }
}

/// The samples of Intel's verification library are under a root of their own.
#[test]
fn a_set_under_another_root_verifies_with_that_root_only() {
    let Some(vectors) = Vectors::load() else { return };
    let dir = "collateral/intel-qvl-sample/sgx";
    let mut collection = Collection::new();
    for file in
        ["tcbInfo.json", "qeIdentity.json", "rootCaCrl.der", "intermediateCaCrl.der", "tcbSignChain.pem"]
    {
        collection.add(&vectors.read(&format!("{dir}/{file}"))).unwrap();
    }
    let id = EndorsementsId { tee: Tee::Sgx, fmspc: [0, 0x70, 0x7f, 0, 0, 0], ca: PckCa::Processor };
    let now = datetime!(2020-01-01 00:00 UTC);
    let missing = collection.select(&id, None, now).unwrap_err();
    assert_eq!(missing.items, ["issuer chain of the PCK CRL"]);
    // That chain comes from the collection, too.
    collection.add(&vectors.read(&format!("{dir}/pckSignChain.pem"))).unwrap();
    let raw = collection.select(&id, None, now).unwrap();
    let root = vectors.read(&format!("{dir}/trustedRootCaCert.pem"));
    let own = TrustAnchors::with_roots(&[&root], &[&root]).unwrap();
    let endorsements = Endorsements::verify(&raw, &own, now).unwrap();
    assert_eq!(endorsements.id(), id);
    assert_eq!(endorsements.pck_crl_revoked_count(), 1);

    let untrusted = |anchors: &TrustAnchors| {
        let rejection = Endorsements::verify(&raw, anchors, now).unwrap_err();
        let EndorsementError::Chain { item, error } = rejection.error else { panic!("{rejection}") };
        assert_eq!(error, evidence::ChainError::UntrustedRoot);
        item
    };
    assert_eq!(untrusted(&TrustAnchors::pinned()), "PCK CRL");
    // Each role has roots of its own.
    assert_eq!(untrusted(&TrustAnchors::with_roots(&[&root], &[]).unwrap()), "TCB info");
    assert_eq!(untrusted(&TrustAnchors::with_roots(&[], &[&root]).unwrap()), "PCK CRL");
}

/// JSON that a tool wrote again, with white space and a URL-encoded chain, still verifies.
#[test]
fn the_json_of_intels_admin_tool_is_read() {
    let Some(vectors) = Vectors::load() else { return };
    let set: Value =
        serde_json::from_slice(&vectors.read("collateral/dcap-qvl/sgx_quote_collateral.json")).unwrap();
    let text = |name: &str| set[name].as_str().unwrap().to_owned();
    let encoded = |name: &str| text(name).replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B");
    let document = spread(&format!(
        r#"{{"tcbInfo":{},"signature":"{}"}}"#,
        text("tcb_info"),
        text("tcb_info_signature")
    ));
    let identity = format!(
        r#"{{"enclaveIdentity":{},"signature":"{}"}}"#,
        text("qe_identity"),
        text("qe_identity_signature")
    );
    let quoted = |text: String| serde_json::to_string(&text).unwrap();
    let file = format!(
        r#"{{"platforms": [], "collaterals": {{"version": 4, "pck_certs": [],
            "tcbinfos": [{{"fmspc": "00A067110000", "sgx_tcbinfo": {document}}}],
            "pckcacrl": {{"processorCrl": {}}}, "qeidentity": {}, "tdqeidentity": "",
            "certificates": {{"SGX-PCK-Certificate-Issuer-Chain": {{"PROCESSOR": {}}},
                "TCB-Info-Issuer-Chain": {}, "SGX-Enclave-Identity-Issuer-Chain": {}}},
            "rootcacrl": {}}}}}"#,
        quoted(text("pck_crl")),
        quoted(identity),
        quoted(encoded("pck_crl_issuer_chain")),
        quoted(encoded("tcb_info_issuer_chain")),
        quoted(encoded("qe_identity_issuer_chain")),
        quoted(text("root_ca_crl")),
    );
    let mut collection = Collection::new();
    assert_eq!(collection.add(file.as_bytes()), Ok(4));
    let id = EndorsementsId { tee: Tee::Sgx, fmspc: [0, 0xa0, 0x67, 0x11, 0, 0], ca: PckCa::Processor };
    let now = datetime!(2025-07-04 00:00 UTC);
    let raw = collection.select(&id, None, now).unwrap();
    let mut original = Collection::new();
    original.add(&vectors.read("collateral/dcap-qvl/sgx_quote_collateral.json")).unwrap();
    assert_eq!(raw, original.select(&id, None, now).unwrap());
    assert!(Endorsements::verify(&raw, &TrustAnchors::pinned(), now).is_ok());
}

/// JSON as Python writes it: a space after each colon and comma between tokens.
fn spread(json: &str) -> String {
    let mut in_text = false;
    let mut spread = String::new();
    for character in json.chars() {
        spread.push(character);
        match character {
            '"' => in_text = !in_text,
            ':' | ',' if !in_text => spread.push(' '),
            _ => {}
        }
    }
    spread
}

#[test]
fn the_best_of_several_is_chosen_and_the_missing_are_named() {
    let Some(vectors) = Vectors::load() else { return };
    let mut collection = Collection::new();
    let id = EndorsementsId { tee: Tee::Sgx, fmspc: [0, 0x90, 0x6e, 0xd5, 0, 0], ca: PckCa::Processor };
    let now = datetime!(2022-05-11 00:00 UTC);
    let missing = collection.select(&id, None, now).unwrap_err();
    assert_eq!(missing.items, ["TCB info", "QE identity", "root CA CRL", "PCK CRL"]);
    let file = vectors.read("sgx/openenclave/attestation_plugin.endorsements");
    collection.add(&file).unwrap();
    let alone = collection.select(&id, None, now).unwrap();
    for other in
        ["sgx/ravl/oe.coffelake.endorsements.bin", "collateral/zkdcap-2025-01/tcbinfov3_00906ED50000.json"]
    {
        collection.add(&vectors.read(other)).unwrap();
    }
    assert_eq!(collection.select(&id, None, now).unwrap(), alone);
    // Adding the same again changes nothing.
    let count = collection.items().count();
    collection.add(&file).unwrap();
    assert_eq!(collection.items().count(), count);
    // Later, the newer TCB info is the one, and its signer's certificate is not there.
    let missing = collection.select(&id, None, datetime!(2025-02-05 00:00 UTC)).unwrap_err();
    assert_eq!(missing.items, ["issuer chain of the TCB info"]);
    collection.add(&vectors.read("collateral/zkdcap-2025-01/tcb_signing_cert.pem")).unwrap();
    collection
        .add(&vectors.read("collateral/zkdcap-2025-01/Intel_SGX_Provisioning_Certification_RootCA.cer"))
        .unwrap();
    let raw = collection.select(&id, None, datetime!(2025-02-05 00:00 UTC)).unwrap();
    let rejection = Endorsements::verify(&raw, &TrustAnchors::pinned(), datetime!(2025-02-05 00:00 UTC));
    assert!(matches!(rejection.unwrap_err().error, EndorsementError::Validity { .. }));
}

/// The digest of the issuer chain is the one that Azure Attestation shows.
#[test]
fn collateral_digests_are_those_of_the_recordings() {
    let Some(vectors) = Vectors::load() else { return };
    let mut collection = Collection::new();
    collection.add(&vectors.read("sgx/openenclave/attestation_plugin.endorsements")).unwrap();
    let id = EndorsementsId { tee: Tee::Sgx, fmspc: [0, 0x90, 0x6e, 0xd5, 0, 0], ca: PckCa::Processor };
    let now = datetime!(2022-05-11 00:00 UTC);
    let raw = collection.select(&id, None, now).unwrap();
    let endorsements = Endorsements::verify(&raw, &TrustAnchors::pinned(), now).unwrap();
    let digests = endorsements.digests();
    assert_eq!(digests.tcb_info_issuer_chain, digests.qe_identity_issuer_chain);
    let recorded = "a64d649198507d8b57e33f63ab266838f43f327bd4aacc78510b6976ed046e10";
    assert_eq!(hex::encode(digests.tcb_info_issuer_chain), recorded);
    assert_eq!(digests.tcb_info, crypto::sha256(&[&raw.tcb_info[..], b"\0"].concat()));
    assert_eq!(digests.qe_identity, crypto::sha256(&[&raw.qe_identity[..], b"\0"].concat()));
    assert_eq!(digests.tcb_info_crl, crypto::sha256(&[&raw.root_ca_crl[..], b"\0"].concat()));
    assert_eq!(digests.qe_identity_crl, digests.tcb_info_crl);
}
