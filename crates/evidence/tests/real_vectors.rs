//! Known answers: every captured SGX quote and Open Enclave report, with every set of endorsements the
//! manifest gives a date for.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, clippy::print_stdout, missing_docs)]

mod support;

use evidence::dcap::{PckCa, TcbStatus};
use evidence::sgx::{Quote, ReportBody};
use evidence::{Outcome, TrustAnchors, VerifyError};
use serde_json::Value;
use support::{Vectors, parse, prepare, time};

/// How many entries of each kind there were when this test was written.
const QUOTES: usize = 12;
const REPORTS: usize = 5;
const VERDICTS: usize = 19;

#[test]
fn quotes_and_reports_yield_what_the_manifest_expects() {
    let Some(vectors) = Vectors::load() else { return };
    let (mut quotes, mut reports, mut verdicts, mut undated) = (0, 0, 0, 0);
    for entry in &vectors.entries {
        let (path, kind) = (entry["path"].as_str().unwrap(), entry["kind"].as_str().unwrap());
        let expected = &entry["expected"];
        if !matches!(kind, "sgx-quote-v3" | "oe-report") || expected["body"].is_null() {
            continue;
        }
        let bytes = vectors.read(path);
        let quote = parse(kind, &bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        check_fields(path, &quote, expected);
        if kind == "oe-report" {
            reports += 1
        } else {
            quotes += 1
        };
        for verdict in expected["verdicts"].as_array().into_iter().flatten() {
            let Some(now) = time(&verdict["verify_at"]) else {
                undated += 1;
                continue;
            };
            check_verdict(path, &vectors, &quote, verdict, now);
            verdicts += 1;
        }
    }
    println!(
        "checked: {quotes} quotes, {reports} reports, {verdicts} verdicts; {undated} verdicts without a date"
    );
    assert!(quotes >= QUOTES && reports >= REPORTS && verdicts >= VERDICTS, "{quotes} {reports} {verdicts}");
}

fn check_fields(path: &str, quote: &Quote<'_>, expected: &Value) {
    check_body(path, quote.body(), &expected["body"]);
    assert_eq!(quote.body().is_debuggable(), expected["body"]["debug"].as_bool().unwrap(), "{path}");
    if !expected["qe"].is_null() {
        check_body(path, quote.qe_report(), &expected["qe"]);
    }
    if let Some(number) = expected["cert_data_type"].as_u64() {
        assert_eq!(u64::from(quote.certification().type_number()), number, "{path}");
    }
    let pck = &expected["pck"];
    if pck["subject"].is_null() {
        return;
    }
    assert_eq!(quote.unverified_certificates().len(), 3, "{path}");
    assert_eq!(quote.unverified_certificates()[0].serial, pck["serial"].as_str().unwrap(), "{path}");
    let platform = quote.unverified_certificates()[0].pck_extension.clone().unwrap();
    assert_eq!(hex::encode(platform.fmspc), pck["fmspc"].as_str().unwrap(), "{path}");
    let chain = quote.pck_chain().unwrap_or_else(|error| panic!("{path}: {error}"));
    let verified = chain.verify(&TrustAnchors::pinned());
    assert_eq!(verified.is_ok(), expected["checks"]["pck_chain_signatures"] == true, "{path}");
    if let Ok(verified) = verified {
        assert_eq!(verified.issuer_chain_pem(), chain.issuer_chain_pem());
    }
    assert_eq!(Ok(chain.cache_key()), quote.pck_cache_key());
    let extension = chain.unverified_extension();
    let [leaf, ..] = chain.unverified_certificates();
    assert_eq!(leaf.subject, pck["subject"].as_str().unwrap(), "{path}");
    assert_eq!(leaf.serial, pck["serial"].as_str().unwrap(), "{path}");
    assert_eq!(Some(leaf.validity.not_before), time(&pck["not_before"]), "{path}");
    assert_eq!(Some(leaf.validity.not_after), time(&pck["not_after"]), "{path}");
    assert_eq!(hex::encode(extension.fmspc), pck["fmspc"].as_str().unwrap(), "{path}");
    assert_eq!(hex::encode(extension.pce_id), pck["pceid"].as_str().unwrap(), "{path}");
    assert_eq!(hex::encode(extension.cpu_svn), pck["cpusvn"].as_str().unwrap(), "{path}");
    assert_eq!(u64::from(extension.pce_svn), pck["pcesvn"].as_u64().unwrap(), "{path}");
    let ca = if pck["ca"] == "platform" { PckCa::Platform } else { PckCa::Processor };
    assert_eq!(chain.endorsements_id().ca, ca, "{path}");
    assert_eq!(extension.platform_instance_id.is_some(), ca == PckCa::Platform, "{path}");
}

fn check_body(path: &str, body: &ReportBody, expected: &Value) {
    let text = |name: &str| expected[name].as_str().unwrap().to_owned();
    let number = |name: &str| expected[name].as_u64().unwrap();
    assert_eq!(hex::encode(body.cpu_svn), text("cpusvn"), "{path}");
    assert_eq!(hex::encode(body.misc_select.to_le_bytes()), text("miscselect"), "{path}");
    assert_eq!(hex::encode(body.attributes), text("attributes"), "{path}");
    assert_eq!(hex::encode(body.mr_enclave), text("mrenclave"), "{path}");
    assert_eq!(hex::encode(body.mr_signer), text("mrsigner"), "{path}");
    assert_eq!(u64::from(body.isv_prod_id), number("isvprodid"), "{path}");
    assert_eq!(u64::from(body.isv_svn), number("isvsvn"), "{path}");
    if !expected["report_data"].is_null() {
        assert_eq!(hex::encode(body.report_data), text("report_data"), "{path}");
    }
}

fn check_verdict(
    path: &str,
    vectors: &Vectors,
    quote: &Quote<'_>,
    expected: &Value,
    now: time::OffsetDateTime,
) {
    let collection = vectors.collection(&expected["collateral"]);
    let (pck, endorsements) = prepare(quote, &collection, now);
    let report = quote.verify(&pck, &endorsements, now).unwrap_or_else(|error| panic!("{path}: {error}"));
    let tcb = report.tcb();
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(tcb.platform.status.as_str(), expected["platform_tcb_status"].as_str().unwrap(), "{path}");
    assert_eq!(tcb.qe.status.as_str(), expected["qe_tcb_status"].as_str().unwrap(), "{path}");
    assert_eq!(Some(tcb.platform.tcb_date), time(&expected["tcb_date"]), "{path}");
    assert_eq!(tcb.tcb_date, tcb.platform.tcb_date.min(tcb.qe.tcb_date), "{path}");
    assert_eq!(tcb.platform.advisory_ids, strings(&expected["advisories"]), "{path}");
    assert_eq!(tcb.advisory_ids, [tcb.platform.advisory_ids.clone(), tcb.qe.advisory_ids.clone()].concat());
    assert_eq!(u64::from(tcb.evaluation_data_number), expected["tcb_evaluation"].as_u64().unwrap(), "{path}");
    assert_eq!(endorsements.tcb_evaluation_data_number(), tcb.evaluation_data_number);
    // The manifest's window includes the PCK certificate; its end here is that of the endorsements.
    assert_eq!(Some(endorsements.expires().at), time(&expected["all_current_to"]), "{path}");
    // The second opinion names an advisory of both lists once.
    if let Some(status) = expected["dcap_qvl_0_7"]["status"].as_str() {
        assert_eq!(tcb.status.as_str(), status, "{path}");
        let mut once: Vec<String> = Vec::new();
        for id in &tcb.advisory_ids {
            if !once.contains(id) {
                once.push(id.clone());
            }
        }
        assert_eq!(once, strings(&expected["dcap_qvl_0_7"]["advisory_ids"]), "{path}");
    }
    let converged = match (tcb.platform.status, tcb.qe.status) {
        (TcbStatus::ConfigurationAndSwHardeningNeeded, TcbStatus::OutOfDate) => {
            TcbStatus::OutOfDateConfigurationNeeded
        }
        (_, TcbStatus::OutOfDate) => TcbStatus::OutOfDate,
        (platform, _) => platform,
    };
    assert_eq!(tcb.status, converged, "{path}");
    assert!(report.verdict().passed(), "{path}");
    let ids: Vec<_> = report.verdict().checks().iter().map(|check| check.id).collect();
    let of_sgx = |id: &str| id.starts_with("sgx.") || id.starts_with("dcap.");
    for rule in evidence::verdict::rules::ALL.iter().filter(|rule| of_sgx(rule.id)) {
        let bound = rule.id.contains("binding") && rule.id != "sgx.qe_report.binding";
        let identity = rule.id == "sgx.pck.identity";
        assert!(bound || identity || ids.contains(&rule.id), "{path}: no check {}", rule.id);
    }
    assert!(report.verdict().checks().iter().all(|check| check.outcome != Outcome::Failed));

    // Outside the window nothing verifies, and the error names what ended or had not begun.
    let day = time::Duration::days(1);
    let late = quote.verify(&pck, &endorsements, endorsements.expires().at + day).unwrap_err();
    assert!(
        matches!(late.error, VerifyError::EndorsementsValidity { .. } | VerifyError::PckValidity { .. }),
        "{path}"
    );
    let begin = endorsements.validities().iter().map(|(_, validity)| validity.not_before).max().unwrap();
    assert!(quote.verify(&pck, &endorsements, begin - day).is_err(), "{path}");
}

#[test]
fn the_damaged_ones_are_refused() {
    let Some(vectors) = Vectors::load() else { return };
    let mut refused = 0;
    for entry in &vectors.entries {
        let (path, kind) = (entry["path"].as_str().unwrap(), entry["kind"].as_str().unwrap());
        let verdict = entry["expected"]["verdict"].as_str().unwrap_or_default();
        if !matches!(kind, "sgx-quote-v3" | "oe-report") || !verdict.starts_with("reject") {
            continue;
        }
        let bytes = vectors.read(path);
        let quote = parse(kind, &bytes).unwrap();
        let now = time(&entry["verify_at"]).unwrap_or(::time::macros::datetime!(2022-01-01 0:00 UTC));
        let rejection = quote
            .pck_chain()
            .and_then(|chain| chain.verify(&TrustAnchors::pinned()))
            .and_then(|pck| quote.authenticate(&pck, now).map(|_| ()))
            .unwrap_err();
        println!("{path}: {}", rejection.error);
        if verdict == "reject (quote signature)" {
            assert_eq!(rejection.error, VerifyError::QuoteSignature, "{path}");
        }
        assert!(!rejection.verdict.passed(), "{path}");
        refused += 1;
    }
    assert!(refused >= 2, "{refused}");
}

/// The evidence of the published SDKs, bound to the runtime data sent with it.
#[test]
fn sdk_evidence_is_genuine_and_bound() {
    let Some(root) = support::root() else { return };
    let Some(vectors) = Vectors::load() else { return };
    let entries: Vec<Value> =
        serde_json::from_slice(&std::fs::read(root.join("vectors-sdk/evidence.json")).unwrap()).unwrap();
    let decode = |value: &Value| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(value.as_str().unwrap().trim_end_matches('='))
            .unwrap()
    };
    // Azure's coffee lake machines, in January 2025.
    let collateral = vectors
        .entries
        .iter()
        .find(|entry| entry["path"] == "sgx/azure-samples/intel-sdk/enclave.info.debug.quote.bin")
        .map(|entry| vectors.collection(&entry["collateral"]))
        .unwrap();
    let now = time::macros::datetime!(2025-02-05 00:00 UTC);
    let mut bound = 0;
    for entry in &entries {
        let name = entry["name"].as_str().unwrap();
        let bytes = decode(&entry["evidence"]);
        let kind = if entry["kind"] == "OpenEnclave" { "oe-report" } else { "sgx-quote-v3" };
        let quote = parse(kind, &bytes).unwrap();
        let (pck, endorsements) = prepare(&quote, &collateral, now);
        let report = quote.verify(&pck, &endorsements, now).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(report.evidence_sha256(), &crypto::sha256(&bytes), "{name}");
        let data = decode(&entry["runtimeData"]);
        let wrong = report.clone().bind(Some(b"other"), None).unwrap_err();
        assert_eq!(wrong.verdict.first_failure().unwrap().id, "sgx.runtime_data.binding");
        let wrong = report.clone().bind(Some(&data), Some(b"init")).unwrap_err();
        assert_eq!(wrong.verdict.first_failure().unwrap().id, "sgx.init_time_data.binding");
        let report = report.bind(Some(&data), None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((report.runtime_data(), report.init_time_data()), (Some(&data[..]), None));
        assert!(report.verdict().passed());
        bound += 1;
    }
    assert!(bound >= 10, "{bound}");
}

/// The same chain inside certification data of type 6 says the same.
#[test]
fn a_wrapped_chain_verifies() {
    let Some(vectors) = Vectors::load() else { return };
    let path = "sgx/dcap-qvl/sgx_quote.bin";
    let entry = vectors.entries.iter().find(|entry| entry["path"] == path).unwrap();
    let now = time(&entry["verify_at"]).unwrap();
    let plain = vectors.read(path);
    // QE report, its signature, authentication data; then type, size and chain.
    let (inside, chain) = (&plain[436 + 128..436 + 576 + 34], &plain[436 + 576 + 34..]);
    let data = [inside, chain].concat();
    let size = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let authentication = [&plain[436..436 + 576 + 34], &[6, 0], &size(data.len()), &data].concat();
    let wrapped = [&plain[..432], &size(authentication.len()), &authentication].concat();
    let collection = vectors.collection(&entry["collateral"]);
    let verify = |bytes: &[u8]| {
        let quote = Quote::parse(bytes).unwrap();
        let (pck, endorsements) = prepare(&quote, &collection, now);
        quote.verify(&pck, &endorsements, now).unwrap()
    };
    assert_eq!(Quote::parse(&wrapped).unwrap().certification().type_number(), 6);
    assert_eq!(verify(&wrapped).tcb(), verify(&plain).tcb());
    // The PCK chain of another quote is not taken for it.
    let quote = Quote::parse(&plain).unwrap();
    let other = vectors.read("sgx/automata/quote_sgx.bin");
    let (pck, endorsements) = prepare(&Quote::parse(&other).unwrap(), &collection, now);
    if Quote::parse(&other).unwrap().pck_cache_key() != quote.pck_cache_key() {
        assert_eq!(quote.verify(&pck, &endorsements, now).unwrap_err().error, VerifyError::PckIdentity);
    }
}
