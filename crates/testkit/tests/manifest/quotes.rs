//! Quotes and Open Enclave reports: fields, signatures, and the verdict with each set of endorsements.

use crypto::P256PublicKey;
use evidence::TrustAnchors;
use evidence::dcap::SgxType;
use evidence::sgx::{Quote, ReportBody, VerifiedReport};
use serde_json::Value;
use testkit::captures::sgx::{self, Wrapping};
use testkit::captures::{Captures, Entry};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::Outcome;

pub(crate) fn quote(captures: &Captures, entry: &Entry) -> Outcome {
    let expected = &entry.json["expected"];
    let bytes = captures.read(&entry.path);
    if let Some(other) = expected["quote"].as_str() {
        assert_eq!(without_comments(&bytes), captures.read(other), "the quote after the comment lines");
        return Outcome::Checked;
    }
    let wrapping = wrapping(entry);
    let parsed = sgx::parse(wrapping, &bytes).unwrap();
    fields(&parsed, expected);
    signatures(&parsed, expected, wrapping);
    if expected["synthetic"] == true {
        synthetic(captures, entry, &bytes);
    } else if let Some(verdict) = expected["verdict"].as_str() {
        assert!(verdict.starts_with("reject"), "{verdict}");
        refused(captures, &parsed, verdict);
    } else {
        pck(&parsed, &expected["pck"]);
        verdicts(captures, entry, &parsed);
    }
    Outcome::Checked
}

fn wrapping(entry: &Entry) -> Wrapping {
    if entry.kind == "oe-report" { Wrapping::OpenEnclave } else { Wrapping::Quote }
}

fn without_comments(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while rest.starts_with(b"#") {
        let end = rest.iter().position(|byte| *byte == b'\n').expect("a comment line ends");
        rest = &rest[end + 1..];
    }
    rest
}

fn fields(quote: &Quote<'_>, expected: &Value) {
    assert_eq!(expected["quote_version"], 3);
    body(quote.body(), &expected["body"]);
    if !expected["qe"].is_null() {
        body(quote.qe_report(), &expected["qe"]);
    }
    if let Some(kind) = expected["cert_data_type"].as_u64() {
        assert_eq!(u64::from(quote.certification().type_number()), kind, "certification data type");
    }
    let trailing = quote.padding_bytes() + quote.custom_claims().map_or(0, <[u8]>::len);
    if let Some(bytes) = expected["trailing_bytes"].as_u64() {
        assert_eq!(u64::try_from(trailing), Ok(bytes), "bytes after the quote");
    }
    if let Some(size) = expected["oe_report_header"]["quote_size"].as_u64() {
        assert_eq!(u64::try_from(quote.submitted().len() - 16), Ok(size), "size of the quote in the report");
    }
}

fn body(found: &ReportBody, expected: &Value) {
    let same = |field: &str, found: Value| {
        if !expected[field].is_null() {
            assert_eq!(found, expected[field], "{field}");
        }
    };
    same("cpusvn", hex::encode(found.cpu_svn).into());
    same("miscselect", hex::encode(found.misc_select.to_le_bytes()).into());
    same("attributes", hex::encode(found.attributes).into());
    same("debug", found.is_debuggable().into());
    same("mrenclave", hex::encode(found.mr_enclave).into());
    same("mrsigner", hex::encode(found.mr_signer).into());
    same("isvprodid", found.isv_prod_id.into());
    same("isvsvn", found.isv_svn.into());
    same("report_data", hex::encode(found.report_data).into());
}

fn pck(quote: &Quote<'_>, expected: &Value) {
    let chain = quote.pck_chain().unwrap();
    let [leaf, ..] = chain.unverified_certificates();
    let extension = chain.unverified_extension();
    let time = |at: OffsetDateTime| sgx::rfc3339(at);
    let sgx_type = match extension.sgx_type {
        SgxType::Standard => 0,
        SgxType::Scalable => 1,
        SgxType::ScalableWithIntegrity => 2,
    };
    let found = serde_json::json!({
        "subject": leaf.subject,
        "issuer": leaf.issuer,
        "serial": leaf.serial,
        "not_before": time(leaf.validity.not_before),
        "not_after": time(leaf.validity.not_after),
        "fmspc": hex::encode(extension.fmspc),
        "pceid": hex::encode(extension.pce_id),
        "pcesvn": extension.pce_svn,
        "cpusvn": hex::encode(extension.cpu_svn),
        "sgxtype": sgx_type,
        "ca": chain.endorsements_id().ca.as_str(),
    });
    assert_eq!(&found, expected, "PCK certificate");
}

