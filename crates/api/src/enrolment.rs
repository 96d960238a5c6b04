//! Enrolment of machines with TPMs, our own addition to the contract: the bodies of `POST /tpm/enrollments`,
//! `POST /tpm/enrollments:activate` and `POST /tpm/machines/{id}:revoke`. Names are read as those of the attest
//! operations are.

use serde_json::Value;

use crate::error::RequestError;
use crate::members::{Members, kind};
use crate::request::object;
use crate::transport;

/// The body of `POST /tpm/enrollments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollTpm {
    /// `ekCertificates`: of the endorsement key and of its issuers, DER, the key's own first.
    pub ek_certificates: Vec<Vec<u8>>,
    /// `ekPublic`: the endorsement key's `TPMT_PUBLIC`.
    pub ek_public: Vec<u8>,
    /// `aikPublic`: the attestation key's `TPMT_PUBLIC`.
    pub aik_public: Vec<u8>,
}

/// The body of `POST /tpm/enrollments:activate`.
#[derive(Clone, PartialEq, Eq)]
pub struct ActivateTpm {
    /// `enrollmentContext`, as it was answered.
    pub context: Vec<u8>,
    /// `secret`: what `TPM2_ActivateCredential` gave.
    pub secret: Vec<u8>,
}

/// The secret is left out.
impl std::fmt::Debug for ActivateTpm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActivateTpm").field("context", &self.context.len()).finish_non_exhaustive()
    }
}

/// The body of `POST /tpm/machines/{id}:revoke`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeMachine {
    /// `reason`, for people.
    pub reason: String,
}

impl EnrollTpm {
    /// Reads a body.
    ///
    /// # Errors
    /// [`RequestError`], which tells what to send instead.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let mut members = object(body)?;
        let certificates = match members.take(EK_CERTIFICATES) {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(not_a_list(kind(&other))),
        };
        if certificates.len() > MAX_CERTIFICATES {
            let (property, found) = (EK_CERTIFICATES, certificates.len());
            return Err(RequestError::TooMany { property, found, limit: MAX_CERTIFICATES });
        }
        let ek_certificates = certificates.iter().map(certificate).collect::<Result<Vec<_>, _>>()?;
        if ek_certificates.is_empty() {
            let send =
                "the endorsement key's certificate and those of its issuers, a list of DER as base64url";
            return Err(RequestError::Missing { property: EK_CERTIFICATES, send });
        }
        let send = "the endorsement key's TPMT_PUBLIC as base64url";
        let ek_public = bytes(&mut members, "ekPublic", MAX_PUBLIC_BYTES, send)?;
        let send = "the attestation key's TPMT_PUBLIC as base64url";
        let aik_public = bytes(&mut members, "aikPublic", MAX_PUBLIC_BYTES, send)?;
        Ok(Self { ek_certificates, ek_public, aik_public })
    }
}

impl ActivateTpm {
    /// Reads a body.
    ///
    /// # Errors
    /// [`RequestError`], which tells what to send instead.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let mut members = object(body)?;
        let send = "the `enrollmentContext` of the answer to `POST /tpm/enrollments`";
        let context = bytes(&mut members, "enrollmentContext", MAX_CONTEXT_BYTES, send)?;
        let send = "what TPM2_ActivateCredential gave, as base64url";
        let secret = bytes(&mut members, "secret", MAX_SECRET_BYTES, send)?;
        Ok(Self { context, secret })
    }
}

impl RevokeMachine {
    /// Reads a body.
    ///
    /// # Errors
    /// [`RequestError`], which tells what to send instead.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let property = "reason";
        let reason = object(body)?.take_string(property, property)?.filter(|text| !text.trim().is_empty());
        let reason = reason.ok_or(RequestError::Missing { property, send: "why the machine is revoked" })?;
        if reason.len() > MAX_REASON_BYTES {
            return Err(RequestError::TooLong { property, bytes: reason.len(), limit: MAX_REASON_BYTES });
        }
        Ok(Self { reason })
    }
}

fn bytes(
    members: &mut Members,
    property: &'static str,
    limit: usize,
    send: &'static str,
) -> Result<Vec<u8>, RequestError> {
    members.take_bytes(property, property, limit)?.ok_or(RequestError::Missing { property, send })
}

