//! A service that the caller named, how to reach it and as whom: what every command that talks to one shares.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;

use crate::commands::attest::refusal;
use crate::failure::Failure;
use crate::{http, input};

/// The service and how to reach it
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Connection {
    /// Service to talk to, with its path prefix if it has one
    #[arg(long, value_name = "URI", env = "VOUCHSAFE_ENDPOINT")]
    pub(crate) endpoint: String,

    /// Certificate authorities to trust for the connection instead of the system's
    #[arg(long, value_name = "PEM", env = "VOUCHSAFE_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// File with an access token [default: the variable VOUCHSAFE_BEARER_TOKEN, which holds the token itself]
    #[arg(long, value_name = "FILE")]
    bearer_token_file: Option<PathBuf>,

    /// Version of the interface to ask for
    #[arg(long, value_name = "VERSION", default_value = "2020-10-01")]
    api_version: String,
}

/// The body of a request.
pub(crate) enum Body {
    Json(Value),
    Nothing,
    Text(String),
}

impl Connection {
    /// A client that trusts what was named.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        http::client(self.ca_file.as_deref())
    }

    /// Sends one request and returns the JSON document of its answer, if that is a success.
    pub(crate) fn json(&self, method: Method, path: &str, body: Body) -> Result<Value, Failure> {
        self.json_at(method, self.url(path, true)?, body)
    }

    /// The same for a URL of the service.
    pub(crate) fn json_at(&self, method: Method, url: Url, body: Body) -> Result<Value, Failure> {
        let answer = http::block_on(async { self.send(&self.client()?, method, url, body).await })?;
        serde_json::from_slice(&answer)
            .map_err(|error| Failure::failed(format!("the service's answer is not JSON: {error}")))
    }

    /// Sends one request and returns the body of its answer, if that is a success.
    pub(crate) async fn send(
        &self,
        client: &Client,
        method: Method,
        url: Url,
        body: Body,
    ) -> Result<Vec<u8>, Failure> {
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

    /// `path` of the service, with the version of the interface or without.
    pub(crate) fn url(&self, path: &str, versioned: bool) -> Result<Url, Failure> {
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

/// The header with the access token in a file.
pub(crate) fn bearer(path: &Path) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", input::read_text(path)?.trim()))
        .map_err(|_| Failure::usage(format!("`{}` does not hold an access token", path.display())))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Holds an access token, for machines that keep secrets in variables.
const BEARER_TOKEN: &str = "VOUCHSAFE_BEARER_TOKEN";
