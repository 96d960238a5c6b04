//! What a verified token says. Claims that decide something are read as the type they must have: an
//! absent one, or one of another type, is an error and never a default.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use token::{VerifiedToken, base64url};

/// A claim cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// It is not in the token.
    #[error("the token has no claim `{claim}`")]
    Missing {
        /// Its name.
        claim: String,
    },
    /// It has another type or form.
    #[error("the claim `{claim}` is not {expected}")]
    WrongType {
        /// Its name.
        claim: String,
        /// What it must be.
        expected: &'static str,
    },
}

/// The claims of a verified token.
///
/// Only [`crate::Verifier::verify`] makes one; this does not compile:
///
/// ```compile_fail,E0624
/// fn forge(token: token::VerifiedToken) -> relying_party::Claims {
///     relying_party::Claims::of(token)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Claims {
    token: VerifiedToken,
}

impl Claims {
    pub(crate) fn of(token: VerifiedToken) -> Self {
        Self { token }
    }

    /// All claims as JSON.
    #[must_use]
    pub fn as_json(&self) -> &Map<String, Value> {
        self.token.claims()
    }

    /// Any claim by its exact name.
    #[must_use]
    pub fn get(&self, claim: &str) -> Option<&Value> {
        self.token.claim(claim)
    }

    /// The verified token itself.
    #[must_use]
    pub fn token(&self) -> &VerifiedToken {
        &self.token
    }

    /// `exp`.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.token.expires_at()
    }

    /// `iat`.
    #[must_use]
    pub fn issued_at(&self) -> Option<OffsetDateTime> {
        self.token.issued_at()
    }

    /// `x-ms-attestation-type`, such as `sgx`.
    ///
    /// # Errors
    /// [`ClaimError`], as of every accessor that returns a `Result`.
    pub fn attestation_type(&self) -> Result<&str, ClaimError> {
        self.text("x-ms-attestation-type")
    }

    /// `x-ms-policy-hash`: SHA-256 of the base64url of the policy, as base64url.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn policy_hash(&self) -> Result<&str, ClaimError> {
        self.text("x-ms-policy-hash")
    }

    /// `jti`.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn token_id(&self) -> Result<&str, ClaimError> {
        self.text("jti")
    }

    /// `x-ms-sgx-mrenclave`.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn mrenclave(&self) -> Result<[u8; 32], ClaimError> {
        self.hex("x-ms-sgx-mrenclave", "64 lower-case hex digits")
    }

    /// `x-ms-sgx-mrsigner`.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn mrsigner(&self) -> Result<[u8; 32], ClaimError> {
        self.hex("x-ms-sgx-mrsigner", "64 lower-case hex digits")
    }

    /// `x-ms-sgx-report-data`.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn report_data(&self) -> Result<[u8; 64], ClaimError> {
        self.hex("x-ms-sgx-report-data", "128 lower-case hex digits")
    }

    /// `x-ms-sgx-product-id`.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn product_id(&self) -> Result<u64, ClaimError> {
        self.integer("x-ms-sgx-product-id")
    }

    /// `x-ms-sgx-svn`: the enclave's security version.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn svn(&self) -> Result<u64, ClaimError> {
        self.integer("x-ms-sgx-svn")
    }

    /// `x-ms-sgx-is-debuggable`. A debuggable enclave keeps no secret.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn is_debuggable(&self) -> Result<bool, ClaimError> {
        self.boolean("x-ms-sgx-is-debuggable")
    }

    /// `x-ms-sgx-ehd`: the bytes that the enclave bound, of data type `Binary`.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn enclave_held_data(&self) -> Result<Vec<u8>, ClaimError> {
        let claim = "x-ms-sgx-ehd";
        base64url::decode(self.text(claim)?).map_err(|_| wrong(claim, "base64url"))
    }

    /// `x-ms-runtime`: the JSON object that the attester bound, such as its keys.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn runtime(&self) -> Result<&Map<String, Value>, ClaimError> {
        self.object("x-ms-runtime")
    }

    /// `x-ms-inittime`: the JSON object bound when the attester was started.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn init_time(&self) -> Result<&Map<String, Value>, ClaimError> {
        self.object("x-ms-inittime")
    }

    /// A claim that is a string.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn text(&self, claim: &str) -> Result<&str, ClaimError> {
        self.required(claim)?.as_str().ok_or_else(|| wrong(claim, "a string"))
    }

    /// A claim that is an integer from 0 to 2⁶⁴ − 1.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn integer(&self, claim: &str) -> Result<u64, ClaimError> {
        self.required(claim)?.as_u64().ok_or_else(|| wrong(claim, "an unsigned integer"))
    }

    /// A claim that is a boolean; the strings `"true"` and `"false"` are none.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn boolean(&self, claim: &str) -> Result<bool, ClaimError> {
        self.required(claim)?.as_bool().ok_or_else(|| wrong(claim, "a boolean"))
    }

    /// A claim that is a JSON object.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn object(&self, claim: &str) -> Result<&Map<String, Value>, ClaimError> {
        self.required(claim)?.as_object().ok_or_else(|| wrong(claim, "an object"))
    }

    fn hex<const N: usize>(&self, claim: &str, expected: &'static str) -> Result<[u8; N], ClaimError> {
        let text = self.text(claim)?;
        let nibble = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| wrong(claim, expected))
    }

    fn required(&self, claim: &str) -> Result<&Value, ClaimError> {
        self.get(claim).ok_or_else(|| ClaimError::Missing { claim: claim.to_owned() })
    }
}

fn wrong(claim: &str, expected: &'static str) -> ClaimError {
    ClaimError::WrongType { claim: claim.to_owned(), expected }
}
