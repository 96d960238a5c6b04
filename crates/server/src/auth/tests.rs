use serde_json::{Value, json};
use token::base64url;

use super::local::{LocalToken, token};
use super::*;
use crate::data_dir::DataDir;
use crate::test_support::scratch;

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW + seconds).unwrap()
}

fn headers(authorization: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, authorization.parse().unwrap());
    headers
}

/// An issuer of a test: a key, and its set of keys in a file.
struct Forger {
    key: crypto::SigningKey,
    directory: std::path::PathBuf,
}

impl Forger {
    fn new(name: &str) -> Self {
        let directory = scratch(name);
        std::fs::create_dir_all(&directory).unwrap();
        let key = crypto::SigningKey::generate(crypto::SigningAlgorithm::Es256).unwrap();
        let forger = Self { key, directory };
        std::fs::write(forger.file(), forger.jwks().to_string()).unwrap();
        forger
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.join("keys.json")
    }

    fn jwks(&self) -> Value {
        let spki = self.key.public_key_der().unwrap();
        let (x, y) = spki[spki.len() - 64..].split_at(32);
        let (x, y) = (base64url::encode(x), base64url::encode(y));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "one", "alg": "ES256" }] })
    }

    fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let input = format!("{}.{}", part(&json!({ "alg": "ES256", "kid": "one" })), part(claims));
        let signature = self.key.sign(input.as_bytes()).unwrap();
        format!("{input}.{}", base64url::encode(&signature))
    }

    fn bearer(&self, claims: &Value) -> HeaderMap {
        headers(&format!("Bearer {}", self.sign(claims)))
    }
}

fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": "https://login.example", "aud": "https://attest.example", "sub": "alice", "exp": NOW + 600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn authorizer(forger: &Forger, configured: AccessTokenIssuer) -> Authorizer {
    authorizer_of(forger, &[configured])
}

fn authorizer_of(forger: &Forger, configured: &[AccessTokenIssuer]) -> Authorizer {
    let dir = DataDir::open(&forger.directory.join("data")).unwrap();
    Authorizer::new(configured, &LocalIssuer::open(&dir).unwrap(), "default").unwrap()
}

fn configured(forger: &Forger) -> AccessTokenIssuer {
    AccessTokenIssuer {
        audience: vec!["https://attest.example".to_owned(), "api://attest".to_owned()],
        contributors: vec!["groups=admins".to_owned(), "realm.roles=writer".to_owned()],
        issuer: Some("https://login.example".to_owned()),
        jwks_file: Some(forger.file()),
        readers: vec!["roles=Attestation Reader".to_owned(), "scp=attest.read".to_owned()],
        ..AccessTokenIssuer::default()
    }
}

#[tokio::test]
async fn roles_come_from_the_configured_claims() {
    let forger = Forger::new("auth_roles");
    let authorizer = authorizer(&forger, configured(&forger));
    let cases = [
        (json!({}), false, false),
        (json!({ "roles": ["Attestation Reader"] }), true, false),
        (json!({ "roles": "Attestation Reader" }), true, false),
        (json!({ "roles": ["Attestation Reader Not"] }), false, false),
        (json!({ "scp": "openid attest.read" }), true, false),
        (json!({ "scp": "attest.readx" }), false, false),
        (json!({ "roles": "Some Attestation Reader" }), false, false),
        (json!({ "realm": { "roles": ["writer"] } }), true, true),
        (json!({ "realm.roles": ["writer"] }), true, true),
        (json!({ "realm.roles": ["other"], "realm": { "roles": ["writer"] } }), false, false),
        (json!({ "realm": { "roles": { "writer": true } } }), false, false),
        (json!({ "realm": "roles" }), false, false),
        (json!({ "groups": ["staff", "admins"] }), true, true),
        (json!({ "groups": { "admins": true } }), false, false),
        (json!({ "groups": "staff admins" }), false, false),
        (json!({ "roles": ["Contributor"] }), false, false),
    ];
    for (changes, reads, writes) in cases {
        let headers = forger.bearer(&claims(changes.clone()));
        let caller = authorizer.authenticate(&headers, at(0)).await.unwrap();
        assert_eq!(caller.to_string(), "alice of https://login.example");
        assert_eq!(caller.name, None);
        for (permission, permitted) in
            [(Permission::Read, reads), (Permission::Write, writes), (Permission::Delete, writes)]
        {
            let outcome = authorizer.authorize(&headers, permission, at(0)).await;
            assert_eq!(outcome.is_ok(), permitted, "{changes} {permission:?}");
            if let Err(refusal) = outcome {
                assert!(matches!(refusal.error, AuthError::MissingRole { .. }), "{refusal:?}");
            }
        }
    }
}

