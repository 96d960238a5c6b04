//! An issuer's keys: of a file, or discovered (OpenID Connect Discovery 1.0) and kept fresh.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode, Url};
use token::Jwks;

use super::issuer::invalid;
use crate::config::ConfigError;
use crate::data_dir::read_bounded;
use crate::single_flight::SingleFlight;

/// Discovered keys are fetched anew after this.
const REFRESH_AFTER: Duration = Duration::from_secs(3600);

/// How long keys are believed while their issuer cannot be reached. Long enough for an outage, short enough
/// that a key withdrawn meanwhile is not believed for ever.
const BELIEVED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Nobody makes this service ask an issuer more often, whatever key ids they name.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// One request to an issuer may take this long.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest discovery document; real ones have some 2 KiB.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// Longest file of certificates or keys.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The issuer's keys are not to be had. The issuer or our operator must act; nobody is let in meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("access tokens of `{issuer}` cannot be verified at the moment: {reason}")]
pub(crate) struct KeysUnavailable {
    issuer: String,
    reason: String,
}

/// Where an issuer's keys come from.
#[derive(Debug)]
pub(super) enum Keys {
    Discovered(Box<Discovered>),
    Fixed(Arc<Jwks>),
}

impl Keys {
    pub(super) fn fixed(keys: Jwks) -> Self {
        Self::Fixed(Arc::new(keys))
    }

    /// Keys of a JSON Web Key Set file, for sites without network.
    pub(super) fn read(file: &Path) -> Result<Self, ConfigError> {
        let wrong = |fix: String| invalid("jwks_file", &file.display().to_string(), &fix);
        let text = read_bounded(file, MAX_FILE_BYTES)
            .map_err(|error| wrong(format!("it cannot be read: {error}")))?;
        let keys = Jwks::parse(&text).map_err(|error| wrong(format!("give a JSON Web Key Set: {error}")))?;
        if keys.keys().is_empty() {
            return Err(wrong("it has no key that can be used; give RSA or P-256 signature keys".to_owned()));
        }
        Ok(Self::fixed(keys))
    }

    /// Keys of the discovery document at `url`, which must be of one of `issuers`.
    pub(super) fn discovered(url: &str, issuers: &[String], ca: Option<&Path>) -> Result<Self, ConfigError> {
        let parsed = Url::parse(url).ok().filter(is_safe).ok_or_else(|| {
            invalid("discovery_url", url, "use an https URL (http only on the loopback interface)")
        })?;
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .no_proxy();
        if let Some(file) = ca {
            let wrong = |fix: String| invalid("ca_file", &file.display().to_string(), &fix);
            let pem = read_bounded(file, MAX_FILE_BYTES)
                .map_err(|error| wrong(format!("it cannot be read: {error}")))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).ok().filter(|all| !all.is_empty());
            let certificates =
                certificates.ok_or_else(|| wrong("give certificates in PEM form".to_owned()))?;
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| invalid("ca_file", url, &error.to_string()))?;
        let source = Source { client, issuers: issuers.to_vec(), url: parsed };
        Ok(Self::Discovered(Box::new(Discovered {
            flights: SingleFlight::default(),
            source: Arc::new(source),
            state: Mutex::default(),
        })))
    }

    /// The keys to verify a token with that names `key_id`.
    pub(super) async fn for_key_id(&self, key_id: Option<&str>) -> Result<Arc<Jwks>, KeysUnavailable> {
        match self {
            Self::Discovered(discovered) => discovered.for_key_id(key_id).await,
            Self::Fixed(keys) => Ok(Arc::clone(keys)),
        }
    }
}

/// Keys that are fetched when they are first needed, when they are old, and when a token names one that is
/// not among them: issuers rotate their keys.
#[derive(Debug)]
pub(super) struct Discovered {
    flights: SingleFlight<(), Result<Arc<Jwks>, String>>,
    source: Arc<Source>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    asked_at: Option<Instant>,
    failure: Option<String>,
    keys: Option<(Arc<Jwks>, Instant)>,
}

#[derive(Debug)]
struct Source {
    client: Client,
    issuers: Vec<String>,
    url: Url,
}

