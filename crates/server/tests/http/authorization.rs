//! Who may call what: every route with every kind of credential. Default deny.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use server::config::AccessTokenIssuer;
use time::OffsetDateTime;

use crate::support::{Service, forge, jwks, jwt, key, offline_config, send};

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "https://attest.example";

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    Anyone,
    AnyToken,
    Reader,
    Contributor,
}

use Access::{AnyToken, Anyone, Contributor, Reader};

/// Method, route, a path of it with its query, and what it asks.
const ROUTES: [(&str, &str, &str, Access); 34] = [
    ("DELETE", "/operations/policy/current", "/operations/policy/current?tee=SgxEnclave&V18", Contributor),
    ("GET", "/.well-known/openid-configuration", "/.well-known/openid-configuration", Anyone),
    ("GET", "/certificates", "/certificates?V20", Reader),
    ("GET", "/certs", "/certs", Anyone),
    ("GET", "/healthz/live", "/healthz/live", Anyone),
    ("GET", "/healthz/ready", "/healthz/ready", Anyone),
    ("GET", "/operations/policy/certificates", "/operations/policy/certificates?V18", Reader),
    ("GET", "/operations/policy/current", "/operations/policy/current?tee=SgxEnclave&V18", Reader),
    ("GET", "/policies/{attestation_type}", "/policies/SgxEnclave?V20", Reader),
    ("GET", "/policies/{attestation_type}/history", "/policies/SgxEnclave/history?V20", Reader),
    ("GET", "/policies/{attestation_type}/history/{version}", "/policies/SgxEnclave/history/1?V20", Reader),
    ("GET", "/servicehealth", "/servicehealth", Anyone),
    ("GET", "/tcbbaselines/{attestation_type}", "/tcbbaselines/SgxEnclave?V20", Reader),
    ("GET", "/tpm/ca", "/tpm/ca", Anyone),
    ("GET", "/tpm/ca.crl", "/tpm/ca.crl", Anyone),
    ("GET", "/tpm/machines", "/tpm/machines?V20", Reader),
    ("GET", "/tpm/machines/{machine}", "/tpm/machines/00?V20", Reader),
    ("OPTIONS", "/.well-known/openid-configuration", "/.well-known/openid-configuration", Anyone),
    ("OPTIONS", "/certs", "/certs", Anyone),
    ("POST", "/attest/tee/{attestation_type}", "/attest/Tee/SgxEnclave?V18", AnyToken),
    ("POST", "/attest/tpm", "/attest/Tpm?V20", Reader),
    ("POST", "/attest/{attestation_type}", "/attest/SgxEnclave?V20", Anyone),
    ("POST", "/certificates:add", "/certificates:add?V20", Contributor),
    ("POST", "/certificates:remove", "/certificates:remove?V20", Contributor),
    ("POST", "/operations/policy/certificates", "/operations/policy/certificates?V18", Contributor),
    ("POST", "/operations/policy/current", "/operations/policy/current?tee=SgxEnclave&V18", Contributor),
    ("POST", "/operations/policy/update", "/operations/policy/update?tee=SgxEnclave&V18", Contributor),
    (
        "POST",
        "/operations/policy/updatepolicy",
        "/operations/policy/updatepolicy?tee=SgxEnclave&V18",
        Contributor,
    ),
    ("POST", "/policies/{attestation_type}", "/policies/SgxEnclave:reset?V20", Contributor),
    ("POST", "/tpm/enrollments", "/tpm/enrollments?V20", Reader),
    ("POST", "/tpm/enrollments:activate", "/tpm/enrollments:activate?V20", Reader),
    ("POST", "/tpm/machines/{machine}", "/tpm/machines/00:revoke?V20", Contributor),
    ("PUT", "/operations/policy/certificates", "/operations/policy/certificates?V18", Contributor),
    ("PUT", "/operations/policy/current", "/operations/policy/current?tee=SgxEnclave&V18", Contributor),
];

/// Routes whose table entry needs a second version: the same path asks for more under another one.
const FURTHER: [(&str, &str, Access); 5] = [
    ("POST", "/attest/SgxEnclave?V18", AnyToken),
    ("POST", "/attest/OpenEnclave?V18", AnyToken),
    ("PUT", "/policies/SgxEnclave?V20", Contributor),
    ("POST", "/policies/SgxEnclave:rollback?V20", Contributor),
    ("POST", "/tpm/machines/00:restore?V20", Contributor),
];

