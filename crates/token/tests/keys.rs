//! Which JSON Web Keys are read, and what is published.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use serde_json::{Value, json};
use support::Identity;
use token::jwk::{IgnoredKey, MAX_CHAIN, MAX_JWKS_BYTES, MAX_KEY_ID_BYTES, MAX_KEYS};
use token::{Algorithm, Jwk, JwkError, Jwks, JwksError, base64url};

fn published(identity: &Identity) -> Value {
    serde_json::to_value(identity.signer().jwk()).unwrap()
}

/// `key` with one member set, or removed by `null`.
fn with(key: &Value, member: &str, value: Value) -> Value {
    let mut key = key.clone();
    let members = key.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(member)
    } else {
        members.insert(member.into(), value)
    };
    key
}

fn error(key: &Value) -> JwkError {
    Jwk::parse(key).unwrap_err()
}

#[test]
fn published_members_stand_in_order() {
    for (identity, order) in [
        (Identity::rs256(), ["x5c", "kid", "kty", "n", "e", "alg", "use"].as_slice()),
        (Identity::es256(), ["x5c", "kid", "kty", "crv", "x", "y", "alg", "use"].as_slice()),
    ] {
        let text = Jwks::from_keys(vec![identity.signer().jwk().clone()]).to_json();
        let places: Vec<usize> =
            order.iter().map(|name| text.find(&format!("\"{name}\":")).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
        assert!(text.starts_with(r#"{"keys":[{"x5c":["MII"#), "{text}");
        assert_eq!(text.matches("\":").count(), order.len() + 1, "{text}");
    }
}

#[test]
fn a_key_is_read_from_any_of_its_forms() {
    for (identity, bare) in
        [(Identity::rs256(), ["n", "e"].as_slice()), (Identity::es256(), &["crv", "x", "y"])]
    {
        let whole = published(&identity);
        let certificate_only = bare.iter().fold(whole.clone(), |key, name| with(&key, name, Value::Null));
        let bare_only = with(&whole, "x5c", Value::Null);
        let signature = identity.key().sign(b"message").unwrap();
        for form in [&whole, &certificate_only, &bare_only] {
            let key = Jwk::parse(form).unwrap();
            assert!(key.verify(key.algorithm(), b"message", &signature));
            assert!(!key.verify(key.algorithm(), b"messagf", &signature));
            for algorithm in Algorithm::ALL {
                let right = algorithm == key.algorithm();
                assert_eq!(key.verify(algorithm, b"message", &signature), right);
            }
            assert_eq!(key.key_id(), whole["kid"].as_str());
        }
        assert_eq!(Jwk::parse(&whole).unwrap().certificates(), std::slice::from_ref(&identity.certificate));
        // With neither form there is no key.
        let neither = with(&certificate_only, "x5c", Value::Null);
        assert!(matches!(error(&neither), JwkError::Member { .. }));
    }
}

#[test]
fn the_forms_of_a_key_must_agree() {
    let (rsa, other_rsa, ec) = (Identity::rs256(), Identity::rs256(), Identity::es256());
    let (rsa, other_rsa, ec) = (published(&rsa), published(&other_rsa), published(&ec));
    assert_eq!(error(&with(&rsa, "n", other_rsa["n"].clone())), JwkError::CertificateKey);
    assert_eq!(error(&with(&rsa, "x5c", ec["x5c"].clone())), JwkError::CertificateKey);
    let mut only_certificate = with(&with(&rsa, "n", Value::Null), "e", Value::Null);
    only_certificate["x5c"] = ec["x5c"].clone();
    assert_eq!(error(&with(&only_certificate, "alg", Value::Null)), JwkError::CertificateKey);
}

#[test]
fn weak_and_malformed_rsa_keys_are_refused() {
    let key = with(&published(&Identity::rs256()), "x5c", Value::Null);
    let modulus = |bytes: &[u8]| with(&key, "n", json!(base64url::encode(bytes)));
    assert_eq!(error(&modulus(&[0xff; 128])), JwkError::RsaSize { bits: 1024 });
    let mut short = [0xff; 256];
    short[0] = 0x7f;
    assert_eq!(error(&modulus(&short)), JwkError::RsaSize { bits: 2047 });
    assert_eq!(error(&modulus(&[0xff; 1025])), JwkError::RsaSize { bits: 8200 });
    let mut padded = vec![0];
    padded.extend_from_slice(&[0xff; 256]);
    for bytes in [padded.as_slice(), &[]] {
        assert_eq!(error(&modulus(bytes)), JwkError::InvalidKey { kind: "RSA" });
    }
    for exponent in ["AQ", "Ag", "", "AAEAAQ", "AQAA", "AA"] {
        let refused = error(&with(&key, "e", json!(exponent)));
        assert_eq!(refused, JwkError::InvalidKey { kind: "RSA" }, "{exponent}");
    }
    for (member, value) in [("e", Value::Null), ("n", json!("+/==")), ("n", json!(5)), ("n", json!("A B"))] {
        assert!(matches!(error(&with(&key, member, value)), JwkError::Member { .. }));
    }
}

#[test]
fn other_curves_and_points_off_the_curve_are_refused() {
    let key = with(&published(&Identity::es256()), "x5c", Value::Null);
    assert_eq!(error(&with(&key, "crv", json!("P-384"))), JwkError::Curve { found: "P-384".into() });
    assert_eq!(error(&with(&key, "crv", Value::Null)), JwkError::Member { member: "crv" });
    for x in
        [base64url::encode(&[1; 32]), base64url::encode(&[1; 31]), base64url::encode(&[0; 33]), String::new()]
    {
        assert_eq!(error(&with(&key, "x", json!(x))), JwkError::InvalidKey { kind: "EC" });
    }
}

#[test]
fn what_a_key_says_of_itself_is_heeded() {
    let key = published(&Identity::rs256());
    for found in ["ES256", "HS256", "RS512", "none", ""] {
        assert_eq!(error(&with(&key, "alg", json!(found))), JwkError::Algorithm { found: found.into() });
    }
    assert_eq!(error(&with(&key, "alg", json!(1))), JwkError::Member { member: "alg" });
    for (member, value) in [("use", json!("enc")), ("key_ops", json!(["encrypt"])), ("key_ops", json!([]))] {
        assert_eq!(error(&with(&key, member, value)), JwkError::NotForSignatures);
    }
    assert_eq!(error(&with(&key, "key_ops", json!("verify"))), JwkError::Member { member: "key_ops" });
    assert!(Jwk::parse(&with(&key, "key_ops", json!(["verify"]))).is_ok());
    assert!(Jwk::parse(&with(&with(&key, "use", Value::Null), "alg", Value::Null)).is_ok());
    for found in ["oct", "OKP", "rsa", ""] {
        assert_eq!(error(&with(&key, "kty", json!(found))), JwkError::Type { found: found.into() });
    }
    assert_eq!(error(&with(&key, "kty", Value::Null)), JwkError::Type { found: String::new() });
    let long = json!("k".repeat(MAX_KEY_ID_BYTES + 1));
    assert_eq!(error(&with(&key, "kid", long)), JwkError::Member { member: "kid" });
    assert_eq!(error(&json!("key")), JwkError::NotObject);
}

#[test]
fn malformed_certificates_are_refused() {
    let key = published(&Identity::es256());
    let good = key["x5c"][0].clone();
    let mut der = Identity::es256().certificate;
    der.push(0);
    for chain in [json!([base64url::encode_standard(&der)]), json!(["AAAA"])] {
        assert_eq!(error(&with(&key, "x5c", chain)), JwkError::Certificate);
    }
    let many = json!(vec![good.clone(); MAX_CHAIN + 1]);
    for chain in [json!([]), json!(good), json!([1]), json!(["A A="]), json!(["-_8="]), many] {
        assert_eq!(error(&with(&key, "x5c", chain)), JwkError::Member { member: "x5c" });
    }
}

#[test]
fn an_unusable_key_does_not_spoil_the_set() {
    let good = published(&Identity::es256());
    let set = json!({"keys": [{"kty": "oct", "kid": "a", "k": "AA"}, good, 7], "x": 1});
    let set = Jwks::parse(set.to_string().as_bytes()).unwrap();
    assert_eq!(set.keys().len(), 1);
    let ignored = |key_id: Option<&str>, reason| IgnoredKey { key_id: key_id.map(Into::into), reason };
    let first = ignored(Some("a"), JwkError::Type { found: "oct".into() });
    assert_eq!(set.ignored(), [first, ignored(None, JwkError::NotObject)]);
}

#[test]
fn a_set_is_bounded_strict_json() {
    assert_eq!(Jwks::parse(b"{}").err(), Some(JwksError::NoKeys));
    assert_eq!(Jwks::parse(br#"{"keys":{}}"#).err(), Some(JwksError::NoKeys));
    assert!(matches!(Jwks::parse(b"[]").err(), Some(JwksError::Json(_))));
    assert!(matches!(Jwks::parse(br#"{"keys":[],"keys":[]}"#).err(), Some(JwksError::Json(_))));
    assert!(Jwks::parse(br#"{"keys":[]}"#).unwrap().keys().is_empty());
    let many = json!({"keys": vec![1; MAX_KEYS + 1]}).to_string();
    assert_eq!(Jwks::parse(many.as_bytes()).err(), Some(JwksError::TooManyKeys { found: MAX_KEYS + 1 }));
    let long = vec![b' '; MAX_JWKS_BYTES + 1];
    assert_eq!(Jwks::parse(&long).err(), Some(JwksError::TooLong { bytes: MAX_JWKS_BYTES + 1 }));
}
