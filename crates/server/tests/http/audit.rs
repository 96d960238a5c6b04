//! The audit log behind the routes.

use reqwest::Method;
use serde_json::{Value, json};
use server::audit::verify::verify;
use server::auth::Role;
use server::auth::local::{LocalToken, token};
use server::config::AuditMode;
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;

use crate::limits::{connect, read_to_end};
use crate::managed::{Managed, RESET, Signer, isolate};
use crate::support::{Service, b64, forge, offline_config, send};

const POLICY: &str = "/policies/SgxEnclave?api-version=2020-10-01";

fn events(data_dir: &std::path::Path) -> Vec<Value> {
    let mut files = std::fs::read_dir(data_dir.join("audit")).unwrap().map(|file| file.unwrap().path());
    let (file, None) = (files.next().unwrap(), files.next()) else { panic!("more than one file") };
    let text = std::fs::read_to_string(file).unwrap();
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

    // What nobody waits for gathers for a moment.
    while events(&data_dir).len() < 5 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }

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

    assert_eq!(verify(&data_dir, &[]).unwrap().problems, []);
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
    assert_eq!(events[1]["policy_version"], 1);
    assert_eq!(events[3]["evidence_sha256"], hex::encode(crypto::sha256(&minted.quote)));
    assert_eq!(events[4]["failed_check"], "sgx.runtime_data.binding");
    let text = serde_json::to_string(&events).unwrap();
    for secret in [&b64(&minted.quote)[..200], &b64(b"secret data of the enclave"), &bearer[7..]] {
        assert!(!text.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_says_what_changed_and_nothing_that_a_stranger_made_long() {
    let minted = forge(b"").mint();
    let (signer, other) = (Signer::new("signer"), Signer::new("other"));
    let mut config = offline_config("audit_details", &minted);
    isolate(&mut config, &[&signer]);
    let data_dir = config.data_dir.clone();
    let managed = Managed::start(config).await;
    let jws = format!("\"{}\"", signer.vouch_for(&other, "policyCertificate"));
    assert_eq!(managed.post("/certificates:add", jws.clone()).await.status, 200);
    assert_eq!(managed.post("/certificates:remove", jws).await.status, 200);
    managed.send_as(&managed.reader, Method::GET, "/certificates", "").await;
    managed
        .send_as(&managed.reader, Method::PUT, "/policies/SgxEnclave", "x")
        .await
        .refusal(401, "Unauthorized");
    // No verdicts: what is no evidence, or no operation of ours.
    for path in [format!("/attest/{}", "x".repeat(50_000)), "/attest/SgxEnclave".to_owned()] {
        managed
            .service
            .post(&format!("{path}?api-version=2020-10-01"), "{}")
            .await
            .refusal(400, "InvalidParameter");
    }
    let long = format!("/policies/{}?api-version=2020-10-01", "\u{7f}x".repeat(5_000));
    managed.service.get(&long).await.refusal(401, "Unauthorized");
    let draft = json!({ "quote": b64(&minted.quote), "draftPolicyForAttestation": "version=1.0; authorizationrules{=> permit();};" });
    assert_eq!(managed.service.attest(&draft).await.status, 200);
    managed.service.server.stop().await;

    assert_eq!(verify(&data_dir, &[]).unwrap().problems, []);
    let events = events(&data_dir);
    let of = |operation: &str, outcome: &str| {
        let found = |event: &&Value| event["operation"] == operation && event["outcome"] == outcome;
        events.iter().find(found).unwrap_or_else(|| panic!("{operation} {outcome}: {events:?}")).clone()
    };
    for operation in ["POST /certificates:add", "POST /certificates:remove"] {
        of(operation, "begun");
        assert_eq!(of(operation, "succeeded")["certificate"], other.thumbprint());
    }
    of("GET /certificates", "succeeded");
    // Who may not do it is named, as who may.
    let refused = of("PUT /policies/sgxenclave", "refused");
    assert_eq!(refused["error_code"], "Unauthorized");
    assert_eq!(refused["actor"], "admin of urn:vouchsafe:local");
    assert_eq!(
        (&refused["attestation_type"], &refused["api_version"]),
        (&json!("SgxEnclave"), &json!("2020-10-01"))
    );
    let attested: Vec<_> =
        events.iter().filter(|event| event["operation"].as_str().unwrap().contains("attest")).collect();
    assert_eq!(attested.len(), 1, "{attested:?}");
    assert_eq!(attested[0]["draft"], true);
    assert!(events.iter().all(|event| event.to_string().len() < 2048));
    assert_eq!(events.len(), 8, "{events:?}");
}

/// The forms of 2018 name the attestation type in a parameter.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_says_which_policy_was_changed_in_2018() {
    let config = offline_config("audit_2018", &forge(b"").mint());
    let data_dir = config.data_dir.clone();
    let managed = Managed::start(config).await;
    let reset =
        managed.service.url("/operations/policy/current?api-version=2018-09-01-preview&Tee=OpenEnclave");
    let request = managed.service.client.post(reset).bearer_auth(&managed.contributor).body(RESET);
    assert_eq!(send(request).await.status, 200);
    managed.service.server.stop().await;
    let events = events(&data_dir);
    assert_eq!(events.len(), 2, "{events:?}");
    for event in &events {
        assert_eq!(event["attestation_type"], "OpenEnclave");
        assert_eq!(event["api_version"], "2018-09-01-preview");
    }
}

/// Also where others still hold the service: the data directory is free for the next one then.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_dropped_has_written_its_log() {
    let minted = forge(b"").mint();
    let config = offline_config("audit_dropped", &minted);
    let data_dir = config.data_dir.clone();
    let service = Service::start(config).await;
    assert_eq!(service.attest_quote(&minted).await.status, 200);
    drop(service.server);
    assert_eq!(events(&data_dir).len(), 1);
    assert_eq!(verify(&data_dir, &[]).unwrap().problems, []);
}

/// A request whose time runs out may have been done.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_and_abandoned_is_recorded() {
    let mut config = offline_config("audit_abandoned", &forge(b"").mint());
    config.limits.request_timeout_secs = 1;
    let data_dir = config.data_dir.clone();
    let managed = Managed::start(config).await;
    let mut half = connect(&managed.service).await;
    let head = format!("authorization: Bearer {}\r\ncontent-length: 100\r\n", managed.contributor);
    half.write_all(format!("PUT {POLICY} HTTP/1.1\r\nhost: x\r\n{head}\r\nhalf").as_bytes()).await.unwrap();
    let answer = read_to_end(&mut half).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    managed.service.server.stop().await;
    let events = events(&data_dir);
    let outcomes: Vec<_> = events.iter().map(|event| event["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["begun", "abandoned"]);
    assert!(events.iter().all(|event| event["actor"] == "admin of urn:vouchsafe:local"));
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