impl Discovered {
    async fn for_key_id(&self, key_id: Option<&str>) -> Result<Arc<Jwks>, KeysUnavailable> {
        let now = Instant::now();
        if let Some(answer) = self.without_asking(key_id, now) {
            return answer;
        }
        let source = Arc::clone(&self.source);
        let fetched = self.flights.run((), || async move { source.fetch().await.map(Arc::new) }).await;
        let fetched = fetched.unwrap_or_else(|_| Err("the request was abandoned".to_owned()));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked_at = Some(now);
        match fetched {
            Ok(keys) => {
                state.failure = None;
                state.keys = Some((Arc::clone(&keys), now));
                Ok(keys)
            }
            Err(reason) => {
                tracing::warn!(
                    issuer = self.source.issuer(),
                    reason,
                    "the keys of an access token issuer were not fetched"
                );
                state.failure = Some(reason.clone());
                match &state.keys {
                    Some((keys, fetched_at)) if now.saturating_duration_since(*fetched_at) < BELIEVED_FOR => {
                        Ok(Arc::clone(keys))
                    }
                    _ => Err(self.unavailable(reason)),
                }
            }
        }
    }

    /// The answer that needs no request: the keys are young and have the one that is named, or the issuer
    /// was asked a moment ago.
    fn without_asking(
        &self,
        key_id: Option<&str>,
        now: Instant,
    ) -> Option<Result<Arc<Jwks>, KeysUnavailable>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let asked_lately =
            state.asked_at.is_some_and(|asked_at| now.saturating_duration_since(asked_at) < ASK_EVERY);
        match &state.keys {
            Some((keys, fetched_at)) => {
                let age = now.saturating_duration_since(*fetched_at);
                let known = key_id.is_none_or(|id| keys.keys().iter().any(|key| key.key_id() == Some(id)));
                let enough = (age < REFRESH_AFTER && known) || (asked_lately && age < BELIEVED_FOR);
                enough.then(|| Ok(Arc::clone(keys)))
            }
            None => {
                let reason = state.failure.clone().filter(|_| asked_lately)?;
                Some(Err(self.unavailable(reason)))
            }
        }
    }

    fn unavailable(&self, reason: String) -> KeysUnavailable {
        KeysUnavailable { issuer: self.source.issuer().to_owned(), reason }
    }
}

impl Source {
    fn issuer(&self) -> &str {
        self.issuers.first().map_or("", String::as_str)
    }

    async fn fetch(&self) -> Result<Jwks, String> {
        let document = self.get(&self.url, MAX_DOCUMENT_BYTES).await?;
        let document = token::json::parse_object(&document)
            .map_err(|error| format!("its discovery document is not acceptable: {error}"))?;
        let text = |name: &str| document.get(name).and_then(serde_json::Value::as_str);
        if !text("issuer").is_some_and(|issuer| self.issuers.iter().any(|known| known == issuer)) {
            return Err("its discovery document is of another issuer".to_owned());
        }
        let keys_url = text("jwks_uri").and_then(|uri| Url::parse(uri).ok()).filter(is_safe);
        let keys_url = keys_url.ok_or("its discovery document names no https `jwks_uri`")?;
        let keys = Jwks::parse(&self.get(&keys_url, token::jwk::MAX_JWKS_BYTES).await?)
            .map_err(|error| format!("its keys are not acceptable: {error}"))?;
        if keys.keys().is_empty() {
            return Err("it publishes no key that can be used".to_owned());
        }
        Ok(keys)
    }

    async fn get(&self, url: &Url, max_bytes: usize) -> Result<Vec<u8>, String> {
        let unreachable =
            |error: reqwest::Error| format!("`{url}` cannot be reached: {}", error.without_url());
        let request = self.client.get(url.clone()).header("accept", "application/json");
        let mut response = request.send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(format!("`{url}` answered with status {}", response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len().saturating_add(chunk.len()) > max_bytes {
                return Err(format!("`{url}` answered with more than {max_bytes} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Keys come over TLS, or from this machine.
fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")),
        _ => false,
    }
}
