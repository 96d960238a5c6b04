//! The nonce, which is echoed as it came.

use serde_json::{Number, Value};

use crate::error::RequestError;
use crate::limits::MAX_NONCE_BYTES;
use crate::members::kind;

/// A caller's nonce. The contract says string; clients for SEV-SNP send a number. It is copied to the
/// token in the same JSON type and spelling, and is not bound to the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nonce {
    /// An integer from 0 to 2⁶⁴ − 1, spelled as sent.
    Number(Number),
    /// A string, which may be empty.
    String(String),
}

impl Nonce {
    pub(crate) fn parse(value: Value) -> Result<Self, RequestError> {
        match value {
            Value::Number(number) if number.as_u64().is_some() => Ok(Self::Number(number)),
            Value::Number(_) => Err(RequestError::NonceNumber),
            Value::String(text) if text.len() > MAX_NONCE_BYTES => {
                Err(RequestError::TooLong { property: "nonce", bytes: text.len(), limit: MAX_NONCE_BYTES })
            }
            Value::String(text) => Ok(Self::String(text)),
            other => Err(RequestError::WrongType {
                property: "nonce",
                expected: "a string or an integer",
                found: kind(&other),
            }),
        }
    }

    /// The value of the claim `nonce`.
    #[must_use]
    pub fn into_claim(self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number),
            Self::String(text) => Value::String(text),
        }
    }
}
