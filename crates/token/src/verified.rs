//! A token whose signature and claims were verified.

use serde_json::Value;
use time::OffsetDateTime;

use crate::Claims;
use crate::algorithm::Algorithm;

/// What a trusted issuer said, and has not ceased to say.
///
/// Only [`crate::UnverifiedToken::verify`] makes one; this does not compile:
///
/// ```compile_fail,E0451
/// fn forge(token: token::VerifiedToken) -> token::VerifiedToken {
///     token::VerifiedToken { claims: token::Claims::new(), ..token }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    claims: Claims,
    algorithm: Algorithm,
    key_id: Option<String>,
    expires_at: OffsetDateTime,
    issued_at: Option<OffsetDateTime>,
}

impl VerifiedToken {
    /// Called at the end of [`crate::UnverifiedToken::verify`] and nowhere else.
    pub(crate) fn after_every_check(
        claims: Claims,
        algorithm: Algorithm,
        key_id: Option<String>,
        expires_at: OffsetDateTime,
        issued_at: Option<OffsetDateTime>,
    ) -> Self {
        Self { claims, algorithm, key_id, expires_at, issued_at }
    }

    /// All claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// One claim by its exact name.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// The claims without the proof.
    #[must_use]
    pub fn into_claims(self) -> Claims {
        self.claims
    }

    /// What the token was signed with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` of the key that signed it, as the key set gives it.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// `exp`.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.expires_at
    }

    /// `iat`.
    #[must_use]
    pub fn issued_at(&self) -> Option<OffsetDateTime> {
        self.issued_at
    }
}