/// The five checks of the manifest, made here from the bytes and by the product where it makes them alone.
fn signatures(quote: &Quote<'_>, expected: &Value, wrapping: Wrapping) {
    let checks = &expected["checks"];
    let submitted = quote.submitted();
    let bytes = if wrapping == Wrapping::OpenEnclave { &submitted[16..] } else { submitted };
    let array = |at: usize| <[u8; 64]>::try_from(&bytes[at..at + 64]).unwrap();
    let verifies = |key: [u8; 64], message: &[u8], signature: [u8; 64]| {
        P256PublicKey::from_coordinates(&key).unwrap().verify_fixed(message, &signature).is_ok()
    };
    let key = array(500);
    assert_eq!(&key, quote.attestation_key());
    assert_eq!(verifies(key, &bytes[..432], array(436)), checks["quote_signature"], "quote signature");
    let bound = crypto::sha256_of_parts(&[&key, quote.qe_authentication_data()]);
    let binds = quote.qe_report().report_data.starts_with(&bound);
    assert_eq!(binds, checks["qe_report_binds_attestation_key"], "QE report data");
    if checks["pck_chain_root_is_intel_sgx_root"].is_null() {
        return;
    }
    let chain = sgx::verify_chain(quote, &TrustAnchors::pinned()).is_ok();
    assert_eq!(chain, checks["pck_chain_signatures"], "PCK chain");
    assert_eq!(chain, checks["pck_chain_root_is_intel_sgx_root"], "PCK root");
}

/// Each set of endorsements: the verdict at its date, or that no date will do.
fn verdicts(captures: &Captures, entry: &Entry, quote: &Quote<'_>) {
    let list = entry.json["expected"]["verdicts"].as_array().expect("verdicts");
    for expected in list {
        let files = sgx::texts(&expected["collateral"]);
        let from = sgx::time(&expected["all_current_from"]).unwrap();
        let to = sgx::time(&expected["all_current_to"]).unwrap();
        let verify = |at| {
            let raw = captures.endorsements(&files, quote, at).unwrap();
            sgx::verify(quote, &raw, &TrustAnchors::pinned(), at)
        };
        let Some(at) = sgx::time(&expected["verify_at"]) else {
            for at in [from, to, sgx::middle(from, to)] {
                let refusal = verify(at).unwrap_err();
                assert!(refusal.ends_with("Validity"), "{files:?} at {at}: {refusal}");
            }
            continue;
        };
        let report = verify(at).unwrap_or_else(|error| panic!("{files:?} at {at}: {error}"));
        verdict(&report, expected);
        assert!(verify(from).is_ok() && verify(to).is_ok(), "{files:?} at both ends of their window");
        for at in [from - Duration::SECOND, to + Duration::SECOND] {
            let refusal = verify(at).unwrap_err();
            assert!(refusal.ends_with("Validity"), "{files:?} at {at}: {refusal}");
        }
        bind(captures, entry, report);
    }
    if list.is_empty() {
        // No endorsements for this platform were captured: everything but the TCB level is judged.
        let report = with_own_baseline(captures, quote).unwrap();
        body(report.body(), &entry.json["expected"]["body"]);
    }
}

fn verdict(report: &VerifiedReport, expected: &Value) {
    let tcb = report.tcb();
    assert_eq!(tcb.platform.status.as_str(), expected["platform_tcb_status"], "platform status");
    assert_eq!(tcb.qe.status.as_str(), expected["qe_tcb_status"], "status of the quoting enclave");
    assert_eq!(sgx::rfc3339(tcb.platform.tcb_date), expected["tcb_date"], "TCB date");
    assert_eq!(Value::from(tcb.platform.advisory_ids.clone()), expected["advisories"], "advisories");
    assert_eq!(tcb.evaluation_data_number, expected["tcb_evaluation"], "evaluation data number");
    assert_eq!(tcb.status.as_str(), converged(expected), "converged status");
    assert!(tcb.advisory_ids.starts_with(&tcb.platform.advisory_ids), "no advisory is dropped");
    assert_eq!(expected["pck_revoked"], false);
    assert_eq!(expected["qe_identity_match"], true);
    if let Some(peer) = expected["dcap_qvl_0_7"]["status"].as_str() {
        assert_eq!(tcb.status.as_str(), peer, "status by dcap-qvl");
    }
}

