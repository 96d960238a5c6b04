//! `evidence verify` on captured evidence: verdict and TCB status are what the manifest expects.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use support::{captures, run};

/// How many entries of each kind are compared, at least. Raise it when vectors are added.
const COMMITTED: [(&str, usize); 2] = [("oe-report", 4), ("sgx-quote-v3", 9)];

#[test]
fn captured_evidence_gets_the_verdict_of_the_manifest() {
    let Some(captures) = captures() else { return };
    let root = captures.join("vectors");
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(root.join("manifest.json")).unwrap()).unwrap();
    let mut compared: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differences = String::new();
    for entry in manifest["entries"].as_array().unwrap() {
        let kind = entry["kind"].as_str().unwrap();
        let (Some(collateral), Some(at)) = (entry["collateral"].as_array(), entry["verify_at"].as_str())
        else {
            continue;
        };
        if !COMMITTED.iter().any(|(committed, _)| *committed == kind) {
            continue;
        }
        let path = entry["path"].as_str().unwrap();
        let Some(expected) = expected_status(entry, at) else { continue };
        let mut arguments = vec!["evidence", "verify", "--kind", kind, "--at", at, "--json"];
        let files: Vec<String> = collateral.iter().map(|file| text(&root, file.as_str().unwrap())).collect();
        arguments.extend(files.iter().flat_map(|file| ["--endorsements", file.as_str()]));
        let evidence = text(&root, path);
        arguments.push(&evidence);
        let ran = run(&arguments, "");
        let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        *compared.entry(kind).or_default() += 1;
        if ran.status != 0 || document["verdict"] != "genuine" || document["tcb_status"] != expected.as_str()
        {
            differences.push_str(&format!(
                "{path}: status {}, {}, {} instead of {expected}: {} {}\n",
                ran.status, document["verdict"], document["tcb_status"], document["reason"], ran.stderr
            ));
        }
    }
    println!("compared {compared:?}");
    assert!(differences.is_empty(), "{differences}");
    for (kind, committed) in COMMITTED {
        assert!(compared.get(kind).is_some_and(|count| *count >= committed), "{kind}: {compared:?}");
    }
}

#[test]
fn captured_negatives_are_not_genuine() {
    let Some(captures) = captures() else { return };
    let root = captures.join("vectors");
    let negatives = [
        ("oe-report", "sgx/openenclave/sgx_report_bad.bin"),
        ("sgx-quote-v3", "sgx/fortanix/quote_pck_cert_chain_corrupted.bin"),
    ];
    for (kind, path) in negatives {
        let evidence = text(&root, path);
        let ran = run(["evidence", "verify", "--kind", kind, "--at", "2020-06-04", "--json", &evidence], "");
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.status, &document["verdict"]), (1, &Value::from("not-genuine")), "{path}: {ran:?}");
    }
}

/// Quotes inside JSON, and a file that starts with comment lines.
#[test]
fn wrapped_captures_are_read() {
    let Some(captures) = captures() else { return };
    let root = captures.join("vectors");
    let plugin = "sgx/openenclave/attestation_plugin";
    let cases = [
        (
            "sgx-quote-json",
            "sgx/azure-samples/intel-sdk/enclave.info.release.json",
            "collateral/zkdcap-2025-01",
            "2025-02-05",
        ),
        (
            "sgx-quote-json",
            "sgx/azure-samples/oe-sdk/enclave.info.debug.json",
            "collateral/zkdcap-2025-01",
            "2025-02-05",
        ),
        ("sgx-attestation-json", "sgx/ravl/oe.coffelake.att", "collateral/zkdcap-2025-01", "2025-02-05"),
        ("sgx-quote-v3", &format!("{plugin}.evidence"), &format!("{plugin}.endorsements"), "2022-05-11"),
    ];
    for (kind, path, endorsements, at) in cases {
        let (evidence, endorsements) = (text(&root, path), text(&root, endorsements));
        let ran = run(
            ["evidence", "verify", "--kind", kind, "--endorsements", &endorsements, "--at", at, &evidence],
            "",
        );
        assert_eq!(ran.status, 0, "{path}: {ran:?}");
        assert!(ran.stdout.starts_with("genuine\n"), "{path}: {ran:?}");
    }
    // The endorsements inside were never valid all at one time, which is seen only once they are read.
    let evidence = text(&root, "sgx/ravl/sgx.icelake.att");
    let ran =
        run(["evidence", "verify", "--kind", "sgx-attestation-json", "--at", "2022-08-20", &evidence], "");
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stdout.contains("FAIL dcap.endorsements.validity"), "{ran:?}");
}

/// Platform and quoting enclave of the manifest together, as Intel's library converges them. The manifest's first
/// verdict at the entry's own date is the one for its collateral.
fn expected_status(entry: &Value, at: &str) -> Option<String> {
    let verdicts = entry["expected"]["verdicts"].as_array()?;
    let verdict = verdicts.iter().find(|verdict| verdict["verify_at"] == at)?;
    let (platform, qe) = (verdict["platform_tcb_status"].as_str()?, verdict["qe_tcb_status"].as_str()?);
    Some(match (platform, qe) {
        ("UpToDate" | "SWHardeningNeeded" | "OutOfDate", "OutOfDate") => "OutOfDate".to_owned(),
        (_, "OutOfDate") => "OutOfDateConfigurationNeeded".to_owned(),
        (platform, _) => platform.to_owned(),
    })
}

fn text(root: &Path, file: &str) -> String {
    root.join(file).to_str().unwrap().to_owned()
}
