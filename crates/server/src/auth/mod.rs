//! Who calls, and what they may do: OAuth 2.0 bearer access tokens (RFC 6750, RFC 9068) of issuers that the
//! operator names, and roles mapped from their claims.
//!
//! - an issuer's keys, from a file or discovered: `keys`.
//! - one issuer and the roles its claims give: `issuer`.
//! - the issuer that every data directory has of its own: [`local`].
//!
//! Everything is refused that is not let in here.

mod issuer;
mod keys;
pub mod local;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use serde_json::Value;
use time::OffsetDateTime;
use token::{TokenError, UnverifiedToken};

pub(crate) use keys::KeysUnavailable;

use crate::config::{AccessTokenIssuer, ConfigError};
use issuer::TrustedIssuer;
use local::LocalIssuer;

/// What a caller may do with a provider's policies and signers: the actions
/// `Microsoft.Attestation/attestationProviders/attestation/{delete,read,write}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Remove a signer.
    Delete,
    /// Look.
    Read,
    /// Set or reset a policy, or add a signer.
    Write,
}

/// The roles of Azure Attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Attestation Contributor: everything.
    Contributor,
    /// Attestation Reader: reading.
    Reader,
}

impl Role {
    fn permits(self, permission: Permission) -> bool {
        match self {
            Self::Contributor => true,
            Self::Reader => permission == Permission::Read,
        }
    }

    /// The role's name, as tokens of the local issuer carry it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contributor => "Contributor",
            Self::Reader => "Reader",
        }
    }
}

/// An authenticated caller: an issuer's token for this provider verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The claim `iss`.
    pub(crate) issuer: String,
    /// What the issuer calls the caller, for people. It identifies nobody.
    pub(crate) name: Option<String>,
    /// The claim `oid`, `sub`, `appid` or `azp`, the first that is there.
    pub(crate) subject: String,
    roles: Vec<Role>,
}

/// Subject and issuer, as histories and the audit log name a caller.
impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.subject, self.issuer)
    }
}

/// Why a caller is not let in. The caller must act, or the operator where no issuer is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("this operation needs an access token: send the header `Authorization: Bearer <token>`")]
    Missing,
    #[error(
        "the caller's token gives no role that permits this; ask the operator for the role of an \
         Attestation {needed}"
    )]
    MissingRole { needed: &'static str },
    #[error("the access token is not accepted: {0}")]
    Refused(#[from] TokenError),
    #[error(transparent)]
    Unavailable(#[from] KeysUnavailable),
    #[error(
        "the access token is of an issuer that this service does not know; its operator configures \
         `provider.access_token_issuers`"
    )]
    UnknownIssuer,
}

/// A caller who is not let in, and what to tell them about it in `WWW-Authenticate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Who it is, if the token says so and only a role is missing.
    pub(crate) caller: Option<Caller>,
    pub(crate) challenge: HeaderValue,
    pub(crate) error: AuthError,
}

/// Whom a provider believes about its callers.
#[derive(Debug)]
pub(crate) struct Authorizer {
    /// Where callers get a token, and for which resource, in the form of Azure's services.
    challenge: String,
    issuers: Vec<TrustedIssuer>,
}

impl Authorizer {
    /// The configured issuers, and the local one for the provider called `provider`.
    ///
    /// # Errors
    /// [`ConfigError`] if an issuer cannot be used as configured.
    pub(crate) fn new(
        configured: &[AccessTokenIssuer],
        local: &LocalIssuer,
        provider: &str,
    ) -> Result<Self, ConfigError> {
        let mut issuers = configured.iter().map(TrustedIssuer::configured).collect::<Result<Vec<_>, _>>()?;
        issuers.push(TrustedIssuer::local(local, provider));
        let challenge = issuers.first().map(TrustedIssuer::challenge).unwrap_or_default();
        Ok(Self { challenge, issuers })
    }

    /// Lets in who brings a valid token of a trusted issuer, whatever their role.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) async fn authenticate(
        &self,
        headers: &HeaderMap,
        now: OffsetDateTime,
    ) -> Result<Caller, Refusal> {
        self.identify(headers, now).await.map_err(|error| self.refuse(error))
    }

    async fn identify(&self, headers: &HeaderMap, now: OffsetDateTime) -> Result<Caller, AuthError> {
        let token = UnverifiedToken::parse(bearer(headers).ok_or(AuthError::Missing)?)?;
        let unverified_issuer = token.unverified_claims().get("iss").and_then(Value::as_str);
        let unverified_issuer = unverified_issuer.ok_or(AuthError::UnknownIssuer)?.to_owned();
        // Several entries may name one issuer, for several audiences and roles.
        let mut refused = AuthError::UnknownIssuer;
        for candidate in self.issuers.iter().filter(|candidate| candidate.issues_as(&unverified_issuer)) {
            match candidate.verify(&token, &unverified_issuer, now).await {
                Ok(caller) => return Ok(caller),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Lets in who also has a role that permits the operation.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) async fn authorize(
        &self,
        headers: &HeaderMap,
        permission: Permission,
        now: OffsetDateTime,
    ) -> Result<Caller, Refusal> {
        let caller = self.authenticate(headers, now).await?;
        if caller.roles.iter().any(|role| role.permits(permission)) {
            return Ok(caller);
        }
        let needed = if permission == Permission::Read { "Reader" } else { "Contributor" };
        Err(Refusal { caller: Some(caller), ..self.refuse(AuthError::MissingRole { needed }) })
    }

    /// The challenge of RFC 6750 §3, which names no error where there was no token.
    fn refuse(&self, error: AuthError) -> Refusal {
        let told = match &error {
            AuthError::Missing | AuthError::Unavailable(_) => "",
            AuthError::MissingRole { .. } => ", error=\"insufficient_scope\"",
            AuthError::Refused(_) | AuthError::UnknownIssuer => ", error=\"invalid_token\"",
        };
        let challenge = HeaderValue::try_from(format!("Bearer {}{told}", self.challenge));
        let challenge = challenge.unwrap_or(HeaderValue::from_static("Bearer"));
        Refusal { caller: None, challenge, error }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests;