/// The convergence table, written out once more.
fn converged(expected: &Value) -> &str {
    let platform = expected["platform_tcb_status"].as_str().unwrap();
    match (platform, expected["qe_tcb_status"].as_str().unwrap()) {
        (_, "UpToDate") => platform,
        ("UpToDate" | "SWHardeningNeeded" | "OutOfDate", "OutOfDate") => "OutOfDate",
        (_, "OutOfDate") => "OutOfDateConfigurationNeeded",
        pair => panic!("not in the table: {pair:?}"),
    }
}

/// Enclave-held data, where the manifest knows them, are what the report data hash.
fn bind(captures: &Captures, entry: &Entry, report: VerifiedReport) {
    let Some(origin) = entry.json["expected"]["report_data_is_sha256_of"].as_str() else {
        return;
    };
    let (file, member) = origin.split_once('#').expect("file and member");
    let json: Value = serde_json::from_slice(&captures.read(file)).unwrap();
    let data = hex::decode(json[member].as_str().unwrap()).unwrap();
    assert!(report.clone().bind(Some(&data), None).is_ok());
    assert!(report.bind(Some(&[&data[..], b"\0"].concat()), None).is_err());
}

/// An operator's baseline and Azure's revocation lists of May 2022 stand in for absent endorsements.
fn with_own_baseline(captures: &Captures, quote: &Quote<'_>) -> Result<VerifiedReport, String> {
    let at = datetime!(2022-05-11 0:00 UTC);
    let id = quote.pck_chain().map_err(|rejection| rejection.to_string())?.endorsements_id();
    let mut of_azure = id;
    of_azure.fmspc = [0, 0x90, 0x6e, 0xd5, 0, 0];
    let files = ["sgx/openenclave/attestation_plugin.endorsements".to_owned()];
    let genuine = captures.endorsements_for(&files, &of_azure, None, at).unwrap();
    let (raw, anchors) = sgx::own_baseline(&genuine, id.fmspc, at);
    sgx::verify(quote, &raw, &anchors, at)
}

fn refused(captures: &Captures, quote: &Quote<'_>, verdict: &str) {
    let refusal = with_own_baseline(captures, quote).unwrap_err();
    if verdict.contains("quote signature") {
        assert_eq!(refusal, "Verify.QuoteSignature");
    } else {
        assert!(refusal.starts_with("Verify.PckChain"), "{refusal}");
    }
}

/// The sample of Intel's library: its certification data do not hold the PCK certificate, so it is refused by
/// name as it is; with the certificate from the file beside it, it is judged under its own root.
fn synthetic(captures: &Captures, entry: &Entry, bytes: &[u8]) {
    let expected = &entry.json["expected"];
    let parsed = sgx::parse(Wrapping::Quote, bytes).unwrap();
    let refusal = sgx::verify_chain(&parsed, &TrustAnchors::pinned()).unwrap_err();
    assert_eq!(refusal, "Verify.CertificationType");
    let file = |name: &str| captures.read(&format!("collateral/intel-qvl-sample/sgx/{name}"));
    let quote = sgx::with_pck_chain(
        bytes,
        &[sgx::strict_pem(&file("pckCert.pem")), sgx::strict_pem(&file("pckSignChain.pem"))].concat(),
    );
    let quote = sgx::parse(Wrapping::Quote, &quote).unwrap();
    let root = sgx::strict_pem(&file("trustedRootCaCert.pem"));
    let anchors = TrustAnchors::with_roots(&[&root], &[&root]).unwrap();
    let at = sgx::time(&entry.json["verify_at"]).unwrap();
    let raw = captures.endorsements(&sgx::texts(&entry.json["collateral"]), &quote, at).unwrap();
    let report = sgx::verify(&quote, &raw, &anchors, at);
    let report = report.unwrap_or_else(|error| panic!("sample: {error}"));
    assert_eq!(report.tcb().platform.status.as_str(), expected["platform_tcb"]["platform_tcb_status"]);
    assert!(sgx::verify(&quote, &raw, &TrustAnchors::pinned(), at).is_err(), "the sample under Intel's root");
}