#[tokio::test]
async fn tokens_are_for_this_provider_of_this_issuer_and_of_now() {
    let (forger, stranger) = (Forger::new("auth_tokens"), Forger::new("auth_stranger"));
    let authorizer = authorizer(&forger, configured(&forger));
    let verdict = |headers: HeaderMap, seconds| {
        let authorizer = &authorizer;
        async move { authorizer.authenticate(&headers, at(seconds)).await.map_err(|refusal| refusal.error) }
    };
    assert!(verdict(forger.bearer(&claims(json!({}))), 0).await.is_ok());
    assert!(verdict(forger.bearer(&claims(json!({ "aud": ["x", "api://attest"] }))), 0).await.is_ok());
    for (changes, seconds) in [
        (json!({}), 700),
        (json!({ "nbf": NOW + 300 }), 0),
        (json!({ "aud": "https://other.example" }), 0),
        (json!({ "exp": null }), 0),
        (json!({ "exp": "1900000000" }), 0),
    ] {
        let refused = verdict(forger.bearer(&claims(changes.clone())), seconds).await.unwrap_err();
        assert!(matches!(refused, AuthError::Refused(_)), "{changes}: {refused}");
    }
    let foreign = verdict(stranger.bearer(&claims(json!({}))), 0).await.unwrap_err();
    assert_eq!(foreign, AuthError::Refused(TokenError::Signature));
    for issuer in [json!("https://login.example/"), json!("https://elsewhere.example"), json!(7), json!(null)]
    {
        let refused = verdict(forger.bearer(&claims(json!({ "iss": issuer }))), 0).await.unwrap_err();
        assert_eq!(refused, AuthError::UnknownIssuer);
    }
    assert_eq!(verdict(HeaderMap::new(), 0).await.unwrap_err(), AuthError::Missing);
    assert_eq!(verdict(headers("Basic YTpi"), 0).await.unwrap_err(), AuthError::Missing);
    let mut twice = forger.bearer(&claims(json!({})));
    twice.append(AUTHORIZATION, "Bearer x".parse().unwrap());
    assert_eq!(verdict(twice, 0).await.unwrap_err(), AuthError::Missing);
    assert!(matches!(verdict(headers("Bearer x.y.z"), 0).await.unwrap_err(), AuthError::Refused(_)));
}

