//! Policies and policy-management certificates on the wire: a compact JWS, unsigned or signed by a
//! certificate that travels in its header.
//!
//! The published clients write the header in several ways and all of them are read: `alg` `none`,
//! `RS256` or its misspelling `RSA256`, `ES256` or the equally non-standard `ECDH256`; the chain in
//! `x5c`, or in `jwk.x5c`; the whole body bare, or between double quotes. The payload may be empty: that
//! is a reset. What the payload means is not looked at here.

mod certificate;
mod chain;
mod signer;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::jwk::{self, JwkError};
use crate::jws::{Jws, JwsError};

pub use chain::ChainError;
pub use signer::{PolicySigner, Trust};

/// Why a text is not a policy JWS that may be acted on. The sender must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyJwsError {
    /// The header names an algorithm that is not one of those that clients use.
    #[error("the header's `alg` is `{found}`: use `none`, `RS256` or `ES256`")]
    Algorithm {
        /// What it names, shortened.
        found: String,
    },
    /// The certificates do not form a chain that may be relied on.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Both `x5c` and `jwk.x5c` are there, and differ.
    #[error("the header has two different chains, in `x5c` and in `jwk.x5c`: send one of them")]
    Conflicting,
    /// The header has members that must be understood (RFC 7515 §4.1.11), and are not.
    #[error("the header has `crit`, which is not supported: remove it")]
    Critical,
    /// The text is not a compact JWS.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The key of the first certificate cannot be used.
    #[error("the key of the first certificate cannot be used: {0}")]
    Key(JwkError),
    /// The algorithm is of another kind than the key of the first certificate.
    #[error("the header's `alg` is `{found}`, but the first certificate holds an {kind} key")]
    KeyKind {
        /// What `alg` names.
        found: String,
        /// `RSA` or `EC`.
        kind: &'static str,
    },
    /// A signed text brings no certificate.
    #[error(
        "the header has no certificate: put the signer's chain into `x5c`, leaf first, each in standard base64 \
         of its DER"
    )]
    NoCertificate,
    /// The signature is not one of the first certificate's key over this header and payload.
    #[error("the signature does not verify under the key of the first certificate")]
    Signature,
    /// The text is unsigned where only signed ones are taken.
    #[error("the text is unsigned (`alg` is `none`) and only signed ones are accepted here")]
    Unsigned,
    /// `alg` is `none`, and yet there is a signature.
    #[error(
        "`alg` is `none`, but the part of the signature is not empty: leave it empty, or name the algorithm"
    )]
    UnsignedWithSignature,
}

/// A policy JWS taken apart. Nothing in it is believed yet.
#[derive(Debug)]
pub struct PolicyJws<'a> {
    text: &'a str,
    jws: Jws<'a>,
    signed: Option<Signed>,
}

#[derive(Debug)]
struct Signed {
    algorithm: Algorithm,
    /// How the header spells it.
    spelled: String,
    chain: Vec<Vec<u8>>,
}

impl<'a> PolicyJws<'a> {
    /// Takes a request's body, with or without double quotes around it and white space outside them.
    ///
    /// # Errors
    /// [`PolicyJwsError`].
    pub fn parse(body: &'a str) -> Result<Self, PolicyJwsError> {
        let text = unquoted(body);
        let jws = Jws::parse(text)?;
        let header = jws.unverified_header();
        if header.contains_key("crit") {
            return Err(PolicyJwsError::Critical);
        }
        let spelled = jws.unverified_algorithm();
        let algorithm = match spelled {
            "none" if jws.has_no_signature() => None,
            "none" => return Err(PolicyJwsError::UnsignedWithSignature),
            "RS256" | "RSA256" => Some(Algorithm::Rs256),
            "ES256" | "ECDH256" => Some(Algorithm::Es256),
            other => return Err(PolicyJwsError::Algorithm { found: other.chars().take(32).collect() }),
        };
        let signed = match algorithm {
            None => None,
            Some(algorithm) => {
                Some(Signed { algorithm, spelled: spelled.to_owned(), chain: unverified_chain(header)? })
            }
        };
        Ok(Self { text, jws, signed })
    }

