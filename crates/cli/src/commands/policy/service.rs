//! Requests of policy management to any service with the interface of Azure Attestation. Its answers are signed and
//! are believed only after they have been verified with the keys it publishes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use relying_party::Verifier;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::commands::attest::{bearer, refusal, token_of};
use crate::failure::Failure;
use crate::http;

/// The service and how to reach it
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct ServiceArgs {
    /// Service to talk to, with its path prefix if it has one
    #[arg(long, value_name = "URI", env = "VOUCHSAFE_ENDPOINT")]
    endpoint: String,

    /// Issuer that its answers must name [default: the endpoint]
    #[arg(long, value_name = "URI", env = "VOUCHSAFE_ISSUER")]
    issuer: Option<String>,

    /// Certificate authorities to trust for the connection instead of the system's
    #[arg(long, value_name = "PEM", env = "VOUCHSAFE_CA_FILE")]
    ca_file: Option<PathBuf>,

    /// File with an access token [default: the variable VOUCHSAFE_BEARER_TOKEN, which holds the token itself]
    #[arg(long, value_name = "FILE")]
    bearer_token_file: Option<PathBuf>,

    /// Version of the interface to ask for
    #[arg(long, value_name = "VERSION", default_value = "2020-10-01")]
    api_version: String,
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

/// The body of a request.
pub(crate) enum Body {
    Json(Value),
    Nothing,
    Text(String),
}

impl ServiceArgs {
    /// Sends one request and returns the claims of its signed answer, verified.
    pub(crate) fn ask(&self, method: Method, path: &str, body: Body) -> Result<Map<String, Value>, Failure> {
        http::block_on(async {
            let client = http::client(self.ca_file.as_deref())?;
            let answer = self.send(&client, method, self.url(path, true)?, body).await?;
            self.verify(&client, &token_of(&answer)?).await
        })
    }

    /// Gets a JSON document, which the service does not sign.
    pub(crate) fn read(&self, path: &str, parameter: Option<(&str, &str)>) -> Result<Value, Failure> {
        http::block_on(async {
            let client = http::client(self.ca_file.as_deref())?;
            let mut url = self.url(path, true)?;
            if let Some((name, value)) = parameter {
                url.query_pairs_mut().append_pair(name, value);
            }
            let answer = self.send(&client, Method::GET, url, Body::Nothing).await?;
            serde_json::from_slice(&answer)
                .map_err(|error| Failure::failed(format!("the service's answer is not JSON: {error}")))
        })
    }

    /// Sends one request and returns the body of its answer, if that is a success.
    async fn send(&self, client: &Client, method: Method, url: Url, body: Body) -> Result<Vec<u8>, Failure> {
        let mut request = client.request(method, url.clone());
        if let Some(bearer) = self.bearer()? {
            request = request.header(AUTHORIZATION, bearer);
        }
        request = match body {
            Body::Json(json) => request.json(&json),
            Body::Nothing => request,
            Body::Text(text) => request.header(CONTENT_TYPE, "text/plain").body(text),
        };
        let answer = http::send(request, &url).await?;
        if answer.status == StatusCode::OK {
            return Ok(answer.body);
        }
        Err(refusal(answer.status, &answer.body))
    }

    async fn verify(&self, client: &Client, token: &str) -> Result<Map<String, Value>, Failure> {
        let issuer = self.issuer.as_deref().unwrap_or(&self.endpoint);
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::failed(format!("the keys of `{}` cannot be used: {error}", self.endpoint))
        };
        let keys = http::get(client, &self.url("certs", false)?).await?;
        let verifier = Verifier::from_keys(issuer, &keys).map_err(|error| unusable(&error))?;
        let claims = verifier.verify(token, OffsetDateTime::now_utc()).map_err(|error| {
            Failure::failed(format!(
                "the service's answer does not verify, so nothing of it is believed: {error}"
            ))
            .hint("name the issuer with `--issuer` if it is not the endpoint")
        })?;
        Ok(claims.as_json().clone())
    }

    fn url(&self, path: &str, versioned: bool) -> Result<Url, Failure> {
        let mut url = http::join(&self.endpoint, path, None)?;
        if versioned {
            url.query_pairs_mut().append_pair("api-version", &self.api_version);
        }
        Ok(url)
    }

    fn bearer(&self) -> Result<Option<HeaderValue>, Failure> {
        if let Some(path) = &self.bearer_token_file {
            return bearer(path).map(Some);
        }
        let Some(token) = std::env::var(BEARER_TOKEN).ok().filter(|token| !token.trim().is_empty()) else {
            return Ok(None);
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
            Failure::usage(format!("the variable {BEARER_TOKEN} does not hold an access token"))
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
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

/// Holds an access token, for machines that keep secrets in variables.
const BEARER_TOKEN: &str = "VOUCHSAFE_BEARER_TOKEN";
