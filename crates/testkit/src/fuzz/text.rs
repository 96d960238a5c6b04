//! Requests, policies, keys and tokens.

use api::management;
use api::{ApiVersion, AttestOpenEnclave, AttestSgxEnclave};
use policy::{Claim, Fault, Outcome, Policy, Value};
use time::OffsetDateTime;
use token::policy_jws::Trust;
use token::{Algorithm, Expectations, Jwk, Jwks, PolicyJws, PolicySigner, UnverifiedToken};

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

/// The bodies of `/certificates:add` and the payloads of policy management, under the two forms they have.
pub fn management_request(data: &[u8]) {
    let _ = management::certificate_jws(data);
    let _ = management::certificate_claim(data);
    for version in [ApiVersion::V2018_09_01Preview, ApiVersion::V2020_10_01] {
        let _ = management::stored_policy(data, version);
    }
}

/// Policies on the wire. Nothing a fuzzer makes is signed by a configured signer, and there is none here.
///
/// # Panics
/// If something passes for signed.
pub fn policy_jws(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(jws) = PolicyJws::parse(text) {
        let _ = jws.verify(&Trust::anyone(), OffsetDateTime::UNIX_EPOCH);
    }
    if let Ok(jws) = PolicyJws::parse(text) {
        let verified = jws.verify(&Trust::only(&[]), OffsetDateTime::UNIX_EPOCH);
        assert!(verified.is_err(), "a policy of nobody verifies");
    }
}

/// Chains of policy signers: each certificate after two bytes of its length, big-endian.
pub fn policy_signer(data: &[u8]) {
    let mut chain = Vec::new();
    let mut rest = data;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (certificate, after) = after.split_at(length);
        chain.push(certificate.to_vec());
        rest = after;
    }
    let _ = PolicySigner::verify(chain, &Trust::anyone(), crate::scenarios::NOW);
}

/// Policy texts: analysis, and of those that pass it evaluation, explanation and layout, which must agree.
///
/// # Panics
/// If they do not.
pub fn policy_text(data: &[u8]) {
    let Ok(policy) = Policy::analyze_bytes(data) else {
        return;
    };
    let claims = [
        Claim::service("x-ms-sgx-is-debuggable", Value::Boolean(false)),
        Claim::service("x-ms-sgx-svn", Value::Integer(7)),
        Claim::service("x-ms-sgx-mrsigner", Value::String("ab".repeat(32))),
        Claim::custom("x-ms-sgx-svn", Value::String(r#"{"a":[1,{"b":null}]}"#.to_owned())),
    ];
    let explanation = policy.explain(&claims);
    assert_eq!(explanation.configuration, policy.configure(), "explained otherwise than configured");
    assert_eq!(explanation.outcome, policy.evaluate(&claims), "explained otherwise than decided");
    let laid_out = policy::format(policy.text()).expect("a policy's text parses");
    assert_eq!(policy::format(&laid_out).as_ref(), Ok(&laid_out), "laid out twice is laid out otherwise");
    // Blanks may make a text longer than a policy may be.
    if let Ok(again) = Policy::analyze(&laid_out) {
        let after = again.evaluate(&claims).map_err(|error| error.fault);
        assert!(
            same(&after, &policy.evaluate(&claims).map_err(|error| error.fault)),
            "laid out means otherwise"
        );
    }
}

/// Whether two decisions are the same, the places of rules aside.
fn same(a: &Result<Outcome, Fault>, b: &Result<Outcome, Fault>) -> bool {
    match (a, b) {
        (Ok(Outcome::Permitted(a)), Ok(Outcome::Permitted(b))) => {
            (&a.issued, &a.properties, a.rule.index) == (&b.issued, &b.properties, b.rule.index)
        }
        (Ok(Outcome::Denied(a)), Ok(Outcome::Denied(b))) => {
            a.rule().map(|rule| rule.index) == b.rule().map(|rule| rule.index)
        }
        (Err(a), Err(b)) => a == b,
        _ => false,
    }
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
