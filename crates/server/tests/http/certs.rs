//! `GET /certs`.

use serde_json::Value;

use crate::support::{Service, client, config, forge, send};
use server::Server;
use server::config::TokenAlgorithm;

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_published_to_anyone_in_the_recorded_order() {
    let service = Service::start(config("certs", &forge(b"").mint())).await;
    for path in ["/certs", "/CERTS", "/certs?api-version=2020-10-01", "/certs?api-version=nonsense"] {
        let answer =
            send(service.client.get(service.url(path)).header("authorization", "Bearer rubbish")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
        assert_eq!(answer.headers["x-ms-maa-service-version"], env!("CARGO_PKG_VERSION"));
        let body = answer.json();
        // The same key twice: tokens of TPMs name it by its certificate.
        let [key, again] = body["keys"].as_array().unwrap().as_slice() else { panic!("{body}") };
        assert_eq!(key["x5c"], again["x5c"]);
        assert_ne!(key["kid"], again["kid"]);
        assert_eq!((key["kty"].as_str(), key["alg"].as_str()), (Some("RSA"), Some("RS256")));
        assert!(answer.body.starts_with(r#"{"keys":[{"x5c":[""#), "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_of_any_origin_may_read() {
    let service = Service::start(config("cors", &forge(b"").mint())).await;
    for path in ["/certs", "/.well-known/openid-configuration"] {
        let request = service.client.get(service.url(path)).header("origin", "https://app.example");
        assert_eq!(send(request).await.headers["access-control-allow-origin"], "*");
        let preflight = service
            .client
            .request(reqwest::Method::OPTIONS, service.url(path))
            .header("origin", "https://app.example")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization,x-ms-client-request-id");
        let answer = send(preflight).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        assert!(answer.headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    }
    let preflight = service
        .client
        .request(reqwest::Method::OPTIONS, service.url("/attest/SgxEnclave"))
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST");
    let answer = send(preflight).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"), "attestation is not for browsers");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_outlives_a_restart_and_the_certificate_follows_the_uri() {
    let mut config = config("restart", &forge(b"").mint());
    config.provider.token_algorithm = TokenAlgorithm::Es256;
    let mut seen: Vec<(Value, Vec<u8>)> = Vec::new();
    for uri in ["https://a.example", "https://a.example", "https://b.example"] {
        config.provider.uri = Some(uri.to_owned());
        let service = Service::start(config.clone()).await;
        let url = format!("https://{}/certs", service.server.local_addr());
        seen.push((
            send(service.client.get(url)).await.json(),
            std::fs::read(service.server.ca_pem()).unwrap(),
        ));
        service.server.stop().await;
    }
    let [(first, ca), (second, ca_2), (third, ca_3)] = seen.as_slice() else { panic!() };
    assert_eq!((first, ca, ca), (second, ca_2, ca_3));
    assert_eq!(first["keys"][0]["kid"], third["keys"][0]["kid"]);
    assert_ne!(first["keys"][0]["x5c"], third["keys"][0]["x5c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_key_stays_published_after_the_current_one() {
    let mut config = config("former_key", &forge(b"").mint());
    let mut published = Vec::new();
    for algorithm in [TokenAlgorithm::Rs256, TokenAlgorithm::Es256] {
        config.provider.token_algorithm = algorithm;
        let service = Service::start(config.clone()).await;
        let keys = service.get("/certs").await.json()["keys"].as_array().unwrap().clone();
        published.push(keys.iter().map(|key| key["kid"].clone()).collect::<Vec<_>>());
        let metadata = service.get("/.well-known/openid-configuration").await.json();
        assert_eq!(metadata["id_token_signing_alg_values_supported"][0], keys[0]["alg"]);
        service.server.stop().await;
    }
    assert_eq!(published[0].len(), 2);
    assert_eq!(published[1].len(), 4);
    assert_eq!(published[1][2], published[0][0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_own_certificate_replaces_the_local_authority() {
    let mut config = config("own_certificate", &forge(b"").mint());
    let directory = config.data_dir.parent().unwrap().to_owned();
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (directory.join("own.pem"), directory.join("own-key.pem"));
    std::fs::write(&certificate, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    config.tls.cert_file = Some(certificate.clone());
    config.tls.key_file = Some(key);
    let server = Server::start(config).await.unwrap();
    let answer = send(client(&certificate).get(format!("{}/certs", server.uri()))).await;
    assert_eq!(answer.status, 200);
    assert!(!server.ca_pem().exists(), "a local authority that nobody needs was made");
}