#[tokio::test]
async fn the_local_issuer_is_one_like_any_other() {
    let forger = Forger::new("auth_local");
    let authorizer = authorizer(&forger, configured(&forger));
    let data_dir = forger.directory.join("data");
    let wanted =
        LocalToken { lifetime_minutes: 5, provider: "default", role: Role::Reader, scope: Some("x") };
    let bearer =
        |wanted: &LocalToken<'_>| headers(&format!("Bearer {}", token(&data_dir, wanted, at(0)).unwrap()));
    let reader = bearer(&wanted);
    assert!(authorizer.authorize(&reader, Permission::Read, at(0)).await.is_ok());
    assert!(authorizer.authorize(&reader, Permission::Write, at(0)).await.is_err());
    assert!(authorizer.authorize(&reader, Permission::Read, at(6 * 60 + 1)).await.is_err());
    let contributor = bearer(&LocalToken { role: Role::Contributor, ..wanted.clone() });
    assert!(authorizer.authorize(&contributor, Permission::Write, at(0)).await.is_ok());
    let elsewhere = bearer(&LocalToken { provider: "team1", ..wanted.clone() });
    let refused = authorizer.authenticate(&elsewhere, at(0)).await.unwrap_err();
    assert!(matches!(refused.error, AuthError::Refused(TokenError::Audience { .. })), "{refused:?}");
    assert_eq!(
        refused.challenge,
        "Bearer authorization_uri=\"https://login.example\", resource=\"https://attest.example\", \
         error=\"invalid_token\""
    );

    for lifetime_minutes in [0, local::MAX_LIFETIME_MINUTES + 1] {
        let wanted = LocalToken { lifetime_minutes, ..wanted.clone() };
        assert!(matches!(token(&data_dir, &wanted, at(0)), Err(local::LocalIssuerError::Lifetime { .. })));
    }
    let none = token(&forger.directory, &wanted, at(0));
    assert!(matches!(none, Err(local::LocalIssuerError::NoKey)));
    let key = data_dir.join("admin-key.pem");
    std::fs::write(&key, "nothing").unwrap();
    assert!(matches!(token(&data_dir, &wanted, at(0)), Err(local::LocalIssuerError::InvalidKey)));
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(token(&data_dir, &wanted, at(0)), Err(local::LocalIssuerError::DataDir(_))));
}

#[tokio::test]
async fn a_challenge_says_how_to_get_a_token() {
    let forger = Forger::new("auth_challenge");
    let challenge = async |authorizer: &Authorizer, headers: &HeaderMap| {
        let refusal = authorizer.authorize(headers, Permission::Write, at(0)).await.unwrap_err();
        refusal.challenge.to_str().unwrap().to_owned()
    };
    let known = "Bearer authorization_uri=\"https://login.example\", resource=\"https://attest.example\"";
    let one = authorizer(&forger, configured(&forger));
    let (none, wrong) = (HeaderMap::new(), headers("Bearer x.y.z"));
    assert_eq!(challenge(&one, &none).await, known);
    assert_eq!(challenge(&one, &wrong).await, format!("{known}, error=\"invalid_token\""));
    let reader = forger.bearer(&claims(json!({ "roles": ["Attestation Reader"] })));
    assert_eq!(challenge(&one, &reader).await, format!("{known}, error=\"insufficient_scope\""));

    let entra = AccessTokenIssuer {
        audience: Vec::new(),
        issuer: None,
        preset: Some(crate::config::IssuerPreset::Entra),
        tenant: Some("t1".to_owned()),
        ..configured(&forger)
    };
    let entra = authorizer_of(&forger, &[entra]);
    assert_eq!(
        challenge(&entra, &none).await,
        "Bearer authorization_uri=\"https://login.microsoftonline.com/t1\", \
         resource=\"https://attest.azure.net\""
    );
    let local = authorizer_of(&forger, &[]);
    assert_eq!(challenge(&local, &none).await, "Bearer resource=\"urn:vouchsafe:provider:default\"");
    let odd = AccessTokenIssuer { audience: vec!["a\"b\\c\n".to_owned()], ..configured(&forger) };
    let odd = authorizer_of(&forger, &[odd]);
    assert_eq!(challenge(&odd, &none).await, "Bearer", "what no header can hold");
}

#[tokio::test]
async fn callers_are_named_by_what_they_cannot_choose() {
    let forger = Forger::new("auth_names");
    let authorizer = authorizer(&forger, configured(&forger));
    let long = "x".repeat(1000);
    for (changes, subject, name) in [
        (json!({ "oid": "o-1", "name": "Alice", "upn": "alice@x.example" }), "o-1", Some("alice@x.example")),
        (json!({ "name": "admin of urn:vouchsafe:local" }), "alice", Some("admin of urn:vouchsafe:local")),
        (json!({ "sub": null, "azp": "app" }), "app", None),
        (json!({ "sub": "", "preferred_username": 7 }), "unnamed", None),
        (json!({ "sub": long, "name": long }), &long[..256], Some(&long[..256])),
    ] {
        let caller = authorizer.authenticate(&forger.bearer(&claims(changes)), at(0)).await.unwrap();
        assert_eq!((caller.subject.as_str(), caller.name.as_deref()), (subject, name));
        assert_eq!(caller.to_string(), format!("{subject} of https://login.example"));
    }
}

