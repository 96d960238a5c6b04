//! The audit log behind the routes.

use serde_json::{Value, json};
use server::audit::verify::verify;
use server::auth::Role;
use server::auth::local::{LocalToken, token};
use server::config::AuditMode;
use time::OffsetDateTime;

use crate::support::{Service, b64, forge, offline_config, send};

const POLICY: &str = "/policies/SgxEnclave?api-version=2020-10-01";

fn events(data_dir: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(data_dir.join("audit/00000000000000000001.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn policy() -> String {
    let text = b64(b"version=1.0; authorizationrules{=> permit();};");
    format!("eyJhbGciOiJub25lIn0.{}.", b64(json!({ "AttestationPolicy": text }).to_string().as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_and_what_came_of_it() {
    let minted = forge(b"secret data of the enclave").mint();
    let config = offline_config("audit_routes", &minted);
    let data_dir = config.data_dir.clone();
    let service = Service::start(config).await;
    let wanted =
        LocalToken { lifetime_minutes: 5, provider: "default", role: Role::Contributor, scope: None };
    let bearer = format!("Bearer {}", token(&data_dir, &wanted, OffsetDateTime::now_utc()).unwrap());
    let put =
        || send(service.client.put(service.url(POLICY)).header("authorization", &bearer).body(policy()));
    assert_eq!(put().await.status, 200);
    service.get(POLICY).await.refusal(401, "Unauthorized");
    let body =
        json!({ "quote": b64(&minted.quote), "runtimeData": { "data": b64(b"secret data of the enclave") } });
    assert_eq!(service.attest(&body).await.status, 200);
    let wrong = json!({ "quote": b64(&minted.quote), "runtimeData": { "data": b64(b"other") } });
    assert_eq!(service.attest(&wrong).await.status, 400);

    // Without a log nothing is changed, and nothing is read; attestation goes on, as it is configured.
    std::fs::rename(data_dir.join("audit"), data_dir.join("away")).unwrap();
    put().await.refusal(503, "ServiceUnavailable");
    send(service.client.get(service.url(POLICY)).header("authorization", &bearer))
        .await
        .refusal(503, "ServiceUnavailable");
    assert_eq!(service.attest(&body).await.status, 200);
    std::fs::rename(data_dir.join("away"), data_dir.join("audit")).unwrap();
    let history = service.url("/policies/SgxEnclave/history?api-version=2020-10-01");
    let history = send(service.client.get(history).header("authorization", &bearer)).await;
    assert_eq!(history.status, 200, "{}", history.body);
    assert_eq!(history.body.matches("\"version\":").count(), 1, "{}", history.body);
    service.server.stop().await;

    let report = verify(&data_dir, None).unwrap();
    assert_eq!(report.problem, None);
    let events = events(&data_dir);
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            format!("{} {}", event["operation"].as_str().unwrap(), event["outcome"].as_str().unwrap())
        })
        .collect();
    let put = "PUT /policies/sgxenclave";
    assert_eq!(
        told[..5],
        [
            format!("{put} begun"),
            format!("{put} succeeded"),
            "GET /policies/sgxenclave refused".to_owned(),
            "POST /attest/sgxenclave succeeded".to_owned(),
            "POST /attest/sgxenclave refused".to_owned(),
        ]
    );
    assert_eq!(events[1]["actor"], "admin of urn:vouchsafe:local");
    assert!(events[1]["policy_hash"].is_string() && events[1]["provider"].as_str().unwrap().len() == 32);
    assert_eq!(events[3]["evidence_sha256"], hex::encode(crypto::sha256(&minted.quote)));
    assert_eq!(events[4]["failed_check"], "sgx.runtime_data.binding");
    let text = serde_json::to_string(&events).unwrap();
    for secret in [&b64(&minted.quote)[..200], &b64(b"secret data of the enclave"), &bearer[7..]] {
        assert!(!text.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_record_that_cannot_be_made_is_no_token() {
    let minted = forge(b"").mint();
    let mut config = offline_config("audit_required", &minted);
    config.audit.attestation = AuditMode::Required;
    let data_dir = config.data_dir.clone();
    let service = Service::start(config).await;
    assert_eq!(service.attest_quote(&minted).await.status, 200);
    std::fs::rename(data_dir.join("audit"), data_dir.join("away")).unwrap();
    let answer = service.attest_quote(&minted).await;
    answer.refusal(503, "ServiceUnavailable");
    assert!(!answer.body.contains("token\":"), "{}", answer.body);
}
