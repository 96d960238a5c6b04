//! What can go wrong between here and a TPM.

use std::io;

use evidence::ReadError;

use super::response_code::ResponseCode;
use crate::failure::Failure;

/// Why a command gave no answer that can be used.
#[derive(Debug)]
pub(crate) enum TpmError {
    /// The answer is not one of a TPM.
    Answer { command: &'static str, reason: String },
    /// A command longer than any TPM takes; its data came from outside.
    CommandTooLong { command: &'static str, length: usize },
    /// The connection or the device failed.
    Io { command: &'static str, error: io::Error },
    /// The TPM refused.
    Refused { command: &'static str, code: ResponseCode },
}

impl TpmError {
    pub(super) fn malformed(command: &'static str, error: &ReadError) -> Self {
        Self::Answer { command, reason: error.to_string() }
    }

    /// The code of a refusal.
    pub(crate) const fn code(&self) -> Option<ResponseCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl From<TpmError> for Failure {
    fn from(error: TpmError) -> Self {
        match error {
            TpmError::Answer { command, reason } => {
                Self::failed(format!("the answer of the TPM to {command} cannot be read: {reason}"))
                    .hint("is this the command channel of a TPM 2.0?")
            }
            TpmError::CommandTooLong { command, length } => {
                Self::failed(format!("{command} would have {length} bytes, more than a TPM takes"))
            }
            TpmError::Io { command, error } => {
                Self::failed(format!("the TPM did not answer {command}: {error}"))
            }
            TpmError::Refused { command, code } => {
                let failure = Self::failed(format!("the TPM refused {command}: {code}"));
                match code.advice() {
                    Some(advice) => failure.hint(advice),
                    None => failure,
                }
            }
        }
    }
}
