//! A relying party, from the issuer it trusts to the claims it reads.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use crypto::{SigningAlgorithm, SigningKey};
use relying_party::discovery::MAX_METADATA_BYTES;
use relying_party::{
    ClaimError, Claims, DiscoveryError, Error, JwksError, Metadata, TokenError, Verifier, metadata_url,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use token::{Algorithm, Jwks, Signer};

const ISSUER: &str = "https://attest.example.org:8443/team1";
const NOW: i64 = 1_800_000_000;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).unwrap()
}

fn signer(algorithm: SigningAlgorithm) -> Signer {
    let key = SigningKey::generate(algorithm).unwrap();
    let pair = rcgen::KeyPair::try_from(key.to_pkcs8().unwrap().as_slice()).unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["attest.example.org".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&pair).unwrap().der().to_vec();
    Signer::new(key, vec![certificate]).unwrap()
}

fn keys(signer: &Signer) -> Vec<u8> {
    Jwks::from_keys(vec![signer.jwk().clone()]).to_json().into_bytes()
}

fn metadata(algorithm: Algorithm) -> Vec<u8> {
    token::metadata::Metadata::new(ISSUER, &[algorithm], &["x-ms-ver"]).to_json().into_bytes()
}

/// The claims of an SGX token, with `more` put over them.
fn token(signer: &Signer, more: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "iat": NOW, "nbf": NOW, "exp": NOW + 28800, "jti": "ab".repeat(32),
        "x-ms-ver": "1.0", "x-ms-attestation-type": "sgx", "x-ms-policy-hash": "hash",
        "x-ms-sgx-is-debuggable": false, "x-ms-sgx-svn": 3, "x-ms-sgx-product-id": 1,
        "x-ms-sgx-mrenclave": "0a".repeat(32), "x-ms-sgx-mrsigner": "ff".repeat(32),
        "x-ms-sgx-report-data": "01".repeat(64), "x-ms-sgx-ehd": "-_8",
        "x-ms-runtime": {"keys": []}, "x-ms-inittime": {"a": 1},
    });
    for (name, value) in more.as_object().unwrap() {
        claims.as_object_mut().unwrap().insert(name.clone(), value.clone());
    }
    signer.sign(ISSUER, claims.as_object().unwrap()).unwrap()
}

fn verified(more: &Value) -> Claims {
    let signer = signer(SigningAlgorithm::Es256);
    let verifier = Verifier::from_metadata(ISSUER, &metadata(Algorithm::Es256), &keys(&signer)).unwrap();
    verifier.verify(&token(&signer, more), now()).unwrap()
}

#[test]
fn from_the_issuer_to_the_claims() {
    assert_eq!(metadata_url(ISSUER).unwrap(), format!("{ISSUER}/.well-known/openid-configuration"));
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
        let signer = signer(algorithm);
        let document = metadata(signer.algorithm());
        let discovered = Metadata::parse(ISSUER, &document).unwrap();
        assert_eq!(discovered.jwks_uri(), format!("{ISSUER}/certs"));
        assert_eq!(discovered.algorithms(), [signer.algorithm()]);
        assert_eq!(discovered.issuer(), ISSUER);
        let verifier = Verifier::from_metadata(ISSUER, &document, &keys(&signer)).unwrap();
        assert_eq!(verifier.issuer(), ISSUER);
        assert_eq!(verifier.keys().keys().len(), 1);

        let claims = verifier.verify(&token(&signer, &json!({})), now()).unwrap();
        assert_eq!(claims.attestation_type(), Ok("sgx"));
        assert_eq!(claims.policy_hash(), Ok("hash"));
        assert_eq!(claims.token_id().unwrap().len(), 64);
        assert_eq!(claims.mrenclave(), Ok([0x0a; 32]));
        assert_eq!(claims.mrsigner(), Ok([0xff; 32]));
        assert_eq!(claims.report_data(), Ok([1; 64]));
        assert_eq!((claims.product_id(), claims.svn()), (Ok(1), Ok(3)));
        assert_eq!(claims.is_debuggable(), Ok(false));
        assert_eq!(claims.enclave_held_data(), Ok(vec![0xfb, 0xff]));
        assert_eq!(claims.runtime().unwrap()["keys"], json!([]));
        assert_eq!(claims.init_time().unwrap()["a"], json!(1));
        assert_eq!(claims.get("x-ms-ver"), Some(&json!("1.0")));
        assert_eq!(claims.as_json().len(), 17);
        assert_eq!(claims.issued_at(), Some(now()));
        assert_eq!(claims.expires_at(), now() + Duration::hours(8));
        assert_eq!(claims.token().algorithm(), signer.algorithm());
    }
}

