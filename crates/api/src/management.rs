//! Policy management: what stands inside the JWS of a request, and what the claims of an answer are.
//!
//! Requests: [`stored_policy`] (the payload of a policy), [`certificate_jws`] (the body of
//! `/certificates:add` and `:remove`) and [`certificate_claim`] (its payload). Answers: the functions that
//! return claims, each exactly what the contract lists; whoever signs adds issuer and times. What the
//! contract answers without a token: [`TcbBaselines`].

use serde::Serialize;
use serde_json::{Map, Value};
use token::{JsonError, Jwk, JwkError, json};

use crate::error::RequestError;
use crate::members::{Members, kind};
use crate::transport::{self, Base64Error};
use crate::version::ApiVersion;

/// Longest policy text, in bytes of UTF-8: what the policy language accepts of any policy.
pub const MAX_POLICY_BYTES: usize = 256 * 1024;

/// Why the payload of a management JWS, or the body around it, is not acceptable. The sender must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManagementError {
    /// The body is neither a JWS nor JSON that holds one.
    #[error("the request body is not acceptable: {0}")]
    Body(RequestError),
    /// The certificate is not a JSON Web Key with a chain.
    #[error("the claim `{claim}` is not a JSON Web Key with an `x5c`: {error}")]
    Certificate {
        /// The claim.
        claim: &'static str,
        /// What is wrong with it.
        error: JwkError,
    },
    /// The payload has no certificate.
    #[error(
        "Could not find \"maa-policyCertificate\" claim in policy token: send the payload \
         {{\"policyCertificate\": {{\"kty\": \"RSA\", \"x5c\": [\"...\"]}}}}"
    )]
    NoCertificateClaim,
    /// The payload is not a strict JSON object.
    #[error("the payload is not acceptable JSON: {0}")]
    Payload(JsonError),
    /// The payload has more than one claim that names a certificate.
    #[error("the payload has the claims `{first}` and `{second}`: send one of them")]
    RepeatedCertificateClaim {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// The policy is not base64url.
    #[error("the claim `AttestationPolicy` is not base64url: {0}")]
    PolicyBase64(Base64Error),
    /// The payload has no policy, or one that is no text.
    #[error(
        "the payload has no claim `AttestationPolicy` that is a string: send \
         {{\"AttestationPolicy\": \"<base64url of the policy text>\"}}"
    )]
    NoPolicyClaim,
    /// The policy is longer than accepted.
    #[error("the policy has {bytes} bytes, more than the {MAX_POLICY_BYTES} that are accepted")]
    PolicyTooLong {
        /// Its length; for base64, an estimate.
        bytes: usize,
    },
}

