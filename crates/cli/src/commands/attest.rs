//! `vouchsafe attest`: evidence out, token in. Works against any service with the interface of Azure Attestation.

mod enclave;
mod source;
mod tpm;

use clap::Subcommand;
use reqwest::StatusCode;
use serde_json::{Value, json};

use self::enclave::{Enclave, Tee};
use crate::commands::token::Decoded;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// Attest an enclave or this machine to a service and print the token it issues
#[derive(Debug, Subcommand)]
pub(crate) enum Attest {
    /// Attest an enclave with an Intel SGX quote
    #[command(long_about = format!("Attest an enclave with an Intel SGX quote\n\n{}", enclave::HELP))]
    Sgx(Enclave),
    /// Attest an enclave with an Open Enclave report
    #[command(name = "openenclave")]
    #[command(long_about = format!("Attest an enclave with an Open Enclave report\n\n{}", enclave::HELP))]
    OpenEnclave(Enclave),
    Tpm(tpm::Tpm),
}

impl Attest {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::OpenEnclave(command) => command.run(Tee::OpenEnclave),
            Self::Sgx(command) => command.run(Tee::Sgx),
            Self::Tpm(command) => command.run(),
        }
    }
}

/// Prints the token, or with it what it says.
fn print_token(token: &str, with_claims: bool) -> Result<(), Failure> {
    if !with_claims {
        return output::line(&output::printable(token));
    }
    let decoded = Decoded::of(token)
        .map_err(|error| Failure::failed(format!("the service's token cannot be read: {error}")))?;
    output::json(&json!({ "token": token, "header": decoded.header, "claims": decoded.claims }))
}

/// `{"token": "..."}`, or the bare string of the oldest version.
pub(crate) fn token_of(body: &[u8]) -> Result<String, Failure> {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let token = answer.as_ref().and_then(|answer| answer.get("token").unwrap_or(answer).as_str());
    token.map(str::to_owned).ok_or_else(|| Failure::failed("the service's answer holds no token"))
}

/// What the service said. A 400 is its answer about the evidence; everything else kept it from answering.
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| answer.pointer(&format!("/error/{name}")).and_then(Value::as_str);
    let message = match (text("code"), text("message")) {
        (Some(code), Some(message)) => format!("the service refused: {code}: {message}"),
        _ => format!("the service answered with status {}", status.as_u16()),
    };
    match status {
        StatusCode::BAD_REQUEST => Failure::denied(message),
        StatusCode::UNAUTHORIZED => {
            Failure::failed(message).hint("give an access token with `--bearer-token-file`")
        }
        _ => Failure::failed(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_all_versions_are_understood() {
        assert_eq!(token_of(br#"{"token": "a.b.c"}"#).unwrap(), "a.b.c");
        assert_eq!(token_of(br#""a.b.c""#).unwrap(), "a.b.c");
        assert!(token_of(b"{}").is_err());
        assert!(token_of(b"<html>").is_err());
        let body = br#"{"error": {"code": "PolicyEvaluationError", "message": "denied"}}"#;
        let refused = refusal(StatusCode::BAD_REQUEST, body);
        assert_eq!(
            (refused.exit, refused.message.as_str()),
            (Exit::Denied, "the service refused: PolicyEvaluationError: denied")
        );
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, b"").exit, Exit::Failed);
    }
}