#[test]
fn a_draft_is_never_accepted() {
    let signer = signer(SigningAlgorithm::Es256);
    let verifier = Verifier::from_keys(ISSUER, &keys(&signer)).unwrap();
    let claims = json!({"iss": ISSUER, "exp": NOW + 60});
    let draft = signer.unsigned(ISSUER, claims.as_object().unwrap()).unwrap();
    assert_eq!(verifier.verify(&draft, now()).err(), Some(Error::Token(TokenError::Unsigned)));
}

/// Provider A's token at provider B, under the same key, which providers of one service share.
#[test]
fn a_token_of_another_issuer_is_refused() {
    let signer = signer(SigningAlgorithm::Es256);
    let verifier = Verifier::from_keys("https://attest.example.org:8443/team2", &keys(&signer)).unwrap();
    let error = verifier.verify(&token(&signer, &json!({})), now()).unwrap_err();
    assert!(matches!(&error, Error::Token(TokenError::Issuer { found, .. }) if found == ISSUER));
    assert!(!error.needs_fresh_keys());
}

#[test]
fn a_new_key_asks_for_fresh_keys() {
    let (old, new) = (signer(SigningAlgorithm::Es256), signer(SigningAlgorithm::Es256));
    let verifier = Verifier::from_keys(ISSUER, &keys(&old)).unwrap();
    let error = verifier.verify(&token(&new, &json!({})), now()).unwrap_err();
    assert!(error.needs_fresh_keys(), "{error}");
    let refreshed = Verifier::from_keys(ISSUER, &keys(&new)).unwrap();
    assert!(refreshed.verify(&token(&new, &json!({})), now()).is_ok());
}

#[test]
fn clocks_may_differ_a_little() {
    let signer = signer(SigningAlgorithm::Es256);
    let verifier = Verifier::from_keys(ISSUER, &keys(&signer)).unwrap();
    let token = token(&signer, &json!({}));
    let at =
        |verifier: &Verifier, seconds| verifier.verify(&token, now() + Duration::seconds(seconds)).is_ok();
    assert!(at(&verifier, -60) && !at(&verifier, -61));
    assert!(at(&verifier, 28800 + 59) && !at(&verifier, 28800 + 60));
    let strict = verifier.clone().with_leeway_secs(0);
    assert!(at(&strict, 0) && !at(&strict, -1) && !at(&strict, 28800));
}

#[test]
fn the_algorithms_are_those_the_issuer_names() {
    let signer = signer(SigningAlgorithm::Es256);
    let verifier = Verifier::from_metadata(ISSUER, &metadata(Algorithm::Rs256), &keys(&signer)).unwrap();
    let refused = verifier.verify(&token(&signer, &json!({})), now()).err();
    let found = "ES256".to_owned();
    assert_eq!(refused, Some(Error::Token(TokenError::AlgorithmNotAllowed { found })));
}

