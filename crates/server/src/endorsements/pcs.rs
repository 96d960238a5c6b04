//! A client of Intel's provisioning certification service (PCS API v4) and of the caching services that
//! speak the same (PCCS). What it returns is unverified.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};

use super::item::Item;
use crate::config::{ConfigError, EndorsementsConfig, seconds};
use crate::data_dir::read_bounded;
use crate::single_flight::SingleFlight;

/// Longest answer. The longest real one, the CRL of the processor authority, has some 100 KiB.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// Longest certificate file of a caching service.
const MAX_CA_FILE_BYTES: u64 = 1024 * 1024;

/// An answer serves everybody who asks within this time, because the items of two platforms overlap; or
/// within a quarter of the refresh interval, if that is shorter.
const LONGEST_REUSE: Duration = Duration::from_secs(30);

/// After a failure nobody asks again before this time, or what `Retry-After` says.
const FAILURE_BACK_OFF: Duration = Duration::from_secs(5);

/// Longest `Retry-After` that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A connection that was reset or an error 5xx is tried once more after this.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Host of Intel's own service, whose root list is at the distribution point instead.
const INTEL_HOST: &str = "api.trustedservices.intel.com";
const INTEL_ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

/// Why an item could not be fetched. The vendor's service or the operator must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The answer is not what the API defines.
    #[error("`{url}` answered something else than a {item}: {reason}")]
    Answer {
        /// What was asked for.
        item: String,
        /// Where.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The service does not know the item.
    #[error("`{url}` has no {item} (status 404)")]
    NotFound {
        /// What was asked for.
        item: String,
        /// Where.
        url: String,
    },
    /// The service answered with an error.
    #[error("`{url}` answered status {status} for {item}")]
    Status {
        /// What was asked for.
        item: String,
        /// When to ask again, if it said so.
        retry_after: Option<Duration>,
        /// The HTTP status.
        status: u16,
        /// Where.
        url: String,
    },
    /// There was no answer.
    #[error("`{url}` could not be reached for {item}: {reason}")]
    Unreachable {
        /// What was asked for.
        item: String,
        /// Where.
        url: String,
        /// What went wrong.
        reason: String,
    },
}

/// An item as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) body: Vec<u8>,
    pub(crate) issuer_chain: Vec<u8>,
    pub(crate) source: String,
}

pub(crate) type Answer = Result<Arc<Fetched>, FetchError>;

/// The client. Concurrent requests for one item are one request.
#[derive(Debug, Clone)]
pub(crate) struct Pcs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    flights: SingleFlight<Item, Answer>,
    recent: Mutex<HashMap<Item, (Instant, Answer)>>,
    reuse: Duration,
    root_ca_crl_urls: Vec<String>,
    services: Vec<String>,
}

