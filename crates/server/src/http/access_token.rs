//! The callers' access tokens, which api-version 2018-09-01-preview asks for. Without a configured issuer
//! nobody has one.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use time::OffsetDateTime;
use token::{Algorithm, Expectations, Jwks, TokenError, UnverifiedToken};

use crate::config::{AccessTokenIssuer, ConfigError};
use crate::data_dir::read_bounded;

/// How far the issuer's clock and ours may differ.
const LEEWAY_SECS: u32 = 60;

/// Whom this service believes about its callers.
#[derive(Debug)]
pub(crate) struct AccessTokens {
    issuers: Vec<Issuer>,
}

#[derive(Debug)]
struct Issuer {
    audience: String,
    issuer: String,
    keys: Jwks,
}

/// Why a caller is not let in. The caller must act, or the operator where no issuer is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccessTokenError {
    #[error(
        "this service accepts no access tokens: its operator must configure `provider.access_token_issuers`"
    )]
    NoIssuer,
    #[error("this operation needs an access token: send the header `Authorization: Bearer <token>`")]
    Missing,
    #[error("the access token is not accepted: {0}")]
    Refused(#[from] TokenError),
    #[error("the access token is of an issuer that this service does not know")]
    UnknownIssuer,
}

impl AccessTokens {
    /// Reads the key files of the configured issuers.
    pub(crate) fn load(configured: &[AccessTokenIssuer]) -> Result<Self, ConfigError> {
        let mut issuers = Vec::new();
        for issuer in configured {
            let invalid = |fix: String| {
                let file = issuer.jwks_file.display().to_string();
                ConfigError::invalid("provider.access_token_issuers.jwks_file", file, fix)
            };
            let max_bytes = u64::try_from(token::jwk::MAX_JWKS_BYTES).unwrap_or(u64::MAX);
            let text = read_bounded(&issuer.jwks_file, max_bytes)
                .map_err(|error| invalid(format!("it cannot be read: {error}")))?;
            let keys =
                Jwks::parse(&text).map_err(|error| invalid(format!("give a JSON Web Key Set: {error}")))?;
            if keys.keys().is_empty() {
                return Err(invalid(
                    "it has no key that can be used; give RSA or P-256 signature keys".to_owned(),
                ));
            }
            issuers.push(Issuer { audience: issuer.audience.clone(), issuer: issuer.issuer.clone(), keys });
        }
        Ok(Self { issuers })
    }

    /// Lets in who brings a token of a configured issuer, for its audience, signed by its keys, at `now`.
    pub(crate) fn verify(&self, headers: &HeaderMap, now: OffsetDateTime) -> Result<(), AccessTokenError> {
        if self.issuers.is_empty() {
            return Err(AccessTokenError::NoIssuer);
        }
        let token = UnverifiedToken::parse(bearer(headers).ok_or(AccessTokenError::Missing)?)?;
        let unverified_issuer = token.unverified_claims().get("iss").and_then(serde_json::Value::as_str);
        // Several entries may share an issuer, for several audiences.
        let candidates =
            self.issuers.iter().filter(|candidate| Some(candidate.issuer.as_str()) == unverified_issuer);
        let mut refused = None;
        for candidate in candidates {
            let expectations = Expectations {
                issuer: &candidate.issuer,
                audience: Some(&candidate.audience),
                algorithms: &[Algorithm::Es256, Algorithm::Rs256],
                leeway_secs: LEEWAY_SECS,
            };
            match token.clone().verify(&candidate.keys, &expectations, now) {
                Ok(_) => return Ok(()),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.map_or(AccessTokenError::UnknownIssuer, AccessTokenError::Refused))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}