/// A route that is not in the table has no test of who may call it.
#[test]
fn the_table_has_every_route() {
    let source = include_str!("../../src/http/router.rs");
    let mut in_source = BTreeSet::new();
    for route in source.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap();
        let handlers = &route[..route.find(".route(").unwrap_or(route.len())];
        let handlers = handlers.split(".layer(").next().unwrap().split(".method_not_allowed").next().unwrap();
        for method in ["delete", "get", "options", "patch", "post", "put"] {
            if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(".{method}(")) {
                in_source.insert((method.to_ascii_uppercase(), path.to_owned()));
            }
        }
    }
    let mut in_table: BTreeSet<_> =
        ROUTES.iter().map(|(method, route, ..)| ((*method).to_owned(), (*route).to_owned())).collect();
    in_table.insert(("PUT".to_owned(), "/policies/{attestation_type}".to_owned()));
    assert_eq!(in_source, in_table);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_with_every_kind_of_credential() {
    let mut config = offline_config("authorization", &forge(b"").mint());
    let (key, stranger) = (key(), key());
    let jwks_file = config.data_dir.with_file_name("keys.json");
    std::fs::write(&jwks_file, jwks(&key)).unwrap();
    config.provider.access_token_issuers = vec![AccessTokenIssuer {
        audience: vec![AUDIENCE.to_owned()],
        contributors: vec!["roles=Attestation Contributor".to_owned()],
        issuer: Some(ISSUER.to_owned()),
        jwks_file: Some(jwks_file),
        readers: vec!["roles=Attestation Reader".to_owned()],
        ..AccessTokenIssuer::default()
    }];
    let audit = config.data_dir.join("audit");
    let service = Service::start(config).await;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let claims = |name: &str, value: Value| {
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "name": "Alice", "exp": now + 600,
            "roles": ["Attestation Contributor"],
        });
        claims[name] = value;
        claims
    };
    // What each credential is good for: nothing, or access up to some level.
    let credentials: [(&str, Option<String>, Option<Access>); 11] = [
        ("none", None, None),
        ("no token", Some("x".to_owned()), None),
        ("expired", Some(jwt(&key, &claims("exp", json!(now - 3600)))), None),
        ("not yet valid", Some(jwt(&key, &claims("nbf", json!(now + 3600)))), None),
        ("another audience", Some(jwt(&key, &claims("aud", json!("https://x.example")))), None),
        ("another issuer", Some(jwt(&key, &claims("iss", json!("https://x.example")))), None),
        ("another's signature", Some(jwt(&stranger, &claims("sub", json!("alice")))), None),
        ("unsigned", Some(unsigned(&claims("sub", json!("alice")))), None),
        ("no role", Some(jwt(&key, &claims("roles", json!(["Attestation"])))), Some(AnyToken)),
        ("reader", Some(jwt(&key, &claims("roles", json!(["Attestation Reader"])))), Some(Reader)),
        ("contributor", Some(jwt(&key, &claims("sub", json!("alice")))), Some(Contributor)),
    ];
    let mut asked = 0;
    let routes = ROUTES.iter().map(|(method, _, path, access)| (*method, *path, *access));
    for (method, path, access) in routes.chain(FURTHER) {
        let path =
            path.replace("V20", "api-version=2020-10-01").replace("V18", "api-version=2018-09-01-preview");
        for (what, token, good_for) in &credentials {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let mut request =
                service.client.request(method.clone(), service.url(&path)).body("nothing useful");
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let answer = send(request).await;
            let let_in = access == Anyone || good_for.is_some_and(|level| level >= access);
            assert_eq!(
                answer.status != 401,
                let_in,
                "{method} {path} with {what}: {} {}",
                answer.status,
                answer.body
            );
            if !let_in {
                answer.refusal(401, "Unauthorized");
                assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
            }
            assert!(answer.status < 500, "{method} {path} with {what}: {}", answer.body);
            asked += 1;
        }
    }
    service.server.stop().await;
    let log = std::fs::read_dir(audit).unwrap().next().unwrap().unwrap().path();
    let log = std::fs::read_to_string(log).unwrap();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named: Vec<_> = events.iter().filter(|event| event["actor"].is_string()).collect();
    assert!(!named.is_empty());
    for event in named {
        assert_eq!(
            (&event["actor"], &event["actor_name"]),
            (&json!(format!("alice of {ISSUER}")), &json!("Alice"))
        );
    }
    println!("{asked} requests, each answered as its route and its credential ask");
}

fn unsigned(claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()))
}
