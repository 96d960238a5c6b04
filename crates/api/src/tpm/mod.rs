//! The messages of TPM attestation, which travel as base64url inside `{"data": …}` (Azure Attestation
//! documentation, "Trusted Platform Module and Virtualization-based security enclave attestation protocol").
//!
//! - what the two requests and their answers are: [`Message`], [`Wrapping`].
//! - the request that answers a challenge, still unverified: [`SignedRequest`]; what it carries: [`Content`].
//! - keys on the wire: [`Jwk`], [`Key`].
//!
//! Members are matched exactly. The texts that get hashed (`jwk`, `report_signed`) are kept as they were sent.

mod content;
mod error;
mod key;
mod request;
#[cfg(test)]
mod tests;

pub use content::{Bank, Content, CustomClaim, Enclave, Quote, Quoted};
pub use error::TpmMessageError;
pub use key::{EcCurve, Jwk, JwkNumbers, Key, KeyInfo};
pub use request::{ProtocolVersion, SignedRequest};

use serde_json::{Map, Value, json};
use token::{base64url, json};

use crate::transport;

/// Longest request body. Logs are encoded three times over, so this holds some 10 MiB of them.
pub const MAX_TPM_BODY_BYTES: usize = 24 * 1024 * 1024;

/// A message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Asks for a challenge.
    Init,
    /// Answers one: a compact JWS.
    Request(String),
}

/// Whether a client puts its messages into a member `payload`, as the published clients do, or sends them
/// bare, as they are documented. It is answered in kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// `{"type": …}`
    Bare,
    /// `{"payload": {"type": …}}`
    Payload,
}

impl Message {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`TpmMessageError`], which tells what to send instead.
    pub fn parse(body: &[u8]) -> Result<(Self, Wrapping), TpmMessageError> {
        if body.len() > MAX_TPM_BODY_BYTES {
            return Err(TpmMessageError::TooLong { what: "body", limit: MAX_TPM_BODY_BYTES });
        }
        let mut outer = json::parse_object(body).map_err(|error| json_error("body", error))?;
        let Some(Value::String(data)) = outer.remove("data") else {
            return Err(TpmMessageError::Missing { member: "data", send: "a message as base64url" });
        };
        drop(outer);
        let data =
            transport::decode(&data).map_err(|error| TpmMessageError::Base64 { member: "data", error })?;
        let mut message = json::parse_object(&data).map_err(|error| json_error("data", error))?;
        drop(data);
        let wrapping = match message.remove("payload") {
            None => Wrapping::Bare,
            Some(Value::Object(payload)) => {
                message = payload;
                Wrapping::Payload
            }
            Some(_) => return Err(TpmMessageError::Missing { member: "payload", send: "an object" }),
        };
        match (message.remove("type"), message.remove("request")) {
            (None, Some(Value::String(request))) => Ok((Self::Request(request), wrapping)),
            (Some(Value::String(kind)), None) if kind == INIT_TYPE => Ok((Self::Init, wrapping)),
            (Some(Value::String(kind)), None) => {
                Err(TpmMessageError::UnknownType { found: kind.chars().take(64).collect() })
            }
            _ => Err(TpmMessageError::NoMessage),
        }
    }
}

/// The answer to [`Message::Init`].
#[must_use]
pub fn challenge_body(challenge: &[u8], service_context: &[u8], wrapping: Wrapping) -> String {
    let (challenge, context) = (base64url::encode(challenge), base64url::encode(service_context));
    body(json!({ "challenge": challenge, "service_context": context }), wrapping)
}

/// The answer to [`Message::Request`]: a token.
#[must_use]
pub fn report_body(token: &str, wrapping: Wrapping) -> String {
    body(json!({ "report": token }), wrapping)
}

fn body(message: Value, wrapping: Wrapping) -> String {
    let message = match wrapping {
        Wrapping::Bare => message,
        Wrapping::Payload => {
            let mut wrapped = Map::new();
            wrapped.insert("payload".to_owned(), message);
            Value::Object(wrapped)
        }
    };
    json!({ "data": base64url::encode(message.to_string().as_bytes()) }).to_string()
}

fn json_error(what: &'static str, error: token::JsonError) -> TpmMessageError {
    TpmMessageError::Json { what, reason: error.to_string() }
}

/// The only enrolment that the protocol has.
const INIT_TYPE: &str = "aikcert";
