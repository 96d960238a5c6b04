//! `GET /.well-known/openid-configuration`.

use crate::support::{Service, config, forge, send};

#[tokio::test(flavor = "multi_thread")]
async fn discovery_names_the_configured_issuer_whatever_the_host() {
    let mut config = config("discovery", &forge(b"").mint());
    config.provider.path_prefix = Some("team1".to_owned());
    let service = Service::start(config).await;
    let uri = service.server.uri().to_owned();
    assert!(uri.ends_with("/team1"), "{uri}");
    let url = service.url("/.well-known/openid-configuration");
    for host in ["attacker.example", "127.0.0.1:1"] {
        let answer = send(service.client.get(&url).header("host", host)).await;
        assert_eq!(answer.status, 200);
        let document = answer.json();
        assert_eq!(document["issuer"], uri.as_str());
        assert_eq!(document["jwks_uri"], format!("{uri}/certs"));
        assert_eq!(document["id_token_signing_alg_values_supported"], serde_json::json!(["RS256"]));
        assert!(!answer.body.contains("revoke"), "only what exists is advertised");
        assert!(!answer.body.contains(host));
    }
}
