//! What the log holds of a request, and what it must not.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Service, VERSION, b64, forge, offline_config, send};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_a_request_and_nothing_secret() {
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let runtime = br#"{"canary-of-the-runtime-data":true}"#;
    let minted = forge(runtime).mint();
    let config = offline_config("log", &minted);
    let data_dir = config.data_dir.clone();
    let service = Service::start(config).await;
    let quote = b64(&minted.quote);
    let body = json!({
        "quote": quote,
        "runtimeData": { "data": b64(runtime), "dataType": "JSON" },
        "nonce": "canary-of-the-nonce",
        "draftPolicyForAttestation": "version=1.0; authorizationrules{=> permit();}; // canary-of-the-policy",
    });
    let path = format!("/attest/SgxEnclave?{VERSION}&x=canary-of-the-query");
    let request =
        service.client.post(service.url(&path)).header("authorization", "Bearer canary-of-the-credential");
    let answer = send(request.header("x-ms-client-request-id", "7-7").body(body.to_string())).await;
    let signed = service.attest(&json!({ "quote": quote })).await;
    service.post(&path, r#"{"quote":"canary-of-the-body"}"#).await.refusal(400, "InvalidParameter");
    let request_id = answer.headers["x-ms-request-id"].to_str().unwrap().to_owned();
    let token = signed.json()["token"].as_str().unwrap().to_owned();
    service.server.stop().await;

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_request: Vec<_> =
        events.iter().filter(|event| event["request_id"] == request_id.as_str()).collect();
    let [event] = of_request.as_slice() else { panic!("{of_request:?}") };
    assert_eq!(event["message"], "request");
    assert_eq!(event["method"], "POST");
    assert_eq!(event["path"], "/attest/SgxEnclave");
    assert_eq!(event["status"], 200);
    assert_eq!(event["client_request_id"], "7-7");
    assert!(event["duration_us"].is_u64() && event["remote"].is_string());
    assert!(events.iter().any(|event| event["status"] == 400 && event["error_code"] == "InvalidParameter"));

    let ours = |line: &&str| line.contains("\"target\":\"server");
    let log: String = log.lines().filter(ours).collect();
    let keys = ["ca-key.pem", "signing-key-rs256.pem"]
        .map(|name| std::fs::read_to_string(data_dir.join(name)).unwrap());
    let parts: Vec<_> = token.split('.').collect();
    for secret in ["canary", &quote[200..280], parts[1], parts[2], &b64(runtime)] {
        assert!(!log.contains(secret), "{secret}");
    }
    for line in
        keys.iter().flat_map(|key| key.lines()).filter(|line| line.len() > 20 && !line.starts_with("---"))
    {
        assert!(!log.contains(line), "a private key");
    }
}
