//! What can be wrong with a configuration. The operator must act.

use std::path::PathBuf;

/// A configuration that cannot be used. Each message names the key and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting that weakens appraisal stands in a configuration marked `production`.
    #[error(
        "`{key}` is set in a configuration marked `production = true`, which refuses it; remove `{key}`, or \
         use a configuration that is not production"
    )]
    DangerInProduction {
        /// The dangerous key.
        key: &'static str,
    },
    /// The value of a key cannot be used.
    #[error("`{key}` is `{found}`, which cannot be used; {fix}")]
    Invalid {
        /// Path of the key, its parts joined by `.`.
        key: String,
        /// The value, as it was given.
        found: String,
        /// What to write instead.
        fix: String,
    },
    /// The file of a key cannot be read.
    #[error("the configuration file `{}` cannot be read: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML of the schema.
    #[error(
        "the configuration file `{}` is not valid: {message}\n`vouchsafe config example` prints every key",
        path.display()
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Position, key and reason.
        message: String,
    },
    /// No such key can be set.
    #[error("there is no key `{key}`; `vouchsafe config example` prints every key")]
    UnknownKey {
        /// The key asked for.
        key: String,
    },
    /// A variable or flag has a value of another type than its key.
    #[error("{message}; `vouchsafe config example` prints every key with an example")]
    Value {
        /// Key and reason.
        message: String,
    },
}

impl ConfigError {
    pub(crate) fn invalid(key: &str, found: impl ToString, fix: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_owned(), found: found.to_string(), fix: fix.into() }
    }
}
