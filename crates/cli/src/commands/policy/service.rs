//! Requests of policy management to any service with the interface of Azure Attestation. Its answers are signed and
//! are believed only after they have been verified with the keys it publishes.

use clap::{Args, ValueEnum};
use relying_party::Verifier;
use reqwest::{Client, Method};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::commands::attest::token_of;
pub(crate) use crate::commands::connection::Body;
use crate::commands::connection::Connection;
use crate::failure::Failure;
use crate::http;

/// The service and how to reach it
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct ServiceArgs {
    #[command(flatten)]
    connection: Connection,

    /// Issuer that its answers must name [default: the endpoint]
    #[arg(long, value_name = "URI", env = "VOUCHSAFE_ISSUER")]
    issuer: Option<String>,
}

/// The attestation types that have policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AttestationType {
    /// Intel SGX quotes
    #[value(name = "SgxEnclave", alias = "sgx")]
    SgxEnclave,
    /// Open Enclave reports
    #[value(name = "OpenEnclave")]
    OpenEnclave,
    /// AMD SEV-SNP virtual machines
    #[value(name = "SevSnpVm", alias = "snp")]
    SevSnpVm,
    /// Intel TDX virtual machines
    #[value(name = "TdxVm", alias = "tdx")]
    TdxVm,
    /// Guests of Azure
    #[value(name = "AzureGuest")]
    AzureGuest,
    /// TPMs
    #[value(name = "Tpm")]
    Tpm,
}

impl AttestationType {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SgxEnclave => "SgxEnclave",
            Self::OpenEnclave => "OpenEnclave",
            Self::SevSnpVm => "SevSnpVm",
            Self::TdxVm => "TdxVm",
            Self::AzureGuest => "AzureGuest",
            Self::Tpm => "Tpm",
        }
    }
}

impl ServiceArgs {
    /// Sends one request and returns the claims of its signed answer, verified.
    pub(crate) fn ask(&self, method: Method, path: &str, body: Body) -> Result<Map<String, Value>, Failure> {
        http::block_on(async {
            let client = self.connection.client()?;
            let url = self.connection.url(path, true)?;
            let answer = self.connection.send(&client, method, url, body).await?;
            self.verify(&client, &token_of(&answer)?).await
        })
    }

    /// Gets a JSON document, which the service does not sign.
    pub(crate) fn read(&self, path: &str, parameter: Option<(&str, &str)>) -> Result<Value, Failure> {
        http::block_on(async {
            let client = self.connection.client()?;
            let mut url = self.connection.url(path, true)?;
            if let Some((name, value)) = parameter {
                url.query_pairs_mut().append_pair(name, value);
            }
            let answer = self.connection.send(&client, Method::GET, url, Body::Nothing).await?;
            serde_json::from_slice(&answer)
                .map_err(|error| Failure::failed(format!("the service's answer is not JSON: {error}")))
        })
    }

    async fn verify(&self, client: &Client, token: &str) -> Result<Map<String, Value>, Failure> {
        let issuer = self.issuer.as_deref().unwrap_or(&self.connection.endpoint);
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::failed(format!("the keys of `{}` cannot be used: {error}", self.connection.endpoint))
        };
        let keys = http::get(client, &self.connection.url("certs", false)?).await?;
        let verifier = Verifier::from_keys(issuer, &keys).map_err(|error| unusable(&error))?;
        let claims = verifier.verify(token, OffsetDateTime::now_utc()).map_err(|error| {
            Failure::failed(format!(
                "the service's answer does not verify, so nothing of it is believed: {error}"
            ))
            .hint("name the issuer with `--issuer` if it is not the endpoint")
        })?;
        Ok(claims.as_json().clone())
    }
}

/// A text claim of an answer.
pub(crate) fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<&'c str, Failure> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::failed(format!("the service's answer has no claim `{name}`")))
}

/// What an answer must say has been done.
pub(crate) fn expect(claims: &Map<String, Value>, name: &str, expected: &str) -> Result<(), Failure> {
    let found = text(claims, name)?;
    if found == expected {
        return Ok(());
    }
    Err(Failure::failed(format!("the service says `{found}` in `{name}`, not `{expected}`")))
}
