//! A service, its client, and a stand-in for Intel's provisioning certification service.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use server::{Config, Server};
use testkit::intel::{Ca, Forge, Minted};
use testkit::pcs::Answers;
use time::OffsetDateTime;
use tokio::net::TcpListener;

pub(crate) const VERSION: &str = "api-version=2020-10-01";

/// A directory of this test's own, empty.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("server-http").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

pub(crate) fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A sound platform whose enclave has bound `runtime_data`.
pub(crate) fn forge(runtime_data: &[u8]) -> Forge {
    let mut forge = Forge::new(Ca::Platform, OffsetDateTime::now_utc());
    forge.quote.body.report_data[..32].copy_from_slice(&crypto::sha256(runtime_data));
    forge
}

/// A configuration that trusts the root of `minted`, keeps its data in a scratch directory of this name, and
/// has no source of endorsements.
pub(crate) fn config(name: &str, minted: &Minted) -> Config {
    let directory = scratch(name);
    let root = directory.join("root.pem");
    std::fs::write(&root, &minted.root).unwrap();
    let mut config = Config {
        data_dir: directory.join("data"),
        listen: "127.0.0.1:0".parse().unwrap(),
        ..Config::default()
    };
    config.trust_anchors.pck_root_files = vec![root.clone()];
    config.trust_anchors.tcb_signing_root_files = vec![root];
    config.endorsements.pcs_urls.clear();
    config
}

/// As [`config`], with the endorsements of `minted` in a file.
pub(crate) fn offline_config(name: &str, minted: &Minted) -> Config {
    let mut config = config(name, minted);
    config.endorsements.offline = vec![write_endorsements(&config, minted)];
    config
}

pub(crate) fn write_endorsements(config: &Config, minted: &Minted) -> PathBuf {
    let path = config.data_dir.with_file_name("endorsements.json");
    std::fs::write(&path, testkit::formats::dcap_qvl(minted)).unwrap();
    path
}

/// A running service and a client that trusts its authority.
pub(crate) struct Service {
    pub(crate) client: reqwest::Client,
    pub(crate) server: Server,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: String,
    pub(crate) headers: HeaderMap,
    pub(crate) status: u16,
}

impl Service {
    pub(crate) async fn start(config: Config) -> Self {
        let server = Server::start(config).await.unwrap();
        let client = client(server.ca_pem());
        Self { client, server }
    }

    /// A service that has the endorsements of `minted` at hand.
    pub(crate) async fn offline(name: &str, minted: &Minted) -> Self {
        Self::start(offline_config(name, minted)).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.uri())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.client.get(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        send(self.client.post(self.url(path)).header("content-type", "application/json").body(body)).await
    }

    pub(crate) async fn attest(&self, body: &Value) -> Answer {
        self.post(&format!("/attest/SgxEnclave?{VERSION}"), body.to_string()).await
    }

    pub(crate) async fn attest_quote(&self, minted: &Minted) -> Answer {
        self.attest(&json!({ "quote": b64(&minted.quote) })).await
    }
}

