//! What the policy asks of the evidence, read before any endorsement is chosen.
//!
//! Configuration rules (policy language 1.1) issue properties; the ones that concern SGX select the
//! TCB baseline that the platform is measured against.

use policy::{EvalError, Policy, Value};

/// The property that selects a TCB baseline.
const TCB_IDENTIFIER: &str = "x-ms-sgx-tcbidentifier";

/// The identifier of the provider's own baseline.
const PROVIDER_DEFAULT: &str = "azuredefault";

/// What a policy's configuration rules ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which TCB baseline the platform must meet.
    pub tcb_baseline: TcbBaseline,
}

/// The selected TCB baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcbBaseline {
    /// Endorsements of at least this `tcbEvaluationDataNumber`.
    AtLeast(u32),
    /// The minimum that the provider is configured with.
    ProviderDefault,
}

/// Why the configuration rules could not be followed. The author of the policy must act.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A configuration rule failed while it ran.
    #[error(transparent)]
    Evaluation(#[from] EvalError),
    /// The baseline is neither `azuredefault` nor a number.
    #[error(
        "the policy property `x-ms-sgx-tcbidentifier` is `{found}`; use `azuredefault` or a \
         tcbEvaluationDataNumber written as a string, such as `17`"
    )]
    UnknownTcbIdentifier {
        /// The value the policy issued.
        found: String,
    },
}

impl Settings {
    /// Runs the configuration rules of `policy`.
    ///
    /// # Errors
    /// [`SettingsError`] if a rule fails or asks for a baseline that does not exist.
    pub fn of(policy: &Policy) -> Result<Self, SettingsError> {
        let tcb_baseline = match policy.configure()?.get(TCB_IDENTIFIER) {
            None => TcbBaseline::ProviderDefault,
            Some(Value::String(identifier)) => TcbBaseline::parse(identifier)?,
            Some(other) => return Err(SettingsError::UnknownTcbIdentifier { found: other.to_string() }),
        };
        Ok(Self { tcb_baseline })
    }
}

impl TcbBaseline {
    fn parse(identifier: &str) -> Result<Self, SettingsError> {
        if identifier == PROVIDER_DEFAULT {
            return Ok(Self::ProviderDefault);
        }
        let digits_only = identifier.bytes().all(|byte| byte.is_ascii_digit());
        match identifier.parse() {
            Ok(number) if digits_only => Ok(Self::AtLeast(number)),
            _ => Err(SettingsError::UnknownTcbIdentifier { found: identifier.to_owned() }),
        }
    }

    /// The value of the claim `x-ms-sgx-tcbidentifier`.
    #[must_use]
    pub fn identifier(self) -> String {
        match self {
            Self::AtLeast(number) => number.to_string(),
            Self::ProviderDefault => PROVIDER_DEFAULT.to_owned(),
        }
    }

    /// The lowest `tcbEvaluationDataNumber` that is enough, given the provider's own minimum.
    ///
    /// A number in the policy replaces the provider's minimum, as selecting a baseline does in Azure
    /// Attestation.
    #[must_use]
    pub fn minimum(self, provider_minimum: Option<u32>) -> Option<u32> {
        match self {
            Self::AtLeast(number) => Some(number),
            Self::ProviderDefault => provider_minimum,
        }
    }
}
