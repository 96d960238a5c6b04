//! A token as it arrives, and the checks that make it a verified one.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Claims;
use crate::algorithm::Algorithm;
use crate::json::{self, JsonError};
use crate::jwk::{Jwk, JwkError, Jwks};
use crate::jws::{Jws, JwsError};
use crate::verified::VerifiedToken;

/// What a token must be to be accepted.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// The exact `iss`.
    pub issuer: &'a str,
    /// A value that `aud` must be or contain; without one, `aud` is not looked at (attestation
    /// tokens have none).
    pub audience: Option<&'a str>,
    /// The algorithms allowed.
    pub algorithms: &'a [Algorithm],
    /// How far the issuer's clock and ours may differ, in seconds.
    pub leeway_secs: u32,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The header names an algorithm that is not allowed here.
    #[error("the token's algorithm `{found}` is not allowed here")]
    AlgorithmNotAllowed {
        /// What the header names.
        found: String,
    },
    /// `aud` does not hold the expected audience.
    #[error("the token is not for the audience `{expected}`")]
    Audience {
        /// What was expected.
        expected: String,
    },
    /// A claim is absent or of the wrong JSON type.
    #[error("the claim `{claim}` is missing or not {expected}")]
    Claim {
        /// Its name.
        claim: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The payload is not a strict JSON object.
    #[error("the claims are not acceptable JSON: {0}")]
    Claims(JsonError),
    /// The header demands extensions (RFC 7515 §4.1.11), and none is understood here.
    #[error("the header demands extensions by `crit`, and none is understood")]
    Critical,
    /// The token is past its end.
    #[error("the token expired at {}", rfc3339(*expired_at))]
    Expired {
        /// The claim `exp`.
        expired_at: OffsetDateTime,
    },
    /// `iss` is another one.
    #[error("the token's issuer is `{found}`, not `{expected}`")]
    Issuer {
        /// What the token says.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The text is not a compact JWS.
    #[error("not a compact token: {0}")]
    Jws(#[from] JwsError),
    /// The token is not yet valid.
    #[error("the token is not valid before {}", rfc3339(*not_before))]
    NotYetValid {
        /// The claim `nbf`.
        not_before: OffsetDateTime,
    },
    /// No key tried made the signature.
    #[error("the token's signature does not verify")]
    Signature,
    /// The header's `typ` says that this is something other than a token.
    #[error("the header's `typ` is not that of a token")]
    Type,
    /// The key set has no key of this id; the issuer may have a new one since it was fetched.
    #[error("no published key has the id `{key_id}`: fetch the issuer's keys again")]
    UnknownKey {
        /// The token's `kid`.
        key_id: String,
    },
    /// The token names no key, and the set has none for its algorithm.
    #[error("the token names no key, and no published key is one for `{algorithm}`")]
    NoKey {
        /// The token's algorithm.
        algorithm: Algorithm,
    },
    /// The token is unsigned (`alg` `none`), as the answer to a draft policy is.
    #[error("the token is unsigned: an answer to a draft policy proves nothing")]
    Unsigned,
    /// The key that the token names cannot be used.
    #[error("the key `{key_id}` that the token names cannot be used: {reason}")]
    UnusableKey {
        /// The token's `kid`.
        key_id: String,
        /// What is wrong with the key.
        reason: JwkError,
    },
}

/// A token taken apart. What it says is hearsay until [`Self::verify`].
#[derive(Debug, Clone)]
pub struct UnverifiedToken<'a> {
    jws: Jws<'a>,
    claims: Claims,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a compact token apart (RFC 7519 §3.1). An unsigned one can be taken apart too, and shown.
    ///
    /// # Errors
    /// [`TokenError::Jws`] or [`TokenError::Claims`].
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        let jws = Jws::parse(text)?;
        let claims = json::parse_claims(jws.unverified_payload()).map_err(TokenError::Claims)?;
        Ok(Self { jws, claims })
    }

    /// The claims, as anyone could have written them.
    #[must_use]
    pub fn unverified_claims(&self) -> &Claims {
        &self.claims
    }

    /// The token before its claims were read.
    #[must_use]
    pub fn jws(&self) -> &Jws<'a> {
        &self.jws
    }

    /// Whether this is an unsigned token (`alg` `none`).
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        self.jws.unverified_algorithm().eq_ignore_ascii_case("none")
    }

    /// Verifies the token, in this order:
    ///
    /// 1. the algorithm is a signature, an allowed one (RFC 8725 §3.1), under no `crit` extension, and
    ///    the header does not say that the text is something other than a token;
    /// 2. the key of the header's `kid` made the signature or, without a `kid`, one of the keys for
    ///    the algorithm; keys come from `keys` alone, never from the header's `jku`, `x5u`, `jwk`, `x5c`;
    /// 3. `iss` is the expected issuer, and `aud` has the expected audience, if there is one;
    /// 4. `exp` is an integer and lies ahead; `nbf`, if present, is one and does not; `iat`, if
    ///    present, is one.
    ///
    /// # Errors
    /// [`TokenError`], for the first broken rule.
    pub fn verify(
        self,
        keys: &Jwks,
        expectations: &Expectations<'_>,
        now: OffsetDateTime,
    ) -> Result<VerifiedToken, TokenError> {
        let algorithm = self.allowed_algorithm(expectations.algorithms)?;
        let key = self.signing_key(keys, algorithm)?;
        let issuer = self.claims.get("iss").and_then(Value::as_str);
        let issuer = issuer.ok_or(TokenError::Claim { claim: "iss", expected: "a string" })?;
        if issuer != expectations.issuer {
            let expected = expectations.issuer.to_owned();
            return Err(TokenError::Issuer { found: shortened(issuer), expected });
        }
        if let Some(expected) = expectations.audience
            && !self.has_audience(expected)
        {
            return Err(TokenError::Audience { expected: expected.to_owned() });
        }
        let leeway = time::Duration::seconds(expectations.leeway_secs.into());
        let expired_at =
            self.time_claim("exp")?.ok_or(TokenError::Claim { claim: "exp", expected: SECONDS })?;
        if now.checked_sub(leeway).unwrap_or(now) >= expired_at {
            return Err(TokenError::Expired { expired_at });
        }
        if let Some(not_before) = self.time_claim("nbf")?
            && now.checked_add(leeway).unwrap_or(now) < not_before
        {
            return Err(TokenError::NotYetValid { not_before });
        }
        let issued_at = self.time_claim("iat")?;
        let key_id = key.key_id().map(str::to_owned);
        Ok(VerifiedToken::after_every_check(self.claims, algorithm, key_id, expired_at, issued_at))
    }

    fn allowed_algorithm(&self, allowed: &[Algorithm]) -> Result<Algorithm, TokenError> {
        if self.is_unsigned() {
            return Err(TokenError::Unsigned);
        }
        let name = self.jws.unverified_algorithm();
        let algorithm = Algorithm::from_name(name).filter(|algorithm| allowed.contains(algorithm));
        let algorithm =
            algorithm.ok_or_else(|| TokenError::AlgorithmNotAllowed { found: shortened(name) })?;
        let header = self.jws.unverified_header();
        if header.contains_key("crit") {
            return Err(TokenError::Critical);
        }
        match header.get("typ") {
            None => Ok(algorithm),
            Some(Value::String(typ)) if TOKEN_TYPES.iter().any(|one| typ.eq_ignore_ascii_case(one)) => {
                Ok(algorithm)
            }
            Some(_) => Err(TokenError::Type),
        }
    }

    fn signing_key<'k>(&self, keys: &'k Jwks, algorithm: Algorithm) -> Result<&'k Jwk, TokenError> {
        let key_id = self.jws.unverified_key_id();
        let named: Vec<&Jwk> =
            keys.keys().iter().filter(|key| key_id.is_none() || key.key_id() == key_id).collect();
        if named.is_empty()
            && let Some(key_id) = key_id
        {
            let ignored = keys.ignored().iter().find(|key| key.key_id.as_deref() == Some(key_id));
            let key_id = shortened(key_id);
            return Err(match ignored {
                Some(key) => TokenError::UnusableKey { key_id, reason: key.reason.clone() },
                None => TokenError::UnknownKey { key_id },
            });
        }
        if key_id.is_none() && named.iter().all(|key| key.algorithm() != algorithm) {
            return Err(TokenError::NoKey { algorithm });
        }
        // At most `jwk::MAX_KEYS` keys are tried: a set holds no more.
        let signer = named.into_iter().find(|key| self.jws.is_signed_by(key, algorithm));
        signer.ok_or(TokenError::Signature)
    }

    fn has_audience(&self, expected: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(found)) => found == expected,
            Some(Value::Array(found)) => found.iter().any(|one| one == expected),
            _ => false,
        }
    }

    /// A `NumericDate` (RFC 7519 §2) without fraction. A string or a float is not read as one, and
    /// not taken for absent either.
    fn time_claim(&self, claim: &'static str) -> Result<Option<OffsetDateTime>, TokenError> {
        let wrong = TokenError::Claim { claim, expected: SECONDS };
        let Some(value) = self.claims.get(claim) else {
            return Ok(None);
        };
        let seconds = value.as_i64().filter(|seconds| *seconds >= 0).ok_or_else(|| wrong.clone())?;
        OffsetDateTime::from_unix_timestamp(seconds).map(Some).map_err(|_| wrong)
    }
}

/// What the header of a token may call itself (RFC 7519 §5.1, RFC 9068 §2.1), if anything.
const TOKEN_TYPES: [&str; 4] = ["JWT", "application/jwt", "at+jwt", "application/at+jwt"];

const SECONDS: &str = "an integer of seconds from 1970 up to the year 9999";

/// A time as people and other programs read it; seconds where it has no such form.
fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.unix_timestamp().to_string())
}

/// The first characters of something the sender chose, for an error message.
fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}