pub(crate) fn client(ca_pem: &Path) -> reqwest::Client {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(ca_pem).unwrap()).unwrap();
    reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap()
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { body: response.text().await.unwrap(), headers, status }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The claims of the token in a good answer.
    pub(crate) fn claims(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        claims(self.json()["token"].as_str().unwrap())
    }

    /// The message of an answer with this status and code, its envelope as it must be.
    #[track_caller]
    pub(crate) fn refusal(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/json; charset=utf-8");
        assert_eq!(self.headers["x-ms-error-code"], code);
        assert_eq!(self.headers["x-ms-request-id"].len(), 55);
        let error = &self.json()["error"];
        assert_eq!(error["code"], code);
        assert_eq!(error["innererror"]["message"], error["message"]);
        error["message"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// How the stand-in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    /// With half of the content, and that of a whole number of bytes where it is hexadecimal.
    HalfBody,
    /// Never.
    Hangs,
    /// With an error, and perhaps when to ask again.
    Status(u16, Option<u32>),
    /// With a page of something else.
    Web,
}

/// A provisioning certification service that counts.
pub(crate) struct Pcs {
    pub(crate) url: String,
    state: Arc<Mutex<PcsState>>,
}

struct PcsState {
    answers: Answers,
    by_number: HashMap<u32, Answers>,
    counts: HashMap<String, usize>,
    delay: Duration,
    mood: Mood,
}

impl Pcs {
    pub(crate) async fn start(minted: &Minted) -> Self {
        let state = PcsState {
            answers: Answers::new(minted),
            by_number: HashMap::new(),
            counts: HashMap::new(),
            delay: Duration::ZERO,
            mood: Mood::Good,
        };
        let state = Arc::new(Mutex::new(state));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { url, state }
    }

    pub(crate) fn give(&self, minted: &Minted) {
        self.state.lock().unwrap().answers = Answers::new(minted);
    }

    /// Has these documents under an evaluation data number of their own.
    pub(crate) fn give_by_number(&self, number: u32, minted: &Minted) {
        self.state.lock().unwrap().by_number.insert(number, Answers::new(minted));
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// Requests so far, by item.
    pub(crate) fn counts(&self) -> HashMap<String, usize> {
        self.state.lock().unwrap().counts.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.counts().values().sum()
    }

    pub(crate) fn config(&self, name: &str, minted: &Minted) -> Config {
        let mut config = config(name, minted);
        config.endorsements.pcs_urls = vec![self.url.clone()];
        config.endorsements.fetch_timeout_secs = 1;
        config
    }
}

async fn answer(State(state): State<Arc<Mutex<PcsState>>>, uri: Uri) -> Response {
    let (answer, mood, delay) = {
        let mut state = state.lock().unwrap();
        let number = uri.query().and_then(|query| query.split("tcbEvaluationDataNumber=").nth(1));
        let answers = match number {
            None => Some(&state.answers),
            Some(number) => state.by_number.get(&number.parse().unwrap()),
        };
        let answer = answers.and_then(|answers| answers.get(uri.path(), uri.query()).cloned());
        let item = answer.as_ref().map_or("unknown", |answer| answer.item).to_owned();
        *state.counts.entry(item).or_default() += 1;
        (answer, state.mood, state.delay)
    };
    tokio::time::sleep(delay).await;
    match (mood, answer) {
        (Mood::Hangs, _) => std::future::pending().await,
        (Mood::Status(status, retry_after), _) => {
            let status = StatusCode::from_u16(status).unwrap();
            let mut response = status.into_response();
            if let Some(secs) = retry_after {
                response.headers_mut().insert("retry-after", secs.into());
            }
            response
        }
        (Mood::Web, _) => "<html>please log in</html>".into_response(),
        (_, None) => StatusCode::NOT_FOUND.into_response(),
        (mood, Some(answer)) => {
            let length = answer.body.len();
            let body =
                if mood == Mood::HalfBody { answer.body[..length / 4 * 2].to_vec() } else { answer.body };
            let mut builder = Response::builder().header("content-type", answer.content_type);
            if let Some((name, value)) = answer.issuer_chain {
                builder = builder.header(name, value);
            }
            builder.body(body.into()).unwrap()
        }
    }
}

/// The key of an issuer of access tokens.
pub(crate) fn key() -> crypto::SigningKey {
    crypto::SigningKey::generate(crypto::SigningAlgorithm::Es256).unwrap()
}

/// Its set of keys, as a file.
pub(crate) fn jwks(key: &crypto::SigningKey) -> String {
    let spki = key.public_key_der().unwrap();
    let (x, y) = spki[spki.len() - 64..].split_at(32);
    json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "k1", "x": b64(x), "y": b64(y) }] }).to_string()
}

/// An access token.
pub(crate) fn jwt(key: &crypto::SigningKey, claims: &Value) -> String {
    let header = b64(r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#.as_bytes());
    let input = format!("{header}.{}", b64(claims.to_string().as_bytes()));
    format!("{input}.{}", b64(&key.sign(input.as_bytes()).unwrap()))
}
