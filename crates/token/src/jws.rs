//! JSON Web Signatures in compact form (RFC 7515 §3.1): taken apart, not yet believed.

use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::json::{self, JsonError};
use crate::jwk::Jwk;

/// Longest text accepted, in bytes. A token repeats Binary runtime data in three claims, each
/// base64url inside base64url: the 1 MiB that may be sent becomes 5.4 MiB.
pub const MAX_JWS_BYTES: usize = 8 * 1024 * 1024;

/// Longest encoded header accepted, in bytes: a chain of certificates fits, and no more.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Why a text is not a compact JWS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// A part is not base64url without padding.
    #[error("the {part} is not base64url without padding")]
    Base64 {
        /// `header`, `payload` or `signature`.
        part: &'static str,
    },
    /// The header is not a strict JSON object.
    #[error("the header is not acceptable JSON: {0}")]
    Header(JsonError),
    /// A header member has a value of the wrong JSON type.
    #[error("the header member `{member}` is missing or not a string")]
    HeaderMember {
        /// Its name.
        member: &'static str,
    },
    /// The text has not exactly three parts between dots.
    #[error("{found} parts between dots, where `header.payload.signature` has 3")]
    Parts {
        /// How many it has; counting stops at 6.
        found: usize,
    },
    /// The text, or its header, is longer than accepted.
    #[error("the {part} is {bytes} bytes long, more than the {limit} that are accepted")]
    TooLong {
        /// `text` or `header`.
        part: &'static str,
        /// Its length.
        bytes: usize,
        /// The most accepted.
        limit: usize,
    },
}

/// A compact JWS taken apart. Nothing in it is believed yet.
#[derive(Debug, Clone)]
pub struct Jws<'a> {
    signing_input: &'a str,
    header: Map<String, Value>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes `header.payload.signature` apart. Payload and signature may be empty (RFC 7515 §7.1,
    /// RFC 7519 §6.1); white space anywhere is refused.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn parse(text: &'a str) -> Result<Self, JwsError> {
        within("text", text, MAX_JWS_BYTES)?;
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwsError::Parts { found: text.split('.').take(6).count() });
        };
        within("header", header, MAX_HEADER_BYTES)?;
        let decode = |part, text| base64url::decode(text).map_err(|_| JwsError::Base64 { part });
        let header = json::parse_object(&decode("header", header)?).map_err(JwsError::Header)?;
        if !header.get("alg").is_some_and(Value::is_string) {
            return Err(JwsError::HeaderMember { member: "alg" });
        }
        if header.get("kid").is_some_and(|kid| !kid.is_string()) {
            return Err(JwsError::HeaderMember { member: "kid" });
        }
        Ok(Self {
            signing_input: text
                .len()
                .checked_sub(signature.len().saturating_add(1))
                .and_then(|end| text.get(..end))
                .unwrap_or_default(),
            header,
            payload: decode("payload", payload)?,
            signature: decode("signature", signature)?,
        })
    }

    /// The header members as received.
    #[must_use]
    pub fn unverified_header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// The header's `alg`.
    #[must_use]
    pub fn unverified_algorithm(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    /// The header's `kid`.
    #[must_use]
    pub fn unverified_key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// The payload bytes as received.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether `key` signed the header and payload exactly as received, with `algorithm`. That the
    /// header names `algorithm` and that its `crit` is understood is for the caller to see to.
    #[must_use]
    pub fn is_signed_by(&self, key: &Jwk, algorithm: Algorithm) -> bool {
        key.verify(algorithm, self.signing_input.as_bytes(), &self.signature)
    }

    /// The text that a signature is over: header and payload as received, with the dot between them.
    pub(crate) fn signing_input(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// The signature bytes as received.
    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature
    }

    pub(crate) fn into_unverified_payload(self) -> Vec<u8> {
        self.payload
    }

    /// Whether the signature part is empty, as it must be under `alg` `none`.
    #[must_use]
    pub fn has_no_signature(&self) -> bool {
        self.signature.is_empty()
    }
}

fn within(part: &'static str, text: &str, limit: usize) -> Result<(), JwsError> {
    if text.len() > limit {
        return Err(JwsError::TooLong { part, bytes: text.len(), limit });
    }
    Ok(())
}