pub(crate) fn quote_json(captures: &Captures, entry: &Entry) -> Outcome {
    let expected = &entry.json["expected"];
    let json: Value = serde_json::from_slice(&captures.read(&entry.path)).unwrap();
    let decode = |member: &str| hex::decode(json[member].as_str().unwrap()).unwrap();
    let bytes = decode("QuoteHex");
    // Samples of the Open Enclave SDK are reports under the same member name.
    let wrapping = if bytes.starts_with(&[1, 0, 0, 0]) { Wrapping::OpenEnclave } else { Wrapping::Quote };
    let quote = sgx::parse(wrapping, &bytes).unwrap();
    let declared = &expected["declared"];
    let same = |member: &str, found: &[u8]| {
        assert_eq!(hex::encode_upper(found), declared[member].as_str().unwrap(), "{member}");
    };
    same("MrEnclaveHex", &quote.body().mr_enclave);
    same("MrSignerHex", &quote.body().mr_signer);
    same("ProductIdHex", &[&quote.body().isv_prod_id.to_le_bytes()[..], &[0; 14]].concat());
    assert_eq!(quote.body().isv_svn, declared["SecurityVersion"]);
    let data = decode("EnclaveHeldDataHex");
    assert_eq!(hex::encode(crypto::sha256(&data)), expected["enclave_held_data_sha256"]);
    let report = of_azure(captures, &quote);
    assert_eq!(
        report.bind(Some(&data), None).is_ok(),
        expected["report_data_is_sha256_of_enclave_held_data"]
    );
    Outcome::Checked
}

/// Verifies a quote of an Azure host of 2021 to 2023 with the endorsements of February 2025.
pub(crate) fn of_azure(captures: &Captures, quote: &Quote<'_>) -> VerifiedReport {
    let entry = captures.entry("sgx/azure-samples/intel-sdk/enclave.info.release.quote.bin").unwrap();
    let at = sgx::time(&entry.json["verify_at"]).unwrap();
    let raw = captures.endorsements(&sgx::texts(&entry.json["collateral"]), quote, at).unwrap();
    sgx::verify(quote, &raw, &TrustAnchors::pinned(), at).unwrap()
}

pub(crate) fn attestation_json(captures: &Captures, entry: &Entry) -> Outcome {
    let expected = &entry.json["expected"];
    let json: Value = serde_json::from_slice(&captures.read(&entry.path)).unwrap();
    for member in ["evidence", "endorsements"] {
        let found = sgx::base64(json[member].as_str().unwrap());
        assert_eq!(found, captures.read(expected[member].as_str().unwrap()), "{member}");
    }
    Outcome::Checked
}

pub(crate) fn enclave_held_data(captures: &Captures, entry: &Entry) -> Outcome {
    let Some(origin) = entry.json["derived_from"].as_str().filter(|origin| origin.starts_with("sgx/")) else {
        return Outcome::Skipped("not of SGX");
    };
    let data = captures.read(&entry.path);
    assert_eq!(hex::encode(crypto::sha256(&data)), entry.json["expected"]["sha256"]);
    let quote = captures.entries().iter().find(|other| {
        other.json["derived_from"] == origin && matches!(other.kind.as_str(), "sgx-quote-v3" | "oe-report")
    });
    let quote = quote.expect("the quote of the same file");
    let bytes = captures.read(&quote.path);
    let parsed = sgx::parse(wrapping(quote), &bytes).unwrap();
    assert!(of_azure(captures, &parsed).bind(Some(&data), None).is_ok());
    Outcome::Checked
}

/// A certificate with a damaged report in an extension: nothing in it verifies, whichever way it is read.
pub(crate) fn attested_tls_certificate(captures: &Captures, entry: &Entry) -> Outcome {
    assert_eq!(entry.json["expected"]["verdict"], "reject");
    let bytes = captures.read(&entry.path);
    let header = [1, 0, 0, 0, 2, 0, 0, 0];
    let starts = bytes.windows(header.len()).enumerate().filter(|(_, window)| *window == header);
    let mut starts: Vec<usize> = starts.map(|(at, _)| at).collect();
    assert!(!starts.is_empty(), "a report is in there");
    starts.push(0);
    for start in starts {
        let size = bytes
            .get(start + 8..start + 12)
            .map_or(0, |size| usize::try_from(u32::from_le_bytes(size.try_into().unwrap())).unwrap());
        let end = (start + 16).saturating_add(size).min(bytes.len());
        for report in [&bytes[start..end], &bytes[start..]] {
            let outcome = sgx::parse(Wrapping::OpenEnclave, report)
                .and_then(|quote| with_own_baseline(captures, &quote));
            assert!(outcome.is_err(), "the report at {start} verifies");
        }
    }
    Outcome::Checked
}