impl Pcs {
    /// A client as configured; none if no service is.
    pub(crate) fn new(config: &EndorsementsConfig) -> Result<Option<Self>, ConfigError> {
        const SUFFIX: &str = "/sgx/certification/v4";
        let services: Vec<String> = config
            .pcs_urls
            .iter()
            .map(|url| url.trim_end_matches('/'))
            .map(|url| url.strip_suffix(SUFFIX).unwrap_or(url).to_owned())
            .collect();
        if services.is_empty() {
            return Ok(None);
        }
        let root_ca_crl_urls = match &config.root_ca_crl_url {
            Some(url) => vec![url.clone()],
            None => services.iter().map(|service| root_ca_crl_url(service)).collect(),
        };
        let mut builder = Client::builder()
            .timeout(seconds(config.fetch_timeout_secs))
            .connect_timeout(seconds(config.fetch_timeout_secs).min(Duration::from_secs(5)))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("vouchsafe/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &config.pcs_ca_file {
            let invalid = |fix: String| {
                ConfigError::invalid("endorsements.pcs_ca_file", path.display().to_string(), fix)
            };
            let pem = read_bounded(path, MAX_CA_FILE_BYTES)
                .map_err(|error| invalid(format!("it cannot be read: {error}")))?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| invalid(format!("give a PEM certificate: {error}")))?;
            for root in roots {
                builder = builder.add_root_certificate(root);
            }
        }
        let client = builder.build().map_err(|error| {
            ConfigError::invalid(
                "endorsements.pcs_urls",
                error,
                "the HTTP client cannot be made; see the reason",
            )
        })?;
        let inner = Inner {
            client,
            flights: SingleFlight::default(),
            recent: Mutex::default(),
            reuse: LONGEST_REUSE.min(seconds(config.refresh_interval_secs) / 4),
            root_ca_crl_urls,
            services,
        };
        Ok(Some(Self { inner: Arc::new(inner) }))
    }

    /// The item, from the first service that has it.
    pub(crate) async fn fetch(&self, item: Item) -> Answer {
        if let Some(answer) = self.inner.recent(item) {
            return answer;
        }
        let inner = Arc::clone(&self.inner);
        let flight = self.inner.flights.run(item, || async move {
            // It may have landed between the look above and now.
            if let Some(answer) = inner.recent(item) {
                return answer;
            }
            let answer = inner.fetch_from_any(item).await.map(Arc::new);
            let mut recent = inner.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.retain(|_, (at, answer)| inner.is_recent(*at, answer));
            recent.insert(item, (Instant::now(), answer.clone()));
            answer
        });
        flight.await.unwrap_or_else(|_| {
            let reason = "the request was given up".to_owned();
            Err(FetchError::Unreachable { item: item.to_string(), url: String::new(), reason })
        })
    }
}

impl Inner {
    fn recent(&self, item: Item) -> Option<Answer> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, answer) = recent.get(&item)?;
        self.is_recent(*at, answer).then(|| answer.clone())
    }

    fn is_recent(&self, at: Instant, answer: &Answer) -> bool {
        let reuse = answer.as_ref().map_or_else(FetchError::retry_after, |_| self.reuse);
        at.elapsed() < reuse
    }

    async fn fetch_from_any(&self, item: Item) -> Result<Fetched, FetchError> {
        let urls: Vec<String> = match item.path() {
            Some(path) => self.services.iter().map(|service| format!("{service}{path}")).collect(),
            None => self.root_ca_crl_urls.clone(),
        };
        let mut told: Option<FetchError> = None;
        for url in urls {
            let mut answer = self.fetch_from(item, &url).await;
            if answer.as_ref().is_err_and(FetchError::is_passing) {
                tokio::time::sleep(RETRY_PAUSE).await;
                answer = self.fetch_from(item, &url).await;
            }
            match answer {
                Ok(fetched) => return Ok(fetched),
                Err(error) => {
                    tracing::warn!(%item, %url, %error, "endorsements could not be fetched");
                    // One that is down may have what the others have not: the caller should ask again.
                    if told.as_ref().is_none_or(|told| matches!(told, FetchError::NotFound { .. })) {
                        told = Some(error);
                    }
                }
            }
        }
        Err(told.unwrap_or(FetchError::NotFound { item: item.to_string(), url: String::new() }))
    }

    async fn fetch_from(&self, item: Item, url: &str) -> Result<Fetched, FetchError> {
        let unreachable = |error: reqwest::Error| FetchError::Unreachable {
            item: item.to_string(),
            url: url.to_owned(),
            reason: reason(&error),
        };
        let wrong = |reason| FetchError::Answer { item: item.to_string(), url: url.to_owned(), reason };
        let mut response = self.client.get(url).send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                return Err(FetchError::NotFound { item: item.to_string(), url: url.to_owned() });
            }
            status => {
                return Err(FetchError::Status {
                    item: item.to_string(),
                    retry_after: retry_after(response.headers()),
                    status: status.as_u16(),
                    url: url.to_owned(),
                });
            }
        }
        let issuer_chain = issuer_chain(item, response.headers()).map_err(wrong)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len().saturating_add(chunk.len()) > MAX_BODY_BYTES {
                return Err(wrong("it is longer than 8 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        if body.is_empty() {
            return Err(wrong("it is empty"));
        }
        if item.is_crl() {
            body = crl_der(body).ok_or_else(|| wrong("it is no CRL in DER, PEM or hexadecimal"))?;
        }
        tracing::info!(%item, %url, size_bytes = body.len(), "endorsements fetched");
        Ok(Fetched { body, issuer_chain, source: url.to_owned() })
    }
}