    /// The payload as received; empty for a reset.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        self.jws.unverified_payload()
    }

    /// Checks, of a signed text:
    ///
    /// 1. the algorithm is the one of the first certificate's key;
    /// 2. the signature is that key's, over header and payload as received;
    /// 3. the chain is sound at `now`, and leads to what `trust` relies on.
    ///
    /// An unsigned text passes only where `trust` says so.
    ///
    /// # Errors
    /// [`PolicyJwsError`].
    pub fn verify(self, trust: &Trust<'_>, now: OffsetDateTime) -> Result<VerifiedPolicyJws, PolicyJwsError> {
        let signer = match self.signed {
            None if trust.accepts_unsigned() => None,
            None => return Err(PolicyJwsError::Unsigned),
            Some(signed) => {
                let leaf = signed.chain.first().ok_or(PolicyJwsError::NoCertificate)?;
                let key = jwk::certificate_key(leaf).map_err(PolicyJwsError::Key)?;
                if key.algorithm() != signed.algorithm {
                    return Err(PolicyJwsError::KeyKind { found: signed.spelled, kind: key.kind() });
                }
                let (message, signature) = (self.jws.signing_input(), self.jws.signature());
                if !key.verify(message, signature) && !key.verify_der(message, signature) {
                    return Err(PolicyJwsError::Signature);
                }
                Some(PolicySigner::verify(signed.chain, trust, now)?)
            }
        };
        let payload = self.jws.into_unverified_payload();
        Ok(VerifiedPolicyJws { text: self.text.to_owned(), payload, signer })
    }
}

/// A policy JWS that may be acted on.
///
/// Only [`PolicyJws::verify`] makes one; this does not compile:
///
/// ```compile_fail
/// let forged = token::policy_jws::VerifiedPolicyJws { text: String::new(), payload: Vec::new(), signer: None };
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedPolicyJws {
    text: String,
    payload: Vec<u8>,
    signer: Option<PolicySigner>,
}

impl VerifiedPolicyJws {
    /// The compact text, byte for byte as received, without quotes around it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The decoded payload; empty for a reset.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Who signed it; nobody if it is unsigned.
    #[must_use]
    pub fn signer(&self) -> Option<&PolicySigner> {
        self.signer.as_ref()
    }
}

/// The claim `x-ms-policy-token-hash`: unpadded base64url of SHA-256 over the whole compact text.
#[must_use]
pub fn token_hash(text: &str) -> String {
    base64url::encode(&crypto::sha256(text.as_bytes()))
}

/// An unsigned JWS of `payload`, as clients write it: the header is exactly `{"alg":"none"}`.
#[must_use]
pub fn unsigned(payload: &[u8]) -> String {
    format!("{UNSIGNED_HEADER}.{}.", base64url::encode(payload))
}

/// base64url of `{"alg":"none"}`.
const UNSIGNED_HEADER: &str = "eyJhbGciOiJub25lIn0";

/// The text between double quotes, if there are any. What stands between them has no escapes: base64url
/// and dots need none.
fn unquoted(body: &str) -> &str {
    let trimmed = body.trim_ascii();
    let inner = trimmed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(trimmed)
}

/// The certificates of `x5c` or of `jwk.x5c`.
fn unverified_chain(header: &Map<String, Value>) -> Result<Vec<Vec<u8>>, PolicyJwsError> {
    let outer = jwk::parse_chain(header).map_err(PolicyJwsError::Key)?;
    let inner = match header.get("jwk") {
        None => Vec::new(),
        Some(Value::Object(members)) => jwk::parse_chain(members).map_err(PolicyJwsError::Key)?,
        Some(_) => return Err(PolicyJwsError::Key(JwkError::Member { member: "jwk" })),
    };
    match (outer.is_empty(), inner.is_empty()) {
        (true, true) => Err(PolicyJwsError::NoCertificate),
        (true, false) => Ok(inner),
        (false, true) => Ok(outer),
        (false, false) if inner == outer => Ok(outer),
        (false, false) => Err(PolicyJwsError::Conflicting),
    }
}
