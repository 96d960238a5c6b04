//! What an operator can set: one schema, read from a file, the environment and flags.
//!
//! Later sources win: file < environment < flags. The environment variable of a key is `VOUCHSAFE_`
//! and the key in capitals with `.` as `_`: `provider.uri` is `VOUCHSAFE_PROVIDER_URI`. Relative paths
//! in a file are relative to that file, others to the working directory.
//!
//! [`EXAMPLE`] documents every key with its default and is what `vouchsafe config example` prints.

mod error;
mod load;
mod schema;
#[cfg(test)]
mod tests;
mod tpm;
mod validate;

pub use error::ConfigError;
pub use load::Sources;
pub use schema::{
    AccessTokenIssuer, AuditConfig, AuditMode, BaselineConfig, Config, EndorsementsConfig, IssuerPreset,
    LimitsConfig, LogConfig, LogFormat, ProviderConfig, TlsConfig, TokenAlgorithm, TrustAnchorsConfig,
    TrustModel,
};
pub(crate) use schema::{DEFAULT_PROVIDER, seconds};
pub use tpm::{PcrEncoding, TpmConfig};

/// The documented configuration file: every key, commented out at its default value.
pub const EXAMPLE: &str = include_str!("example.toml");