fn certificate(value: &Value) -> Result<Vec<u8>, RequestError> {
    let property = EK_CERTIFICATES;
    let text = value.as_str().ok_or_else(|| not_a_list("a list of something else"))?;
    // Every four characters are at most three bytes.
    let bytes = (text.len() / 4).saturating_mul(3);
    if bytes > MAX_CERTIFICATE_BYTES {
        return Err(RequestError::TooLong { property, bytes, limit: MAX_CERTIFICATE_BYTES });
    }
    transport::decode(text).map_err(|error| RequestError::Base64 { property, error })
}

fn not_a_list(found: &'static str) -> RequestError {
    RequestError::WrongType { property: EK_CERTIFICATES, expected: "a list of strings", found }
}

const EK_CERTIFICATES: &str = "ekCertificates";
/// The longest chains of makers have four.
const MAX_CERTIFICATES: usize = 16;
/// Those of makers have at most some 2 KiB.
const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
/// One with an RSA key of 4096 bits and a policy has less than 700.
const MAX_PUBLIC_BYTES: usize = 2048;
/// A certificate and a public area, sealed.
const MAX_CONTEXT_BYTES: usize = 32 * 1024;
/// The longest digest, of which a TPM's secret can have the length.
const MAX_SECRET_BYTES: usize = 64;
/// A sentence or two.
const MAX_REASON_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn enroll(text: &str) -> Result<EnrollTpm, RequestError> {
        EnrollTpm::parse(text.as_bytes())
    }

    #[test]
    fn enrolments() {
        let good = r#"{"ekCertificates":["AQ","Ag=="],"ekPublic":"Aw","aikPublic":"BA"}"#;
        let expected =
            EnrollTpm { ek_certificates: vec![vec![1], vec![2]], ek_public: vec![3], aik_public: vec![4] };
        assert_eq!(enroll(good), Ok(expected));
        let missing = |text| match enroll(text) {
            Err(RequestError::Missing { property, .. }) => property,
            other => panic!("{other:?}"),
        };
        assert_eq!(missing("{}"), "ekCertificates");
        assert_eq!(missing(r#"{"ekCertificates":[]}"#), "ekCertificates");
        assert_eq!(missing(r#"{"ekCertificates":["AQ"]}"#), "ekPublic");
        assert_eq!(missing(r#"{"ekCertificates":["AQ"],"ekPublic":"Aw"}"#), "aikPublic");
        for wrong in [r#"{"ekCertificates":"AQ"}"#, r#"{"ekCertificates":[1]}"#] {
            assert!(matches!(enroll(wrong), Err(RequestError::WrongType { .. })), "{wrong}");
        }
        assert!(matches!(enroll(r#"{"ekCertificates":["?"]}"#), Err(RequestError::Base64 { .. })));
        let many = format!(r#"{{"ekCertificates":[{}"AQ"]}}"#, r#""AQ","#.repeat(16));
        assert!(matches!(enroll(&many), Err(RequestError::TooMany { found: 17, limit: 16, .. })));
        let long = format!(r#"{{"ekCertificates":["{}"]}}"#, "A".repeat(32 * 1024));
        assert!(matches!(enroll(&long), Err(RequestError::TooLong { property: "ekCertificates", .. })));
        let long = format!(r#"{{"ekCertificates":["AQ"],"ekPublic":"{}"}}"#, "A".repeat(4096));
        assert!(matches!(enroll(&long), Err(RequestError::TooLong { property: "ekPublic", .. })));
    }

    #[test]
    fn activations_and_revocations() {
        let good = ActivateTpm::parse(br#"{"enrollmentContext":"AQ","secret":"Ag"}"#).unwrap();
        assert_eq!((&good.context[..], &good.secret[..]), (&[1][..], &[2][..]));
        assert_eq!(format!("{good:?}"), "ActivateTpm { context: 1, .. }");
        assert!(ActivateTpm::parse(br#"{"enrollmentContext":"AQ"}"#).is_err());
        assert!(ActivateTpm::parse(br#"{"secret":"AQ"}"#).is_err());
        assert_eq!(RevokeMachine::parse(br#"{"reason":"stolen"}"#).unwrap().reason, "stolen");
        for wrong in [&b""[..], b"{}", br#"{"reason":" "}"#, br#"{"reason":1}"#] {
            assert!(RevokeMachine::parse(wrong).is_err());
        }
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(1025));
        assert!(matches!(RevokeMachine::parse(long.as_bytes()), Err(RequestError::TooLong { .. })));
    }
}
