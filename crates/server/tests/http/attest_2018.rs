//! `POST /attest/SgxEnclave` and `/attest/Tee/...` under 2018-09-01-preview.

use serde_json::{Value, json};
use server::config::AccessTokenIssuer;
use time::OffsetDateTime;

use crate::support::{Answer, Service, b64, claims, forge, jwks, jwt, key, offline_config, send};

const VERSION: &str = "api-version=2018-09-01-preview";

async fn ask(service: &Service, path: &str, body: &Value, authorization: Option<&str>) -> Answer {
    let mut request = service.client.post(service.url(&format!("{path}?{VERSION}"))).body(body.to_string());
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    send(request).await
}

#[track_caller]
fn unauthorized(answer: &Answer) -> String {
    let message = answer.refusal(401, "Unauthorized");
    assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configured_issuer_nobody_gets_in() {
    let minted = forge(b"").mint();
    let service = Service::offline("2018_closed", &minted).await;
    let body = json!({ "Quote": b64(&minted.quote) });
    for authorization in [None, Some("Bearer a.b.c"), Some("Basic dXNlcjpwYXNz")] {
        let message = unauthorized(&ask(&service, "/attest/SgxEnclave", &body, authorization).await);
        assert!(message.contains("access token"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_configured_issuer_lets_in() {
    let minted = forge(b"held").mint();
    let mut config = offline_config("2018_open", &minted);
    let (key, other) = (key(), key());
    let jwks_file = config.data_dir.with_file_name("keys.json");
    std::fs::write(&jwks_file, jwks(&key)).unwrap();
    config.provider.access_token_issuers = vec![AccessTokenIssuer {
        audience: vec!["https://attest.example".to_owned()],
        issuer: Some("https://login.example".to_owned()),
        jwks_file: Some(jwks_file),
        ..AccessTokenIssuer::default()
    }];
    let service = Service::start(config).await;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let good = json!({ "iss": "https://login.example", "aud": "https://attest.example", "exp": now + 600 });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let body = json!({ "Quote": b64(&minted.quote), "EnclaveHeldData": b64(b"held") });
    let authorization = format!("Bearer {}", jwt(&key, &good));
    for path in ["/attest/SgxEnclave", "/attest/Tee/SgxEnclave", "/attest/tee/sgxenclave"] {
        let answer = ask(&service, path, &body, Some(&authorization)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let token = answer.json();
        assert_eq!(claims(token.as_str().expect("a bare string"))["x-ms-sgx-ehd"], b64(b"held"));
    }
    for (what, authorization) in [
        ("no token", None),
        ("another scheme", Some(authorization.replace("Bearer", "Basic"))),
        ("another's signature", Some(format!("Bearer {}", jwt(&other, &good)))),
        ("expired", Some(format!("Bearer {}", jwt(&key, &with("exp", json!(now - 3600)))))),
        ("another audience", Some(format!("Bearer {}", jwt(&key, &with("aud", json!("https://x.example")))))),
        ("another issuer", Some(format!("Bearer {}", jwt(&key, &with("iss", json!("https://x.example")))))),
        ("not yet valid", Some(format!("Bearer {}", jwt(&key, &with("nbf", json!(now + 3600)))))),
        ("no token at all", Some("Bearer ".to_owned())),
    ] {
        let answer = ask(&service, "/attest/SgxEnclave", &body, authorization.as_deref()).await;
        println!("{what}: {}", unauthorized(&answer));
    }
}
