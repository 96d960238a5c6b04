//! The token issuer: the only place where an attestation result becomes a signed statement.

use serde_json::{Map, Value as Json};
use time::OffsetDateTime;
use token::{SignError, Signer};

use crate::appraise::{AttestationResult, TokenForm};

/// How long an attestation token is valid: eight hours, as Azure Attestation's, and not configurable.
const LIFETIME_SECS: i64 = 28_800;

/// As published tokens of TPMs have it.
const TPM_LEEWAY_SECS: i64 = 300;

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
        let (form, claims) = self.dated(result, now)?;
        Ok(Token(match form {
            TokenForm::Enclave => self.signer.sign(&self.uri, &claims)?,
            TokenForm::Tpm { omit_x5c: false, .. } => self.signer.sign_with_chain(&claims)?,
            TokenForm::Tpm { omit_x5c: true, .. } => self.signer.sign_with_thumbprint(&claims)?,
        }))
    }

    /// The same token without a signature, which answers a draft policy and proves nothing.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_draft(&self, result: AttestationResult, now: OffsetDateTime) -> Result<Token, SignError> {
        Ok(Token(self.signer.unsigned(&self.uri, &self.dated(result, now)?.1)?))
    }

    /// Adds issuer, times (whole seconds) and a fresh id. Tokens of TPMs are valid a little before they are made,
    /// for relying parties whose clocks are slow.
    fn dated(
        &self,
        result: AttestationResult,
        now: OffsetDateTime,
    ) -> Result<(TokenForm, Map<String, Json>), SignError> {
        let issued_at = now.unix_timestamp();
        let AttestationResult { mut claims, form, .. } = result;
        let (lifetime, not_before, id) = match form {
            TokenForm::Enclave => (LIFETIME_SECS, issued_at, token::token_id()?),
            TokenForm::Tpm { lifetime_minutes, .. } => {
                let not_before = issued_at.saturating_sub(TPM_LEEWAY_SECS);
                (i64::from(lifetime_minutes).saturating_mul(60), not_before, token::short_token_id()?)
            }
        };
        claims.insert("exp".to_owned(), issued_at.saturating_add(lifetime).into());
        claims.insert("iat".to_owned(), issued_at.into());
        claims.insert("iss".to_owned(), self.uri.as_str().into());
        claims.insert("jti".to_owned(), id.into());
        claims.insert("nbf".to_owned(), not_before.into());
        Ok((form, claims))
    }
}
