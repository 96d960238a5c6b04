//! One function for each parser: any bytes go in, nothing but a panic is a finding.
//!
//! The cargo-fuzz targets under `fuzz/` call these, one line each, and so does the replay test, which
//! needs no fuzzer. Nothing is switched off in them: signatures are checked as in production, against
//! the pinned roots.

use api::{ApiVersion, AttestOpenEnclave, AttestSgxEnclave};
use policy::{Claim, Policy};
use time::OffsetDateTime;
use token::{Algorithm, Expectations, Jwk, Jwks, UnverifiedToken};

/// A parser to be fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the cargo-fuzz target and of its corpus directory.
    pub name: &'static str,
    /// What to run.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        /// Every target, in alphabetical order.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name }),*];
    };
}

targets![attest_open_enclave_request, attest_sgx_enclave_request, json, jwks, policy_text, token_text,];

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
    if let Ok(keys) = Jwks::parse(data) {
        let _ = Jwks::parse(keys.to_json().as_bytes()).expect("what we print, we read");
    }
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
        Claim::service("x-ms-sgx-is-debuggable", policy::Value::Boolean(false)),
        Claim::service("x-ms-sgx-svn", policy::Value::Integer(7)),
        Claim::service("x-ms-sgx-mrsigner", policy::Value::String("ab".repeat(32))),
        Claim::custom("x-ms-sgx-svn", policy::Value::String(r#"{"a":[1,{"b":null}]}"#.to_owned())),
    ];
    let _ = policy.evaluate(&claims);
}

/// Compact tokens, verified against the key set of a test: nothing a fuzzer makes can verify.
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
    assert!(
        token.verify(&keys, &expectations, OffsetDateTime::UNIX_EPOCH).is_err(),
        "a forged token verifies"
    );
}

/// The example key of RFC 7517, appendix A.1; its private half is not used here.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"1",
"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
