//! Several providers in one instance, told apart by path and by host.

use axum::http::header::HOST;
use evidence::dcap::TcbStatus;
use serde_json::json;
use server::config::ProviderConfig;

use crate::support::{Service, VERSION, b64, claims, forge, offline_config, send};

#[tokio::test(flavor = "multi_thread")]
async fn each_has_its_own_issuer_baseline_and_certificate_and_the_key_is_shared() {
    let mut forge = forge(b"");
    forge.platform_status("OutOfDate");
    let minted = forge.mint();
    let mut config = offline_config("providers", &minted);
    let mut lenient = ProviderConfig {
        name: Some("lenient".to_owned()),
        path_prefix: Some("lenient".to_owned()),
        ..ProviderConfig::default()
    };
    lenient.baseline.accept_tcb_status = vec![TcbStatus::OutOfDate];
    let by_host = ProviderConfig {
        name: Some("by-host".to_owned()),
        uri: Some("https://two.example".to_owned()),
        host_names: vec!["two.example".to_owned()],
        baseline: lenient.baseline.clone(),
        ..ProviderConfig::default()
    };
    config.providers = vec![lenient, by_host];
    let service = Service::start(config).await;
    let body = json!({ "quote": b64(&minted.quote) }).to_string();
    let attest = |prefix: &str, host: Option<&str>| {
        let url = service.url(&format!("{prefix}/attest/SgxEnclave?{VERSION}"));
        let request = service.client.post(url).header("content-type", "application/json").body(body.clone());
        send(match host {
            Some(host) => request.header(HOST, host),
            None => request,
        })
    };
    attest("", None).await.refusal(400, "InvalidParameter");
    attest("", Some("elsewhere.example")).await.refusal(400, "InvalidParameter");
    let issuer = |answer: crate::support::Answer| {
        claims(answer.json()["token"].as_str().unwrap())["iss"].as_str().unwrap().to_owned()
    };
    assert_eq!(issuer(attest("/Lenient", None).await), service.url("/lenient"));
    assert_eq!(issuer(attest("/lenient", Some("two.example")).await), service.url("/lenient"));
    assert_eq!(issuer(attest("", Some("TWO.example:443")).await), "https://two.example");

    let default = service.get("/certs").await.json();
    let lenient = service.get("/lenient/certs").await.json();
    assert_eq!(default["keys"][0]["kid"], lenient["keys"][0]["kid"]);
    assert_ne!(default["keys"][0]["x5c"], lenient["keys"][0]["x5c"]);
    let discovered = service.get("/lenient/.well-known/openid-configuration").await.json();
    assert_eq!(discovered["jwks_uri"], service.url("/lenient/certs"));
}
