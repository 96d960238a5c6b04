//! The token issuer: the only place where an attestation result becomes a signed statement.

use serde_json::{Map, Value as Json};
use time::OffsetDateTime;
use token::{SignError, Signer};

use crate::appraise::AttestationResult;

/// How long an attestation token is valid: eight hours, as Azure Attestation's, and not configurable.
const LIFETIME_SECS: i64 = 28_800;

/// Signs attestation results under one issuer URI.
#[derive(Debug)]
pub struct Issuer {
    signer: Signer,
    uri: String,
}

/// A compact JWT made of an [`AttestationResult`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The compact form, `header.claims.signature`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Issuer {
    /// `uri` is the provider's configured URI, without a trailing slash: the claim `iss`, and with
    /// `/certs` appended the header's `jku`.
    #[must_use]
    pub fn new(uri: String, signer: Signer) -> Self {
        Self { signer, uri }
    }

    /// The claim `iss` of every token.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The key that signs, as `/certs` publishes it.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Signs `result` at `now`.
    ///
    /// # Errors
    /// [`SignError`] if the key or the random generator fails; never because of the claims.
    pub fn issue(&self, result: AttestationResult, now: OffsetDateTime) -> Result<Token, SignError> {
        Ok(Token(self.signer.sign(&self.uri, &self.dated(result, now)?)?))
    }

    /// The same token without a signature, which answers a draft policy and proves nothing.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_draft(&self, result: AttestationResult, now: OffsetDateTime) -> Result<Token, SignError> {
        Ok(Token(self.signer.unsigned(&self.uri, &self.dated(result, now)?)?))
    }

    /// Adds issuer, times (whole seconds, never in the future of `now`) and a fresh id.
    fn dated(&self, result: AttestationResult, now: OffsetDateTime) -> Result<Map<String, Json>, SignError> {
        let issued_at = now.unix_timestamp();
        let mut claims = result.into_claims();
        claims.insert("exp".to_owned(), issued_at.saturating_add(LIFETIME_SECS).into());
        claims.insert("iat".to_owned(), issued_at.into());
        claims.insert("iss".to_owned(), self.uri.as_str().into());
        claims.insert("jti".to_owned(), token::token_id()?.into());
        claims.insert("nbf".to_owned(), issued_at.into());
        Ok(claims)
    }
}
