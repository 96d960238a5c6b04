//! The whole story by the program alone: serve, attest, verify, stop, start again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{Ran, Service, captures, run, scratch, world};

/// A forged enclave, whose root the operator names.
#[test]
fn serve_attest_verify_stop_and_start_again() {
    let files = scratch("end-to-end");
    world(&files.join("world"));
    let file = |name: &str| files.join("world").join(name).to_str().unwrap().to_owned();
    let (root, endorsements, runtime) = (file("root.pem"), file("pcs"), file("runtime.txt"));
    let arguments = [
        "--endorsements",
        &endorsements,
        "--trust-pck-root",
        &root,
        "--trust-tcb-root",
        &root,
        "--danger-appraise-at",
        "2026-01-01T00:00:00Z",
    ];
    let data_dir = files.join("data");
    let service = Service::start(&data_dir, 0, arguments);

    let attested = attest(&service, "sgx", &["--evidence", &file("quote.bin"), "--runtime-data", &runtime]);
    assert_eq!(attested.status, 0, "{attested:?}");
    let verified = verify(&service, &attested.stdout, &["--json"]);
    assert_eq!(verified.status, 0, "{verified:?}");
    let claims: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(claims["iss"], service.uri.as_str());
    assert_eq!(claims["x-ms-attestation-type"], "sgx");
    assert_eq!(claims["x-ms-sgx-ehd"], "YSBwdWJsaWMga2V5LCBzYXk");

    let report = attest(&service, "openenclave", &["--evidence", &file("report.bin"), "--json"]);
    assert_eq!(report.status, 0, "{report:?}");
    let answer: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(answer["header"]["alg"], "RS256");
    assert_eq!(answer["claims"]["x-ms-sgx-mrenclave"], claims["x-ms-sgx-mrenclave"]);

    let command = format!("cat '{}'", file("quote.bin"));
    let fresh =
        attest(&service, "sgx", &["--quote-command", &command, "--runtime-data", &runtime, "--nonce", "n"]);
    assert_eq!(fresh.status, 0, "{fresh:?}");

    let other =
        attest(&service, "sgx", &["--evidence", &file("quote.bin"), "--runtime-data", &file("other.txt")]);
    assert_eq!((other.status, other.stdout.as_str()), (1, ""), "{other:?}");
    assert!(other.stderr.contains("InvalidParameter"), "{other:?}");
    let damaged = attest(&service, "sgx", &["--evidence", &file("damaged.bin")]);
    assert_eq!((damaged.status, damaged.stdout.as_str()), (1, ""), "{damaged:?}");

    let draft =
        attest(&service, "sgx", &["--evidence", &file("quote.bin"), "--draft-policy", &file("policy.txt")]);
    assert_eq!(draft.status, 0, "{draft:?}");
    let unsigned = verify(&service, &draft.stdout, &[]);
    assert_eq!((unsigned.status, unsigned.stdout.as_str()), (1, ""), "{unsigned:?}");

    let port = service.port();
    assert_eq!(service.terminate(), (Some(0), String::new()), "one line on standard output, status 0");
    let service = Service::start(&data_dir, port, arguments);
    let still = verify(&service, &attested.stdout, &[]);
    assert_eq!(still.status, 0, "the key is kept: {still:?}");
    assert!(still.stdout.contains("x-ms-sgx-mrenclave"), "{still:?}");
    assert_eq!(service.terminate().0, Some(0));
}

/// A real enclave, with the endorsements of its time.
#[test]
fn a_real_quote_is_attested() {
    let Some(captures) = captures() else { return };
    let file = |name: &str| captures.join("vectors").join(name).to_str().unwrap().to_owned();
    let data_dir = scratch("real-quote").join("data");
    let arguments = [
        "--endorsements",
        &file("collateral/dcap-qvl/sgx_quote_collateral.json"),
        "--danger-appraise-at",
        "2025-07-04T00:00:00Z",
    ];
    let service = Service::start(&data_dir, 0, arguments);
    let attested = attest(&service, "sgx", &["--evidence", &file("sgx/dcap-qvl/sgx_quote.bin")]);
    assert_eq!(attested.status, 0, "{attested:?}");
    assert_eq!(verify(&service, &attested.stdout, &[]).status, 0);
    assert_eq!(service.terminate().0, Some(0));
}

fn attest(service: &Service, tee: &str, arguments: &[&str]) -> Ran {
    let ca = path(&service.ca);
    run(["attest", tee, "--endpoint", &service.uri, "--ca-file", ca].iter().chain(arguments), "")
}

fn verify(service: &Service, token: &str, arguments: &[&str]) -> Ran {
    let ca = path(&service.ca);
    run(["token", "verify", "-", "--issuer", &service.uri, "--ca-file", ca].iter().chain(arguments), token)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
