//! Requests, policies, keys and tokens.

use api::{ApiVersion, AttestOpenEnclave, AttestSgxEnclave};
use policy::{Claim, Policy, Value};
use time::OffsetDateTime;
use token::{Algorithm, Expectations, Jwk, Jwks, UnverifiedToken};

/// The body of `POST /attest/OpenEnclave`, under every api-version.
pub fn attest_open_enclave_request(data: &[u8]) {
    for version in ApiVersion::ALL {
        let _ = AttestOpenEnclave::parse(data, version);
    }
}

/// The body of `POST /attest/SgxEnclave`, under every api-version.
pub fn attest_sgx_enclave_request(data: &[u8]) {
    for version in ApiVersion::ALL {
        let _ = AttestSgxEnclave::parse(data, version);
    }
}

/// The strict JSON reader.
pub fn json(data: &[u8]) {
    let _ = token::json::parse(data);
}

/// Key sets and single keys.
pub fn jwks(data: &[u8]) {
    let _ = Jwks::parse(data);
    if let Ok(value) = token::json::parse(data) {
        let _ = Jwk::parse(&value);
    }
}

/// Policy texts: analysis, and evaluation of those that pass it.
pub fn policy_text(data: &[u8]) {
    let Ok(policy) = Policy::analyze_bytes(data) else {
        return;
    };
    let _ = policy.configure();
    let claims = [
        Claim::service("x-ms-sgx-is-debuggable", Value::Boolean(false)),
        Claim::service("x-ms-sgx-svn", Value::Integer(7)),
        Claim::service("x-ms-sgx-mrsigner", Value::String("ab".repeat(32))),
        Claim::custom("x-ms-sgx-svn", Value::String(r#"{"a":[1,{"b":null}]}"#.to_owned())),
    ];
    let _ = policy.evaluate(&claims);
}

/// Compact tokens, verified against the key set of a test: nothing a fuzzer makes can verify.
///
/// # Panics
/// If something does.
pub fn token_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(token) = UnverifiedToken::parse(text) else {
        return;
    };
    let keys = Jwks::parse(KEYS.as_bytes()).expect("the test's own key set");
    let expectations = Expectations {
        issuer: "https://localhost",
        audience: None,
        algorithms: &[Algorithm::Rs256, Algorithm::Es256],
        leeway_secs: 0,
    };
    let verified = token.verify(&keys, &expectations, OffsetDateTime::UNIX_EPOCH);
    assert!(verified.is_err(), "a forged token verifies");
}

/// The example key of RFC 7517, appendix A.1; its private half is not used here.
pub(super) const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"1",
"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
