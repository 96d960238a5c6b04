//! Discovery (OpenID Connect Discovery 1.0 §4): from a trusted issuer to its keys.

use serde_json::Value;
use token::json::{self, JsonError};
use token::{Algorithm, metadata};

/// Longest configuration document accepted, in bytes; real ones have less than 1 KiB.
pub const MAX_METADATA_BYTES: usize = 64 * 1024;

/// Why an issuer, or what it publishes, cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The issuer signs only with algorithms that are not accepted.
    #[error("the issuer signs with none of the accepted algorithms, RS256 and ES256")]
    Algorithms,
    /// The document is that of another issuer.
    #[error("the configuration is that of `{found}`, not of the trusted issuer `{expected}`")]
    Issuer {
        /// What the document says; empty if it says nothing.
        found: String,
        /// The trusted issuer.
        expected: String,
    },
    /// The trusted issuer, or `jwks_uri`, is not an https URI of plain form.
    #[error("`{found}` is not an https URI without user, query and fragment")]
    InvalidUri {
        /// The text, shortened.
        found: String,
    },
    /// The document is not strict JSON.
    #[error("the configuration is not acceptable JSON: {0}")]
    Json(JsonError),
    /// The document does not say where the keys are.
    #[error("the configuration has no `jwks_uri`")]
    NoJwksUri,
    /// The keys are at another origin than the issuer, which was not allowed.
    #[error("the keys are at `{found}`, another origin than the issuer's, and it was not allowed")]
    Origin {
        /// The `jwks_uri`.
        found: String,
    },
    /// The document is too long.
    #[error("the configuration is {bytes} bytes long, more than the {MAX_METADATA_BYTES} that are accepted")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Where the configuration of `trusted_issuer` is. A slash at the issuer's end is ignored: issuers
/// have none.
///
/// # Errors
/// [`DiscoveryError::InvalidUri`].
pub fn metadata_url(trusted_issuer: &str) -> Result<String, DiscoveryError> {
    Ok(metadata::configuration_uri(plain_issuer(trusted_issuer)?))
}

/// The configuration of a trusted issuer, checked to be its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    issuer: String,
    jwks_uri: String,
    algorithms: Vec<Algorithm>,
}

impl Metadata {
    /// Reads the document that [`metadata_url`] gave: its `issuer` must be the trusted one, and the
    /// keys must be at the issuer's origin.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub fn parse(trusted_issuer: &str, document: &[u8]) -> Result<Self, DiscoveryError> {
        Self::parse_allowing(trusted_issuer, document, &[])
    }

    /// As [`Self::parse`], and the keys may also be at one of `key_origins` (such as
    /// `https://keys.example.org`).
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub fn parse_allowing(
        trusted_issuer: &str,
        document: &[u8],
        key_origins: &[&str],
    ) -> Result<Self, DiscoveryError> {
        let expected = plain_issuer(trusted_issuer)?;
        if document.len() > MAX_METADATA_BYTES {
            return Err(DiscoveryError::TooLong { bytes: document.len() });
        }
        let members = json::parse_object(document).map_err(DiscoveryError::Json)?;
        let text = |name| members.get(name).and_then(Value::as_str);
        let found = text("issuer").unwrap_or_default();
        if found != expected {
            let expected = expected.to_owned();
            return Err(DiscoveryError::Issuer { found: shortened(found), expected });
        }
        let jwks_uri = text("jwks_uri").ok_or(DiscoveryError::NoJwksUri)?;
        let keys_at = origin(jwks_uri)?;
        let mut allowed = vec![origin(expected)?];
        for other in key_origins {
            allowed.push(origin(other)?);
        }
        if !allowed.contains(&keys_at) {
            return Err(DiscoveryError::Origin { found: shortened(jwks_uri) });
        }
        let algorithms = match members.get("id_token_signing_alg_values_supported") {
            None => Algorithm::ALL.to_vec(),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).filter_map(Algorithm::from_name).collect()
            }
            Some(_) => Vec::new(),
        };
        if algorithms.is_empty() {
            return Err(DiscoveryError::Algorithms);
        }
        Ok(Self { issuer: expected.to_owned(), jwks_uri: jwks_uri.to_owned(), algorithms })
    }

    /// The trusted issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where the issuer's keys are.
    #[must_use]
    pub fn jwks_uri(&self) -> &str {
        &self.jwks_uri
    }

    /// What the issuer says it signs with, of what is accepted.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }
}

/// The issuer without the slash that people write at its end.
pub(crate) fn plain_issuer(trusted_issuer: &str) -> Result<&str, DiscoveryError> {
    let issuer = trusted_issuer.strip_suffix('/').unwrap_or(trusted_issuer);
    if issuer.ends_with('/') {
        return Err(DiscoveryError::InvalidUri { found: shortened(trusted_issuer) });
    }
    origin(issuer).map(|_| issuer)
}

/// Host and port of an https URI, lower-case, without the default port. The URI must have a form that
/// no two readers take apart differently.
fn origin(uri: &str) -> Result<String, DiscoveryError> {
    let invalid = || DiscoveryError::InvalidUri { found: shortened(uri) };
    let rest = uri.strip_prefix("https://").ok_or_else(invalid)?;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"@?#\\\"<>^`{|}".contains(&byte);
    if !rest.bytes().all(plain) {
        return Err(invalid());
    }
    let authority = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let authority = authority.strip_suffix(":443").unwrap_or(&authority).to_owned();
    if authority.is_empty() || authority.starts_with(':') {
        return Err(invalid());
    }
    Ok(authority)
}

/// The first characters of something another party chose, for an error message.
fn shortened(text: &str) -> String {
    text.chars().take(256).collect()
}
