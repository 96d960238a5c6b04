//! Verifies tokens of one trusted issuer.

use time::OffsetDateTime;
use token::{Algorithm, Expectations, Jwks, JwksError, TokenError, UnverifiedToken};

use crate::claims::{ClaimError, Claims};
use crate::discovery::{DiscoveryError, Metadata, plain_issuer};

/// How far the issuer's clock and ours may differ unless told otherwise, in seconds. The issuer dates
/// its tokens from the second they are made in, so a clock that lags a little would refuse them.
pub const DEFAULT_LEEWAY_SECS: u32 = 60;

/// Why there is no verifier, or no verified token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A verified token lacks a claim that was asked for.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The issuer or its configuration cannot be used.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The issuer's keys cannot be read.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// The issuer publishes no usable key.
    #[error("the issuer publishes no usable key")]
    NoUsableKey,
    /// The token is not accepted.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Error {
    /// Whether the token names a key that the issuer may have published since its keys were fetched.
    #[must_use]
    pub fn needs_fresh_keys(&self) -> bool {
        matches!(self, Self::Token(TokenError::UnknownKey { .. }))
    }
}

/// Verifies the tokens of one issuer with the keys it published.
#[derive(Debug, Clone)]
pub struct Verifier {
    issuer: String,
    algorithms: Vec<Algorithm>,
    keys: Jwks,
    leeway_secs: u32,
}

impl Verifier {
    /// A verifier from the two documents that discovery gives: the configuration at
    /// [`crate::metadata_url`], and the keys at its [`Metadata::jwks_uri`].
    ///
    /// # Errors
    /// [`Error::Discovery`], [`Error::Keys`] or [`Error::NoUsableKey`].
    pub fn from_metadata(trusted_issuer: &str, metadata: &[u8], keys: &[u8]) -> Result<Self, Error> {
        Self::new(&Metadata::parse(trusted_issuer, metadata)?, keys)
    }

    /// A verifier for an issuer whose configuration was read before.
    ///
    /// # Errors
    /// [`Error::Keys`] or [`Error::NoUsableKey`].
    pub fn new(metadata: &Metadata, keys: &[u8]) -> Result<Self, Error> {
        Self::with_keys(metadata.issuer(), metadata.algorithms(), keys)
    }

    /// A verifier for an issuer whose keys are known without discovery, such as from a file.
    ///
    /// # Errors
    /// [`Error::Discovery`] if the issuer is not an https URI, [`Error::Keys`] or [`Error::NoUsableKey`].
    pub fn from_keys(trusted_issuer: &str, keys: &[u8]) -> Result<Self, Error> {
        Self::with_keys(plain_issuer(trusted_issuer)?, &Algorithm::ALL, keys)
    }

    fn with_keys(issuer: &str, algorithms: &[Algorithm], keys: &[u8]) -> Result<Self, Error> {
        let keys = Jwks::parse(keys)?;
        if keys.keys().is_empty() {
            return Err(Error::NoUsableKey);
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            algorithms: algorithms.to_vec(),
            keys,
            leeway_secs: DEFAULT_LEEWAY_SECS,
        })
    }

    /// Allows the clocks to differ by `leeway_secs` instead of [`DEFAULT_LEEWAY_SECS`].
    #[must_use]
    pub fn with_leeway_secs(mut self, leeway_secs: u32) -> Self {
        self.leeway_secs = leeway_secs;
        self
    }

    /// The trusted issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The issuer's keys.
    #[must_use]
    pub fn keys(&self) -> &Jwks {
        &self.keys
    }

    /// Verifies a token: signature, issuer, times. An unsigned one, as the answer to a draft policy
    /// is, is never accepted.
    ///
    /// # Errors
    /// [`Error::Token`].
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Claims, Error> {
        let expectations = Expectations {
            issuer: &self.issuer,
            audience: None,
            algorithms: &self.algorithms,
            leeway_secs: self.leeway_secs,
        };
        Ok(Claims::of(UnverifiedToken::parse(token)?.verify(&self.keys, &expectations, now)?))
    }
}
