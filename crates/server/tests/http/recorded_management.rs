//! Management exchanges recorded from Azure Attestation, sent again: the answers hold the same claims.
//!
//! The recordings stand outside the repository; without them the test says so and passes, unless `CI` is `true`.

use reqwest::Method;
use serde_json::{Map, Value};
use server::Config;
use server::config::TrustModel;
use testkit::captures::Captures;
use time::macros::datetime;
use token::base64url;

use crate::managed::Managed;
use crate::support::{config, forge};

/// How many there were when this was written; fewer means that a recording was lost.
const EXCHANGES: usize = 19;

#[tokio::test(flavor = "multi_thread")]
async fn recorded_requests_get_the_recorded_claims() {
    let Some(captures) = Captures::find() else { return };
    let recorded: Value = serde_json::from_slice(&captures.read_sdk("recorded-2021.json")).unwrap();
    let exchanges: Vec<&Value> = recorded["exchanges"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|exchange| !exchange["path"].as_str().unwrap().starts_with("/attest/"))
        .collect();
    let of = |instance: &str| -> Vec<&Value> {
        let issuer = format!("https://{instance}.wus.attest.azure.net");
        exchanges.iter().copied().filter(|exchange| exchange["tokenBody"]["iss"] == issuer.as_str()).collect()
    };
    let mut compared = 0;
    for (instance, trust_model) in [
        ("pylarryoattestationaad", TrustModel::Aad),
        ("pylarryoattestationiso", TrustModel::Isolated),
        ("sharedwus", TrustModel::Shared),
    ] {
        let mut config = config(&format!("recorded_{instance}"), &forge(b"").mint());
        config.provider.trust_model = trust_model;
        // The signers' certificates were valid for a year.
        config.danger_appraise_at = Some(datetime!(2021-07-01 20:14 UTC));
        let exchanges = of(instance);
        if trust_model == TrustModel::Isolated {
            write_signer(&mut config, &exchanges);
        }
        let managed = Managed::start(config).await;
        for exchange in exchanges {
            compared += usize::from(replay(&managed, exchange).await);
        }
    }
    println!("{compared} exchanges compared");
    assert!(compared >= EXCHANGES, "{compared}");
}

/// Sends a recorded request again. Whether its answer could be compared: a policy that is read depends on what
/// was set before, which the recordings do not tell in order.
async fn replay(managed: &Managed, exchange: &Value) -> bool {
    let path = exchange["path"].as_str().unwrap().split('?').next().unwrap();
    let method: Method = exchange["method"].as_str().unwrap().parse().unwrap();
    let body = exchange["requestBody"].as_str().unwrap_or_default();
    let expected = without_times(&exchange["tokenBody"]);
    if method == Method::GET && path.starts_with("/policies/") {
        let policy = expected["x-ms-policy"].as_str().unwrap();
        if !managed_can_set(managed, path, policy).await {
            return false;
        }
    }
    if path == "/certificates:remove" {
        // What is removed was added before.
        let added = managed.post("/certificates:add", body).await;
        assert_eq!(added.status, 200, "{}", added.body);
    }
    let answer = managed.send(method.clone(), path, body).await;
    let found = managed.answer(&answer);
    if method == Method::GET && path == "/certificates" {
        // The recorded instance had signers of whose coming nothing is recorded.
        let keys = |claims: &Value| claims["x-ms-policy-certificates"]["keys"].as_array().unwrap().clone();
        let expected = keys(&Value::Object(expected));
        assert_eq!(keys(&found).is_empty(), expected.is_empty());
        assert!(keys(&found).iter().all(|key| expected.contains(key)), "{found}");
        return true;
    }
    assert_eq!(found, Value::Object(expected), "{method} {path}");
    true
}

/// Sets what a recorded answer shows, so that it can be read again.
async fn managed_can_set(managed: &Managed, path: &str, policy: &str) -> bool {
    if policy == "eyJhbGciOiJub25lIn0.." {
        return true;
    }
    managed.put(path, policy).await.status == 200
}

fn without_times(claims: &Value) -> Map<String, Value> {
    let mut claims = claims.as_object().unwrap().clone();
    for name in ["exp", "iat", "iss", "nbf"] {
        claims.remove(name);
    }
    claims
}

/// The isolated instance was made with the certificate that signs its recorded requests.
fn write_signer(config: &mut Config, exchanges: &[&Value]) {
    let body = exchanges.iter().find_map(|exchange| exchange["requestBody"].as_str()).unwrap();
    let header = body.trim_matches('"').split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&base64url::decode(header).unwrap()).unwrap();
    let der = header["jwk"]["x5c"][0].as_str().unwrap();
    let lines: Vec<_> = der.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    let file = config.data_dir.with_file_name("signer.pem");
    std::fs::write(&file, pem).unwrap();
    config.provider.policy_signer_certificates = vec![file];
}