/// Microsoft Entra ID: tokens of both versions, signed by the same keys, for the published clients' audience.
#[tokio::test]
async fn entra_needs_a_tenant_and_nothing_else() {
    let forger = Forger::new("auth_entra");
    let entra = AccessTokenIssuer {
        jwks_file: Some(forger.file()),
        preset: Some(crate::config::IssuerPreset::Entra),
        tenant: Some("t1".to_owned()),
        ..AccessTokenIssuer::default()
    };
    let authorizer = authorizer_of(&forger, &[entra]);
    let token = |issuer: &str, role: &str| {
        let changes =
            json!({ "iss": issuer, "aud": "https://attest.azure.net", "oid": "o", "roles": [role] });
        forger.bearer(&claims(changes))
    };
    let (v1, v2) = ("https://sts.windows.net/t1/", "https://login.microsoftonline.com/t1/v2.0");
    for issuer in [v1, v2] {
        let contributor = token(issuer, "Attestation Contributor");
        let caller = authorizer.authorize(&contributor, Permission::Write, at(0)).await.unwrap();
        assert_eq!(caller.to_string(), format!("o of {issuer}"));
        let reader = token(issuer, "Attestation Reader");
        assert!(authorizer.authorize(&reader, Permission::Read, at(0)).await.is_ok());
        assert!(authorizer.authorize(&reader, Permission::Write, at(0)).await.is_err());
    }
    for issuer in [
        "https://sts.windows.net/t2/",
        "https://login.microsoftonline.com/common/v2.0",
        "https://sts.windows.net/t1",
    ] {
        let refused = authorizer.authenticate(&token(issuer, "Attestation Contributor"), at(0)).await;
        assert_eq!(refused.unwrap_err().error, AuthError::UnknownIssuer);
    }
}

#[test]
fn an_issuer_that_cannot_be_used_is_told_the_key_and_the_fix() {
    let forger = Forger::new("auth_config");
    let good = configured(&forger);
    std::fs::write(forger.directory.join("none.json"), "{\"keys\":[]}").unwrap();
    let entra = AccessTokenIssuer {
        issuer: None,
        preset: Some(crate::config::IssuerPreset::Entra),
        tenant: Some("t".to_owned()),
        ..good.clone()
    };
    assert!(TrustedIssuer::configured(&entra).is_ok());
    let wrong = [
        (AccessTokenIssuer { issuer: None, ..good.clone() }, ".preset`"),
        (AccessTokenIssuer { issuer: Some("x".to_owned()), ..entra.clone() }, ".preset`"),
        (AccessTokenIssuer { tenant: None, ..entra }, ".preset`"),
        (AccessTokenIssuer { audience: Vec::new(), ..good.clone() }, ".audience`"),
        (AccessTokenIssuer { jwks_file: None, ..good.clone() }, ".discovery_url`"),
        (
            AccessTokenIssuer { discovery_url: Some("https://x".to_owned()), ..good.clone() },
            ".discovery_url`",
        ),
        (
            AccessTokenIssuer {
                discovery_url: Some("http://login.example".to_owned()),
                jwks_file: None,
                ..good.clone()
            },
            ".discovery_url`",
        ),
        (
            AccessTokenIssuer { jwks_file: Some(forger.directory.join("absent")), ..good.clone() },
            ".jwks_file`",
        ),
        (
            AccessTokenIssuer { jwks_file: Some(forger.directory.join("none.json")), ..good.clone() },
            ".jwks_file`",
        ),
        (AccessTokenIssuer { readers: vec!["admins".to_owned()], ..good.clone() }, ".readers`"),
        (AccessTokenIssuer { contributors: vec!["=x".to_owned()], ..good }, ".contributors`"),
    ];
    for (configured, key) in wrong {
        let message = TrustedIssuer::configured(&configured).unwrap_err().to_string();
        assert!(message.starts_with(&format!("`provider.access_token_issuers{key}")), "{message}");
    }
}