#[test]
fn keys_that_cannot_be_used_make_no_verifier() {
    assert_eq!(Verifier::from_keys(ISSUER, br#"{"keys":[]}"#).err(), Some(Error::NoUsableKey));
    assert_eq!(Verifier::from_keys(ISSUER, br#"{"keys":[{"kty":"oct"}]}"#).err(), Some(Error::NoUsableKey));
    assert_eq!(Verifier::from_keys(ISSUER, b"{}").err(), Some(Error::Keys(JwksError::NoKeys)));
}

#[test]
fn an_issuer_is_a_plain_https_uri() {
    let slash = format!("{ISSUER}/");
    assert_eq!(metadata_url(&slash), metadata_url(ISSUER));
    assert!(Metadata::parse(&slash, &metadata(Algorithm::Es256)).is_ok());
    for issuer in [
        "",
        "https://",
        "https:///certs",
        "https://:8443",
        "http://attest.example.org",
        "attest.example.org",
        "https://user@attest.example.org",
        "https://attest.example.org?x",
        "https://attest.example.org#x",
        "https://attest.example.org\\@evil",
        "https://attest.example.org ",
        "https://attest.example.org\n",
        "https://ättest.example.org",
        "https://attest.example.org//",
    ] {
        let error = DiscoveryError::InvalidUri { found: issuer.into() };
        assert_eq!(metadata_url(issuer), Err(error.clone()), "{issuer:?}");
        assert_eq!(Metadata::parse(issuer, b"{}"), Err(error), "{issuer:?}");
    }
}

#[test]
fn the_configuration_must_be_the_issuers_own() {
    for found in [
        "https://attest.example.org:8443/team2",
        "https://attest.example.org:8443/team1/",
        "",
        "HTTPS://attest.example.org:8443/team1",
    ] {
        let document = json!({"issuer": found, "jwks_uri": format!("{ISSUER}/certs")}).to_string();
        let error = DiscoveryError::Issuer { found: found.into(), expected: ISSUER.into() };
        assert_eq!(Metadata::parse(ISSUER, document.as_bytes()), Err(error));
    }
    let nothing = Metadata::parse(ISSUER, b"{}");
    assert!(matches!(nothing, Err(DiscoveryError::Issuer { found, .. }) if found.is_empty()));
}

#[test]
fn keys_are_at_the_issuers_origin_unless_allowed() {
    let parse = |jwks_uri: &str, allowed: &[&str]| {
        let document = json!({"issuer": ISSUER, "jwks_uri": jwks_uri}).to_string();
        Metadata::parse_allowing(ISSUER, document.as_bytes(), allowed)
    };
    for same in ["https://attest.example.org:8443/certs", "https://ATTEST.example.org:8443/x/y"] {
        assert_eq!(parse(same, &[]).unwrap().jwks_uri(), same);
        assert_eq!(parse(same, &[]).unwrap().algorithms(), Algorithm::ALL);
    }
    for other in [
        "https://attest.example.org/certs",
        "https://attest.example.org:443/certs",
        "https://attest.example.org:84433/certs",
        "https://attest.example.org:8443.evil.example/certs",
        "https://keys.example.org/certs",
    ] {
        assert_eq!(parse(other, &[]), Err(DiscoveryError::Origin { found: other.into() }));
    }
    assert!(parse("https://keys.example.org:443/certs", &["https://keys.example.org"]).is_ok());
    for bad in
        ["http://attest.example.org:8443/certs", "/certs", "https://attest.example.org:8443@evil.example/"]
    {
        assert_eq!(parse(bad, &[]), Err(DiscoveryError::InvalidUri { found: bad.into() }));
    }
    let allowed = parse("https://attest.example.org:8443/certs", &["keys"]);
    assert_eq!(allowed, Err(DiscoveryError::InvalidUri { found: "keys".into() }));
}

#[test]
fn the_configuration_is_bounded_strict_json() {
    let long = vec![b' '; MAX_METADATA_BYTES + 1];
    let too_long = DiscoveryError::TooLong { bytes: MAX_METADATA_BYTES + 1 };
    assert_eq!(Metadata::parse(ISSUER, &long), Err(too_long));
    assert!(matches!(Metadata::parse(ISSUER, b"<html>"), Err(DiscoveryError::Json(_))));
    let twice = format!(r#"{{"issuer":"{ISSUER}","issuer":"{ISSUER}"}}"#);
    assert!(matches!(Metadata::parse(ISSUER, twice.as_bytes()), Err(DiscoveryError::Json(_))));
    let without = json!({"issuer": ISSUER}).to_string();
    assert_eq!(Metadata::parse(ISSUER, without.as_bytes()), Err(DiscoveryError::NoJwksUri));
    for names in [json!(["HS256", "none"]), json!([]), json!("RS256")] {
        let document = json!({
            "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/certs"), "id_token_signing_alg_values_supported": names,
        });
        assert_eq!(Metadata::parse(ISSUER, document.to_string().as_bytes()), Err(DiscoveryError::Algorithms));
    }
}

#[test]
fn an_absent_or_mistyped_claim_is_no_default() {
    let claims = verified(&json!({
        "x-ms-sgx-is-debuggable": "false", "x-ms-sgx-svn": "3", "x-ms-sgx-product-id": 1.5,
        "x-ms-sgx-mrenclave": "0A".repeat(32), "x-ms-sgx-mrsigner": "ff".repeat(31),
        "x-ms-sgx-report-data": "f".repeat(127), "x-ms-sgx-ehd": "a b", "x-ms-runtime": "{}",
        "x-ms-attestation-type": ["sgx"],
    }));
    let wrong = |claim: &str, expected| ClaimError::WrongType { claim: claim.into(), expected };
    assert_eq!(claims.is_debuggable(), Err(wrong("x-ms-sgx-is-debuggable", "a boolean")));
    assert_eq!(claims.svn(), Err(wrong("x-ms-sgx-svn", "an unsigned integer")));
    assert_eq!(claims.product_id(), Err(wrong("x-ms-sgx-product-id", "an unsigned integer")));
    assert_eq!(claims.mrenclave(), Err(wrong("x-ms-sgx-mrenclave", "64 lower-case hex digits")));
    assert_eq!(claims.mrsigner(), Err(wrong("x-ms-sgx-mrsigner", "64 lower-case hex digits")));
    assert_eq!(claims.report_data(), Err(wrong("x-ms-sgx-report-data", "128 lower-case hex digits")));
    assert_eq!(claims.enclave_held_data(), Err(wrong("x-ms-sgx-ehd", "base64url")));
    assert_eq!(claims.runtime(), Err(wrong("x-ms-runtime", "an object")));
    assert_eq!(claims.attestation_type(), Err(wrong("x-ms-attestation-type", "a string")));
    let missing = ClaimError::Missing { claim: "x-ms-compliance-status".into() };
    assert_eq!(claims.text("x-ms-compliance-status"), Err(missing.clone()));
    assert_eq!(claims.boolean("x-ms-compliance-status"), Err(missing));
    assert_eq!(Error::from(wrong("a", "b")).to_string(), "the claim `a` is not b");
}
