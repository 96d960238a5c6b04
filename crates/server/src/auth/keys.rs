//! An issuer's keys: of a file, or discovered (OpenID Connect Discovery 1.0), and kept fresh.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode, Url};
use token::Jwks;

use super::issuer::invalid;
use crate::config::ConfigError;
use crate::data_dir::read_bounded;
use crate::single_flight::SingleFlight;

/// Keys that are older are fetched anew, in the background.
const REFRESH_AFTER: Duration = Duration::from_secs(3600);

/// How long keys are believed while their issuer cannot be reached. Long enough for an outage, short enough
/// that a key withdrawn meanwhile is not believed for ever.
const BELIEVED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Nobody makes this service ask an issuer more often, whatever key ids they name.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// The pause doubles with every failure up to this, so that an issuer in trouble is left in peace and one
/// that is back is soon noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(80);

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
    Fixed(Arc<Jwks>),
    Kept(Arc<Kept>),
}

impl Keys {
    pub(super) fn fixed(keys: Jwks) -> Self {
        Self::Fixed(Arc::new(keys))
    }

    /// Keys of a JSON Web Key Set file, for sites without network. The file can be replaced at any time.
    pub(super) fn read(file: &Path, issuers: &[String]) -> Result<Self, ConfigError> {
        let keys = read_keys(file).map_err(|reason| {
            invalid("jwks_file", &file.display().to_string(), &format!("give a JSON Web Key Set: {reason}"))
        })?;
        let kept = Kept::new(Source::File { path: file.to_owned() }, issuers);
        kept.state.lock().unwrap_or_else(PoisonError::into_inner).keys =
            Some((Arc::new(keys), Instant::now()));
        Ok(Self::Kept(Arc::new(kept)))
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
        let source = Source::Discovery { client, issuers: issuers.to_vec(), url: parsed };
        Ok(Self::Kept(Arc::new(Kept::new(source, issuers))))
    }

    /// The keys to verify a token with that names `key_id`.
    ///
    /// # Errors
    /// [`KeysUnavailable`].
    pub(super) async fn for_key_id(
        &self,
        key_id: Option<&str>,
        now: Instant,
    ) -> Result<Arc<Jwks>, KeysUnavailable> {
        match self {
            Self::Fixed(keys) => Ok(Arc::clone(keys)),
            Self::Kept(kept) => kept.for_key_id(key_id, now).await,
        }
    }
}

/// Keys that are fetched when they are first needed, when they are old, and when a token names one that is
/// not among them: issuers rotate their keys. One request at a time is under way, whoever waits for it.
#[derive(Debug)]
pub(super) struct Kept {
    flights: SingleFlight<(), Result<Arc<Jwks>, String>>,
    issuer: String,
    source: Arc<Source>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    asked_at: Option<Instant>,
    failure: Option<String>,
    failures: u32,
    keys: Option<(Arc<Jwks>, Instant)>,
}

#[derive(Debug)]
enum Source {
    Discovery { client: Client, issuers: Vec<String>, url: Url },
    File { path: PathBuf },
}

/// What a request for keys leads to.
enum Decision {
    Believe(Arc<Jwks>),
    /// These will do, and newer ones are due.
    BelieveAndRefresh(Arc<Jwks>),
    Fetch,
    Refuse(String),
}

impl Kept {
    fn new(source: Source, issuers: &[String]) -> Self {
        Self {
            flights: SingleFlight::default(),
            issuer: issuers.first().cloned().unwrap_or_default(),
            source: Arc::new(source),
            state: Arc::default(),
        }
    }

    async fn for_key_id(
        self: &Arc<Self>,
        key_id: Option<&str>,
        now: Instant,
    ) -> Result<Arc<Jwks>, KeysUnavailable> {
        let decision = self.state().decide(self.source.refresh_after(), key_id, now);
        match decision {
            Decision::Believe(keys) => return Ok(keys),
            Decision::BelieveAndRefresh(keys) => {
                let kept = Arc::clone(self);
                tokio::spawn(async move { kept.fetch(now).await });
                return Ok(keys);
            }
            Decision::Refuse(reason) => return Err(self.unavailable(reason)),
            Decision::Fetch => {}
        }
        let reason = match self.fetch(now).await {
            Ok(keys) => return Ok(keys),
            Err(reason) => reason,
        };
        match &self.state().keys {
            Some((keys, fetched_at)) if age(now, *fetched_at) < BELIEVED_FOR => Ok(Arc::clone(keys)),
            _ => Err(self.unavailable(reason)),
        }
    }

