//! The second message: a compact JWS by the key that it carries.

use serde_json::Value;
use token::{base64url, json};

use super::content::{self, Content};
use super::error::TpmMessageError;

/// Which of the two forms a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolVersion {
    /// `attReq`: quotes as Windows makes them.
    V1,
    /// `attReqV2`: quotes as the TPM makes them.
    V2,
}

/// A request whose signature is not verified: the key that must verify it is inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// Of its header's `typ`.
    pub version: ProtocolVersion,
    /// What was signed: header and payload as they were sent, with the dot between them.
    pub signing_input: String,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes (RFC 7518 §3.5).
    pub signature: Vec<u8>,
    payload: Vec<u8>,
}

impl SignedRequest {
    /// Takes a compact JWS apart.
    ///
    /// # Errors
    /// [`TpmMessageError`].
    pub fn parse(request: &str) -> Result<Self, TpmMessageError> {
        let (signing_input, signature) = request.rsplit_once('.').ok_or(TpmMessageError::NotJws)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TpmMessageError::NotJws)?;
        if header.len() > MAX_HEADER_CHARS {
            return Err(TpmMessageError::TooLong { what: "header of `request`", limit: MAX_HEADER_CHARS });
        }
        let decode = |part| base64url::decode(part).map_err(|_| TpmMessageError::NotJws);
        let header = json::parse_object(&decode(header)?).map_err(|error| TpmMessageError::Json {
            what: "header of `request`",
            reason: error.to_string(),
        })?;
        let shown = |value: Option<&Value>| {
            value.map_or_else(|| "missing".to_owned(), |value| value.to_string().chars().take(64).collect())
        };
        if header.get("alg").and_then(Value::as_str) != Some("PS256") {
            let found = shown(header.get("alg"));
            return Err(TpmMessageError::Header { member: "alg", found, send: "`PS256`" });
        }
        if let Some(critical) = header.get("crit") {
            let found = shown(Some(critical));
            return Err(TpmMessageError::Header { member: "crit", found, send: "none" });
        }
        let version = match header.get("typ").and_then(Value::as_str) {
            Some("attReq") => ProtocolVersion::V1,
            Some("attReqV2") => ProtocolVersion::V2,
            _ => {
                let found = shown(header.get("typ"));
                return Err(TpmMessageError::Header { member: "typ", found, send: "`attReq` or `attReqV2`" });
            }
        };
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        Ok(Self { version, signing_input: signing_input.to_owned(), signature, payload })
    }

    /// What the request carries.
    ///
    /// # Errors
    /// [`TpmMessageError`].
    pub fn content(&self) -> Result<Content<'_>, TpmMessageError> {
        content::parse(&self.payload, self.version)
    }

    /// Everything that was signed, as bytes, for a digest of the evidence.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// Two members of a few characters each; clients may add their own.
const MAX_HEADER_CHARS: usize = 4096;
