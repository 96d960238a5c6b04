//! HTTPS to a service that the caller named. Answers are bounded, redirects are not followed, and what is trusted
//! is either the system's certificates or the caller's file, never both.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, RequestBuilder, StatusCode, Url};

use crate::failure::{Failure, chain};
use crate::input;

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

/// A client that trusts `ca_file` alone, or the system's certificates without one.
pub(crate) fn client(ca_file: Option<&Path>) -> Result<Client, Failure> {
    let mut builder = Client::builder()
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .user_agent(concat!("vouchsafe/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca_file {
        let certificates =
            Certificate::from_pem_bundle(&input::read_file(path)?).ok().filter(|all| !all.is_empty());
        let certificates = certificates.ok_or_else(|| {
            Failure::usage(format!("`{}` holds no certificate in PEM form", path.display()))
        })?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| {
        let failure = Failure::failed(format!("HTTPS is not available: {}", chain(&error)));
        failure.hint("name the certificates to trust with `--ca-file`")
    })
}

/// `base` with `path` appended to whatever path it has; the query is replaced.
pub(crate) fn join(base: &str, path: &str, query: Option<&str>) -> Result<Url, Failure> {
    let text = format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'));
    let mut url =
        Url::parse(&text).map_err(|error| Failure::usage(format!("`{base}` is not a URI: {error}")))?;
    if url.scheme() != "https" {
        return Err(Failure::usage(format!("`{base}` is not an https URI")));
    }
    url.set_query(query);
    Ok(url)
}

/// Sends a request and reads its whole answer.
pub(crate) async fn send(request: RequestBuilder, url: &Url) -> Result<Answer, Failure> {
    let mut response = request.send().await.map_err(|error| unreachable_service(url, &error))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_service(url, &error))? {
        if body.len().saturating_add(chunk.len()) > MAX_ANSWER_BYTES {
            return Err(Failure::failed(format!(
                "the answer of `{url}` is larger than {MAX_ANSWER_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

/// Gets a document that must be there.
pub(crate) async fn get(client: &Client, url: &Url) -> Result<Vec<u8>, Failure> {
    let answer = send(client.get(url.clone()).header("accept", "application/json"), url).await?;
    if answer.status != StatusCode::OK {
        return Err(Failure::failed(format!("`{url}` answered with status {}", answer.status.as_u16())));
    }
    Ok(answer.body)
}

/// Runs one asynchronous command.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|error| Failure::failed(format!("the asynchronous runtime did not start: {error}")))?
        .block_on(future)
}

fn unreachable_service(url: &Url, error: &reqwest::Error) -> Failure {
    // The URL is said once, by us.
    let text = chain(error).replace(&format!(" for url ({url})"), "");
    let failure = Failure::failed(format!("`{url}` cannot be reached: {text}"));
    if text.to_ascii_lowercase().contains("certificate") {
        failure.hint("a local service's own certificate authority is `ca.pem` in its data directory; pass it with `--ca-file`")
    } else {
        failure
    }
}

/// Key sets with certificate chains are the largest answers; those of Azure Attestation stay below 100 KiB.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A cold attestation fetches endorsements from the hardware's maker first.
const TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_prefix_of_the_endpoint_stays() {
        let url = join("https://localhost:8443/team1/", "/attest/SgxEnclave", Some("api-version=2020-10-01"));
        assert_eq!(
            url.unwrap().as_str(),
            "https://localhost:8443/team1/attest/SgxEnclave?api-version=2020-10-01"
        );
        assert!(join("http://localhost", "certs", None).is_err());
        assert!(join("localhost", "certs", None).is_err());
    }
}
