//! What can be wrong with a change, and with what is kept.

use api::{AttestationType, ManagementError};
use appraisal::SettingsError;
use policy::Diagnostics;
use token::PolicyJwsError;

use crate::config::ConfigError;
use crate::store::StoreError;

/// Why a change was not made. The caller must act, unless it is the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagementFailure {
    /// The provider's policies are its operator's.
    #[error(
        "the policies of this provider are fixed: it is shared, and its operator sets them in the configuration"
    )]
    Fixed,
    #[error("attestation type `{attestation_type}` holds no policy")]
    HoldsNoPolicy { attestation_type: AttestationType },
    #[error(transparent)]
    Jws(#[from] PolicyJwsError),
    #[error(
        "the last policy management certificate that can sign cannot be removed: add another one first, signed \
         by this one"
    )]
    LastSigner,
    #[error("there is no version {version} of this policy; list its history to see which there are")]
    NoSuchVersion { version: u64 },
    /// The trust model has no signers.
    #[error(
        "The operation is disallowed: this provider has no policy management certificates, as its trust model \
         is not isolated"
    )]
    NoSigners,
    #[error(transparent)]
    Payload(#[from] ManagementError),
    #[error("the payload of a reset must be empty: sign, or leave unsigned, an empty payload")]
    PayloadOfReset,
    #[error("{0}")]
    Policy(Diagnostics),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("this provider has {limit} policy management certificates, and no more are accepted: remove one")]
    TooManySigners { limit: usize },
}

impl From<Diagnostics> for ManagementFailure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Policy(diagnostics)
    }
}

/// Why a provider's policies cannot be used at start. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum OpenPoliciesError {
    /// What is declared cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A row does not hold what it must.
    #[error(
        "version {version} of the policy for `{attestation_type}` of provider `{provider}` in the database \
         cannot be used: {reason}; restore the database from a backup, or use the program that wrote it"
    )]
    Corrupt {
        /// The provider's name.
        provider: String,
        /// The attestation type.
        attestation_type: AttestationType,
        /// The version.
        version: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A stored signer does not hold what it must.
    #[error(
        "the policy management certificates of provider `{provider}` in the database cannot be used: {reason}"
    )]
    CorruptSigner {
        /// The provider's name.
        provider: String,
        /// What is wrong with them.
        reason: PolicyJwsError,
    },
    /// No id could be drawn.
    #[error("a provider could not be made: {0}")]
    NoRandomness(#[from] crypto::random::NoRandomness),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}
