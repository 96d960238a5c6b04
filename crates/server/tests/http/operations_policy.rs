//! `/operations/policy/...` under 2018-09-01-preview.

use reqwest::Method;
use serde_json::{Value, json};
use server::auth::Role;
use server::config::ProviderConfig;
use token::policy_jws::unsigned;

use crate::managed::{Managed, PERMIT, RESET, Signer, access_token, isolate};
use crate::support::{Answer, claims, config, forge, send};

const OLD: &str = "api-version=2018-09-01-preview";

async fn ask(managed: &Managed, method: Method, path: &str, body: impl Into<String>) -> Answer {
    let separator = if path.contains('?') { '&' } else { '?' };
    let url = managed.service.url(&format!("{path}{separator}{OLD}"));
    let request = managed.service.client.request(method, url).bearer_auth(&managed.contributor);
    send(request.body(body.into())).await
}

/// The claims of an answer that is a bare string.
fn old_claims(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    claims(answer.json().as_str().expect("a bare string"))
}

fn old_policy(text: &str) -> String {
    unsigned(json!({ "AttestationPolicy": text }).to_string().as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_set_in_two_steps() {
    let mut config = config("operations", &forge(b"").mint());
    config.providers.push(ProviderConfig {
        name: Some("second".to_owned()),
        path_prefix: Some("second".to_owned()),
        ..ProviderConfig::default()
    });
    let data_dir = config.data_dir.clone();
    let managed = Managed::start(config).await;
    for step in ["updatepolicy", "update"] {
        let path = format!("/operations/policy/{step}?tee=SgxEnclave");
        let prepared = ask(&managed, Method::POST, &path, old_policy(PERMIT)).await;
        let claims = old_claims(&prepared);
        let hash = hex::encode(crypto::sha256(PERMIT.as_bytes()));
        assert_eq!((&claims["aas-policyHash"], &claims["maa-policyHash"]), (&json!(hash), &json!(hash)));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
        let current = "/operations/policy/current?tee=SgxEnclave";
        let before = old_claims(&ask(&managed, Method::GET, current, "").await);
        assert_ne!(before["x-ms-policy"], old_policy(PERMIT), "nothing changed yet");

        let refused =
            ask(&managed, Method::PUT, "/operations/policy/current?tee=Tpm", prepared.body.clone()).await;
        assert!(refused.refusal(400, "InvalidParameter").contains("another attestation type"));
        let set = ask(&managed, Method::PUT, current, prepared.body.clone()).await;
        assert_eq!((set.status, set.body.as_str()), (200, ""));
        let after = old_claims(&ask(&managed, Method::GET, current, "").await);
        assert_eq!(after["x-ms-policy"], old_policy(PERMIT));
        // The new contract shows the same.
        let modern = managed.answer(&managed.get("/policies/SgxEnclave").await);
        assert_eq!(modern["x-ms-policy"], old_policy(PERMIT));
        for other in [json!(after).to_string(), "a.b.c".to_owned(), old_policy(PERMIT)] {
            ask(&managed, Method::PUT, current, other).await.refusal(400, "InvalidParameter");
        }
        let answered = ask(&managed, Method::GET, current, "").await.body;
        ask(&managed, Method::PUT, current, answered).await.refusal(400, "InvalidParameter");

        // A token for one provider is nothing to another, although they share a signing key.
        let url = managed.service.url(&format!("/second{current}&{OLD}"));
        let token = access_token(&data_dir, "second", Role::Contributor);
        let elsewhere =
            send(managed.service.client.put(url).bearer_auth(token).body(prepared.body.clone())).await;
        elsewhere.refusal(400, "InvalidParameter");

        let method = if step == "update" { Method::DELETE } else { Method::POST };
        let reset = old_claims(&ask(&managed, method, current, RESET).await);
        assert_eq!(reset["x-ms-policy-result"], "Removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_have_their_old_names() {
    let mut config = config("operations_certificates", &forge(b"").mint());
    let (first, second) = (Signer::new("First"), Signer::new("Second"));
    isolate(&mut config, &[&first]);
    let managed = Managed::start(config).await;
    let path = "/operations/policy/certificates";
    let body = json!(first.vouch_for(&second, "maa-policyCertificate")).to_string();
    let added = old_claims(&ask(&managed, Method::PUT, path, &body).await);
    assert_eq!(added["x-ms-policycertificates-result"], "IsPresent");
    let list = old_claims(&ask(&managed, Method::GET, path, "").await);
    assert_eq!(list["aas-policyCertificates"], list["maa-policyCertificates"]);
    assert_eq!(list["maa-policyCertificates"]["keys"], json!([first.jwk(), second.jwk()]));
    let removed = old_claims(&ask(&managed, Method::POST, path, &body).await);
    assert_eq!(removed["x-ms-policycertificates-result"], "IsAbsent");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_path_belongs_to_its_versions() {
    let managed = Managed::start(config("operations_versions", &forge(b"").mint())).await;
    for (method, path) in [
        (Method::GET, "/operations/policy/current?tee=SgxEnclave"),
        (Method::POST, "/operations/policy/updatepolicy?tee=SgxEnclave"),
        (Method::GET, "/operations/policy/certificates"),
    ] {
        managed.send(method, path, "").await.refusal(404, "NotFound");
    }
    for (method, path) in [
        (Method::GET, "/policies/SgxEnclave"),
        (Method::GET, "/certificates"),
        (Method::GET, "/tcbbaselines/SgxEnclave"),
    ] {
        ask(&managed, method, path, "").await.refusal(404, "NotFound");
    }
    ask(&managed, Method::GET, "/operations/policy/current", "").await.refusal(400, "InvalidParameter");
    let twice = "/operations/policy/current?tee=SgxEnclave&tee=OpenEnclave";
    ask(&managed, Method::GET, twice, "").await.refusal(400, "InvalidParameter");
    let other = "/operations/policy/current?tee=CyResComponent";
    ask(&managed, Method::GET, other, "").await.refusal(400, "InvalidParameter");
}