    async fn fetch(&self, now: Instant) -> Result<Arc<Jwks>, String> {
        let (issuer, source, state) =
            (self.issuer.clone(), Arc::clone(&self.source), Arc::clone(&self.state));
        let flight = || async move {
            let fetched = source.fetch().await.map(Arc::new);
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.asked_at = Some(now);
            match &fetched {
                Ok(keys) => {
                    state.failure = None;
                    state.failures = 0;
                    state.keys = Some((Arc::clone(keys), now));
                }
                Err(reason) => {
                    tracing::warn!(issuer, reason, "the keys of an access token issuer were not fetched");
                    state.failure = Some(reason.clone());
                    state.failures = state.failures.saturating_add(1);
                }
            }
            fetched
        };
        let flown = self.flights.run((), flight).await;
        flown.unwrap_or_else(|_| Err("the request was abandoned".to_owned()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable(&self, reason: String) -> KeysUnavailable {
        KeysUnavailable { issuer: self.issuer.clone(), reason }
    }
}

impl State {
    fn decide(&mut self, refresh_after: Duration, key_id: Option<&str>, now: Instant) -> Decision {
        let may_ask = self.asked_at.is_none_or(|asked_at| age(now, asked_at) >= self.pause());
        let believable = self.keys.as_ref().filter(|(_, fetched_at)| age(now, *fetched_at) < BELIEVED_FOR);
        let Some((keys, fetched_at)) = believable else {
            return match &self.failure {
                Some(reason) if !may_ask => Decision::Refuse(reason.clone()),
                _ => Decision::Fetch,
            };
        };
        let known = key_id.is_none_or(|id| keys.keys().iter().any(|key| key.key_id() == Some(id)));
        let keys = Arc::clone(keys);
        if !may_ask {
            return Decision::Believe(keys);
        }
        if !known {
            return Decision::Fetch;
        }
        if age(now, *fetched_at) < refresh_after {
            return Decision::Believe(keys);
        }
        // From here on others see that somebody asks.
        self.asked_at = Some(now);
        Decision::BelieveAndRefresh(keys)
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        ASK_EVERY.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
    }
}

impl Source {
    fn refresh_after(&self) -> Duration {
        match self {
            Self::Discovery { .. } => REFRESH_AFTER,
            // A look at a file costs nothing.
            Self::File { .. } => ASK_EVERY,
        }
    }

    async fn fetch(&self) -> Result<Jwks, String> {
        match self {
            Self::Discovery { client, issuers, url } => discover(client, issuers, url).await,
            Self::File { path } => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_keys(&path)).await;
                read.unwrap_or_else(|error| Err(error.to_string()))
            }
        }
    }
}

async fn discover(client: &Client, issuers: &[String], url: &Url) -> Result<Jwks, String> {
    let document = get(client, url, MAX_DOCUMENT_BYTES).await?;
    let document = token::json::parse_object(&document)
        .map_err(|error| format!("its discovery document is not acceptable: {error}"))?;
    let text = |name: &str| document.get(name).and_then(serde_json::Value::as_str);
    if !text("issuer").is_some_and(|issuer| issuers.iter().any(|known| known == issuer)) {
        return Err("its discovery document is of another issuer".to_owned());
    }
    let keys_url = text("jwks_uri").and_then(|uri| Url::parse(uri).ok()).filter(is_safe);
    let keys_url = keys_url.ok_or("its discovery document names no https `jwks_uri`")?;
    parse_keys(&get(client, &keys_url, token::jwk::MAX_JWKS_BYTES).await?)
}

async fn get(client: &Client, url: &Url, max_bytes: usize) -> Result<Vec<u8>, String> {
    let unreachable =
        |error: reqwest::Error| format!("`{url}` cannot be reached: {}", causes(&error.without_url()));
    let request = client.get(url.clone()).header("accept", "application/json");
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

/// An error with what caused it: that of a client says no more than that a request failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error;
    while let Some(inner) = cause.source() {
        text = format!("{text}: {inner}");
        cause = inner;
    }
    text
}

fn read_keys(path: &Path) -> Result<Jwks, String> {
    parse_keys(&read_bounded(path, MAX_FILE_BYTES).map_err(|error| format!("it cannot be read: {error}"))?)
}

fn parse_keys(text: &[u8]) -> Result<Jwks, String> {
    let keys = Jwks::parse(text).map_err(|error| format!("its keys are not acceptable: {error}"))?;
    match keys.keys() {
        [] => Err("it has no RSA or P-256 signature key that can be used".to_owned()),
        _ => Ok(keys),
    }
}

fn age(now: Instant, then: Instant) -> Duration {
    now.saturating_duration_since(then)
}

/// Keys come over TLS, or from this machine.
fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