impl FetchError {
    /// Whether another attempt at once may well succeed.
    fn is_passing(&self) -> bool {
        match self {
            Self::Status { status, retry_after, .. } => *status >= 500 && retry_after.is_none(),
            Self::Unreachable { .. } => true,
            Self::Answer { .. } | Self::NotFound { .. } => false,
        }
    }

    /// Where the item was looked for.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::Answer { url, .. }
            | Self::NotFound { url, .. }
            | Self::Status { url, .. }
            | Self::Unreachable { url, .. } => url,
        }
    }

    /// When the caller may ask again.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Status { retry_after: Some(wait), .. } => *wait,
            _ => FAILURE_BACK_OFF,
        }
    }
}

fn root_ca_crl_url(service: &str) -> String {
    let is_intel = Url::parse(service).is_ok_and(|url| url.host_str() == Some(INTEL_HOST));
    if is_intel { INTEL_ROOT_CRL.to_owned() } else { format!("{service}/sgx/certification/v4/rootcacrl") }
}

/// The innermost cause, which names the problem ("connection refused") where the outer ones name the act.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let secs = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(secs).min(MAX_RETRY_AFTER))
}

fn issuer_chain(item: Item, headers: &HeaderMap) -> Result<Vec<u8>, &'static str> {
    let names = item.issuer_chain_headers();
    let Some(value) = names.iter().find_map(|name| headers.get(*name)) else {
        // The chain of a PCK CRL is also in the quote.
        return if item.is_crl() { Ok(Vec::new()) } else { Err("its issuer-chain header is missing") };
    };
    percent_decoded(value.as_bytes()).ok_or("its issuer-chain header is not percent-encoded text")
}

fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let mut decoded = [0];
            hex::decode_to_slice(digits, &mut decoded).ok()?;
            out.extend(decoded);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

/// A CRL in DER, of one in DER, PEM or (as caching services answer) hexadecimal text.
pub(crate) fn crl_der(body: Vec<u8>) -> Option<Vec<u8>> {
    const SEQUENCE: u8 = 0x30;
    if body.starts_with(b"-----BEGIN") {
        return x509_cert::der::pem::decode_vec(&body).ok().map(|(_, der)| der);
    }
    let text = body.trim_ascii();
    let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    match hex::decode(text) {
        Ok(der) => der.starts_with(&[SEQUENCE]).then_some(der),
        Err(_) => body.starts_with(&[SEQUENCE]).then_some(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crls_of_every_spelling() {
        let der = vec![0x30, 0x03, 0x02, 0x01, 0x01];
        let pem = b"-----BEGIN X509 CRL-----\nMAMCAQE=\n-----END X509 CRL-----\n".to_vec();
        for spelling in [der.clone(), b"3003020101".to_vec(), b"\"3003020101\"\n".to_vec(), pem] {
            assert_eq!(crl_der(spelling).as_ref(), Some(&der));
        }
        for other in [&b"<html>"[..], b"aabb", b"", b"-----BEGIN X"] {
            assert_eq!(crl_der(other.to_vec()), None, "{other:?}");
        }
    }

    #[test]
    fn issuer_chains_are_percent_encoded() {
        assert_eq!(percent_decoded(b"-----BEGIN%20A%0a+").unwrap(), b"-----BEGIN A\n+");
        for broken in [&b"%"[..], b"%2", b"%zz"] {
            assert_eq!(percent_decoded(broken), None);
        }
    }

    #[test]
    fn the_roots_list_is_where_the_service_has_it() {
        assert_eq!(root_ca_crl_url("https://api.trustedservices.intel.com"), INTEL_ROOT_CRL);
        assert_eq!(root_ca_crl_url("https://pccs:8081"), "https://pccs:8081/sgx/certification/v4/rootcacrl");
    }
}