/// Reads `StoredAttestationPolicy`, the payload of a policy's JWS, and returns the policy text as bytes:
/// base64url, and under `2018-09-01-preview` the text itself.
///
/// # Errors
/// [`ManagementError`].
pub fn stored_policy(payload: &[u8], version: ApiVersion) -> Result<Vec<u8>, ManagementError> {
    let object = json::parse_object(payload).map_err(ManagementError::Payload)?;
    let mut members = Members::new(object).map_err(ManagementError::Body)?;
    let Some(Value::String(policy)) = members.take("AttestationPolicy") else {
        return Err(ManagementError::NoPolicyClaim);
    };
    let bytes = match version {
        ApiVersion::V2018_09_01Preview => policy.into_bytes(),
        _ => {
            // Before anything is decoded: every four characters are at most three bytes.
            let estimate = (policy.len() / 4).saturating_mul(3);
            if estimate > MAX_POLICY_BYTES.saturating_add(3) {
                return Err(ManagementError::PolicyTooLong { bytes: estimate });
            }
            transport::decode(&policy).map_err(ManagementError::PolicyBase64)?
        }
    };
    if bytes.len() > MAX_POLICY_BYTES {
        return Err(ManagementError::PolicyTooLong { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// The payload that [`stored_policy`] reads, for a policy that did not arrive over the wire.
#[must_use]
pub fn policy_payload(text: &str) -> Vec<u8> {
    let encoded = token::base64url::encode(text.as_bytes());
    format!("{{\"AttestationPolicy\":\"{encoded}\"}}").into_bytes()
}

/// Finds the JWS in the body of `/certificates:add` or `:remove`, which clients send as a JSON string, as a
/// JSON object with one of three members, or bare.
///
/// # Errors
/// [`ManagementError::Body`].
pub fn certificate_jws(body: &[u8]) -> Result<String, ManagementError> {
    let trimmed = body.trim_ascii();
    let malformed = |error| ManagementError::Body(RequestError::Json(error));
    match trimmed.first() {
        None => Err(ManagementError::Body(RequestError::EmptyBody)),
        Some(b'{') => {
            let object = json::parse_object(trimmed).map_err(malformed)?;
            let mut members = Members::new(object).map_err(ManagementError::Body)?;
            let mut found: Option<(&'static str, String)> = None;
            for property in CERTIFICATE_PROPERTIES {
                let Some(text) = members.take_string(property, property).map_err(ManagementError::Body)?
                else {
                    continue;
                };
                if let Some((first, _)) = found {
                    let error = RequestError::Conflicting { first, second: property };
                    return Err(ManagementError::Body(error));
                }
                found = Some((property, text));
            }
            let missing =
                RequestError::Missing { property: "certificate", send: "the JWS as a string in quotes" };
            found.map(|(_, text)| text).ok_or(ManagementError::Body(missing))
        }
        Some(b'"') => match json::parse(trimmed).map_err(malformed)? {
            Value::String(text) => Ok(text),
            other => {
                let (property, expected) = ("certificate", "a string");
                let error = RequestError::WrongType { property, expected, found: kind(&other) };
                Err(ManagementError::Body(error))
            }
        },
        Some(_) => match std::str::from_utf8(trimmed) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(malformed(JsonError::InvalidUtf8 { offset: error.valid_up_to() })),
        },
    }
}

/// Reads the payload of `/certificates:add` and `:remove`: the DER chain of the certificate, leaf first.
/// Its claim has four names, by the age of the client.
///
/// # Errors
/// [`ManagementError`].
pub fn certificate_claim(payload: &[u8]) -> Result<Vec<Vec<u8>>, ManagementError> {
    let members = json::parse_object(payload).map_err(ManagementError::Payload)?;
    let mut present = CERTIFICATE_CLAIMS.into_iter().filter(|claim| members.contains_key(*claim));
    let claim = present.next().ok_or(ManagementError::NoCertificateClaim)?;
    if let Some(second) = present.next() {
        return Err(ManagementError::RepeatedCertificateClaim { first: claim, second });
    }
    let refused = |error| ManagementError::Certificate { claim, error };
    let key = Jwk::parse(members.get(claim).unwrap_or(&Value::Null)).map_err(refused)?;
    if key.certificates().is_empty() {
        return Err(refused(JwkError::Member { member: "x5c" }));
    }
    Ok(key.certificates().to_vec())
}

/// Claims of `GET /policies/{type}`: the stored JWS.
#[must_use]
pub fn policy_claims(jws: &str) -> Map<String, Value> {
    claims([("x-ms-policy", jws.into())])
}

/// Claims of a policy that was set; `signer` is a JSON Web Key.
#[must_use]
pub fn policy_updated_claims(token_hash: &str, signer: Option<Value>) -> Map<String, Value> {
    let mut claims =
        claims([("x-ms-policy-result", "Updated".into()), ("x-ms-policy-token-hash", token_hash.into())]);
    if let Some(signer) = signer {
        claims.insert("x-ms-policy-signer".to_owned(), signer);
    }
    claims
}

/// Claims of a policy that was reset.
#[must_use]
pub fn policy_removed_claims() -> Map<String, Value> {
    claims([("x-ms-policy-result", "Removed".into())])
}

/// Claims of `GET /certificates`; each of `keys` is a JSON Web Key. 2018-09-01-preview has two older names.
#[must_use]
pub fn certificates_claims(keys: Vec<Value>, version: ApiVersion) -> Map<String, Value> {
    let set = Value::Object(claims([("keys", Value::Array(keys))]));
    match version {
        ApiVersion::V2018_09_01Preview => {
            claims([("aas-policyCertificates", set.clone()), ("maa-policyCertificates", set)])
        }
        _ => claims([("x-ms-policy-certificates", set)]),
    }
}

/// What is true of a certificate after `/certificates:add` or `:remove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateModification {
    /// It is no signer.
    IsAbsent,
    /// It is a signer.
    IsPresent,
}

/// Claims of `/certificates:add` and `:remove`; the thumbprint is upper-case hex of SHA-1 over the DER.
#[must_use]
pub fn certificate_modified_claims(thumbprint: &str, result: CertificateModification) -> Map<String, Value> {
    let result = match result {
        CertificateModification::IsAbsent => "IsAbsent",
        CertificateModification::IsPresent => "IsPresent",
    };
    claims([
        ("x-ms-certificate-thumbprint", thumbprint.into()),
        ("x-ms-policycertificates-result", result.into()),
    ])
}

/// Answer of `GET /tcbbaselines/{type}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TcbBaselines {
    /// The baselines, the newest first.
    pub tcb_baselines: Vec<TcbBaseline>,
}

/// A TCB baseline that a policy can select.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TcbBaseline {
    /// The value of the policy property `x-ms-sgx-tcbidentifier`.
    pub tcb_identifier: String,
    /// Intel's `tcbEvaluationDataNumber`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcb_evaluation_data_number: Option<u32>,
    /// When Intel released it, without a zone, as the contract's example has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcb_release_date: Option<&'static str>,
    /// Oldest Platform Software for Linux that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_psw_linux_version: Option<&'static str>,
    /// Oldest Platform Software for Windows that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_psw_windows_version: Option<&'static str>,
    /// Whether the policy selects it.
    pub is_selected_tcb: bool,
}

fn claims<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `policyCertificateToAdd` and `...ToRemove` are of 2025-06-01, `certificate` of a draft of it.
const CERTIFICATE_PROPERTIES: [&str; 3] =
    ["policyCertificateToAdd", "policyCertificateToRemove", "certificate"];

/// The names of the certificate's claim, from the newest client to the oldest, and one of the documentation.
const CERTIFICATE_CLAIMS: [&str; 4] =
    ["policyCertificate", "maa-policyCertificate", "aas-policyCertificate", "x-ms-policyCertificate"];
