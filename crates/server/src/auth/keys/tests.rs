//! Keys over time: first use, age, rotation, outage. Time is an argument, the issuer a server of the test.

use std::collections::HashMap;

use axum::Router;
use axum::extract::State as RouterState;
use axum::http::{StatusCode as Status, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use token::base64url;

use super::*;
use crate::test_support::scratch;

/// An issuer whose answers a test changes.
struct Issuer {
    answers: Arc<Mutex<Answers>>,
    url: String,
}

#[derive(Default)]
struct Answers {
    asked: usize,
    by_path: HashMap<&'static str, (u16, Vec<u8>)>,
    slow: bool,
}

const DOCUMENT: &str = "/.well-known/openid-configuration";

impl Issuer {
    async fn start(key_ids: &[&str]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(Answers::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&answers));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let issuer = Self { answers, url };
        let document = json!({ "issuer": issuer.url, "jwks_uri": format!("{}/jwks", issuer.url) });
        issuer.say(DOCUMENT, 200, document.to_string().as_bytes());
        issuer.publish(key_ids);
        issuer
    }

    fn say(&self, path: &'static str, status: u16, body: &[u8]) {
        self.answers.lock().unwrap().by_path.insert(path, (status, body.to_vec()));
    }

    fn publish(&self, key_ids: &[&str]) {
        self.say("/jwks", 200, key_set(key_ids).as_bytes());
    }

    /// Requests since the last call.
    fn asked(&self) -> usize {
        std::mem::take(&mut self.answers.lock().unwrap().asked)
    }

    fn keys(&self) -> Keys {
        let url = format!("{}{DOCUMENT}", self.url);
        Keys::discovered(&url, std::slice::from_ref(&self.url), None).unwrap()
    }
}

async fn answer(RouterState(answers): RouterState<Arc<Mutex<Answers>>>, uri: Uri) -> Response {
    let (slow, found) = {
        let mut answers = answers.lock().unwrap();
        answers.asked += 1;
        (answers.slow, answers.by_path.get(uri.path()).cloned())
    };
    if slow {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    match found {
        Some((status, body)) => {
            let location = [("location", "/jwks")];
            (Status::from_u16(status).unwrap(), location, body).into_response()
        }
        None => Status::NOT_FOUND.into_response(),
    }
}

fn key_set(key_ids: &[&str]) -> String {
    let key = |id: &&str| {
        let key = crypto::SigningKey::generate(crypto::SigningAlgorithm::Es256).unwrap();
        let spki = key.public_key_der().unwrap();
        let (x, y) = spki[spki.len() - 64..].split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "x": base64url::encode(x), "y": base64url::encode(y), "kid": id })
    };
    json!({ "keys": key_ids.iter().map(key).collect::<Vec<_>>() }).to_string()
}

fn ids(keys: &Jwks) -> Vec<&str> {
    keys.keys().iter().filter_map(|key| key.key_id()).collect()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Waits for what a task in the background does.
async fn eventually(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come about");
}

#[tokio::test]
async fn keys_are_fetched_once_and_then_kept() {
    let issuer = Issuer::start(&["a"]).await;
    let keys = issuer.keys();
    let start = Instant::now();
    issuer.answers.lock().unwrap().slow = true;
    let (one, two) = tokio::join!(keys.for_key_id(Some("a"), start), keys.for_key_id(Some("a"), start));
    assert_eq!((ids(&one.unwrap()), ids(&two.unwrap())), (vec!["a"], vec!["a"]));
    assert_eq!(issuer.asked(), 2, "document and keys, once for both");
    keys.for_key_id(Some("a"), start + secs(3599)).await.unwrap();
    keys.for_key_id(None, start + secs(3599)).await.unwrap();
    assert_eq!(issuer.asked(), 0);
}

#[tokio::test]
async fn old_keys_answer_while_new_ones_are_fetched() {
    let issuer = Issuer::start(&["a"]).await;
    let keys = issuer.keys();
    let start = Instant::now();
    keys.for_key_id(Some("a"), start).await.unwrap();
    issuer.publish(&["a", "b"]);
    issuer.answers.lock().unwrap().slow = true;
    let later = start + REFRESH_AFTER;
    assert_eq!(ids(&keys.for_key_id(Some("a"), later).await.unwrap()), ["a"]);
    eventually(async || ids(&keys.for_key_id(Some("a"), later).await.unwrap()) == ["a", "b"]).await;
    assert_eq!(issuer.asked(), 4, "one refresh, whoever asked meanwhile");
}

#[tokio::test]
async fn an_unknown_key_id_is_asked_for_and_not_too_often() {
    let issuer = Issuer::start(&["a"]).await;
    let keys = issuer.keys();
    let start = Instant::now();
    keys.for_key_id(Some("a"), start).await.unwrap();
    issuer.publish(&["b"]);
    issuer.asked();
    for seconds in 0..10 {
        let invented = format!("invented {seconds}");
        let got = keys.for_key_id(Some(&invented), start + secs(seconds)).await.unwrap();
        assert_eq!(ids(&got), ["a"]);
    }
    assert_eq!(issuer.asked(), 0, "the issuer was asked a moment ago");
    assert_eq!(ids(&keys.for_key_id(Some("b"), start + ASK_EVERY).await.unwrap()), ["b"]);
    assert_eq!(issuer.asked(), 2);
    for seconds in 10..20 {
        keys.for_key_id(Some("a"), start + secs(seconds)).await.unwrap();
    }
    assert_eq!(issuer.asked(), 0, "nor is it asked again for a key that is gone");
}

#[tokio::test]
async fn an_outage_is_survived_for_a_day_and_asked_about_ever_less_often() {
    let issuer = Issuer::start(&["a"]).await;
    let keys = issuer.keys();
    let start = Instant::now();
    keys.for_key_id(Some("a"), start).await.unwrap();
    issuer.say("/jwks", 503, b"");
    issuer.asked();
    let mut asked = Vec::new();
    for seconds in 10..400 {
        let got = keys.for_key_id(Some("b"), start + secs(seconds)).await.unwrap();
        assert_eq!(ids(&got), ["a"]);
        if issuer.asked() > 0 {
            asked.push(seconds);
        }
    }
    assert_eq!(asked, [10, 20, 40, 80, 160, 240, 320]);
    let last = start + BELIEVED_FOR - secs(1);
    assert_eq!(ids(&keys.for_key_id(Some("a"), last).await.unwrap()), ["a"]);
    let refused = keys.for_key_id(Some("a"), start + BELIEVED_FOR + LONGEST_PAUSE).await.unwrap_err();
    assert!(refused.reason.contains("status 503"), "{refused}");
    issuer.publish(&["c"]);
    let back = start + BELIEVED_FOR + LONGEST_PAUSE * 3;
    assert_eq!(ids(&keys.for_key_id(Some("c"), back).await.unwrap()), ["c"]);
}

#[tokio::test]
async fn without_keys_nobody_is_let_in_and_the_issuer_is_left_in_peace() {
    let issuer = Issuer::start(&["a"]).await;
    issuer.say(DOCUMENT, 500, b"");
    let keys = issuer.keys();
    let start = Instant::now();
    for seconds in 0..10 {
        let refused = keys.for_key_id(Some("a"), start + secs(seconds)).await.unwrap_err();
        assert!(refused.to_string().contains(&issuer.url) && refused.reason.contains("500"), "{refused}");
    }
    assert_eq!(issuer.asked(), 1);
    let document = json!({ "issuer": issuer.url, "jwks_uri": format!("{}/jwks", issuer.url) });
    issuer.say(DOCUMENT, 200, document.to_string().as_bytes());
    assert_eq!(ids(&keys.for_key_id(Some("a"), start + ASK_EVERY).await.unwrap()), ["a"]);
}

#[tokio::test]
async fn what_an_issuer_must_not_answer() {
    let document = |issuer: &str, keys: &str| json!({ "issuer": issuer, "jwks_uri": keys }).to_string();
    let huge = format!("{{\"issuer\":\"{}\"}}", "x".repeat(MAX_DOCUMENT_BYTES));
    let issuer = Issuer::start(&["a"]).await;
    let keys_url = format!("{}/jwks", issuer.url);
    let twice = format!("{{\"issuer\":\"x\",\"issuer\":\"{}\",\"jwks_uri\":\"{keys_url}\"}}", issuer.url);
    let cases = [
        (DOCUMENT, 200, document("https://other.example", &keys_url), "another issuer"),
        (DOCUMENT, 200, document(&format!("{}/", issuer.url), &keys_url), "another issuer"),
        (DOCUMENT, 200, json!({ "jwks_uri": keys_url }).to_string(), "another issuer"),
        (DOCUMENT, 200, document(&issuer.url, "http://keys.example/jwks"), "no https `jwks_uri`"),
        (DOCUMENT, 200, document(&issuer.url, "file:///etc/passwd"), "no https `jwks_uri`"),
        (DOCUMENT, 200, json!({ "issuer": issuer.url }).to_string(), "no https `jwks_uri`"),
        (DOCUMENT, 200, twice, "not acceptable"),
        (DOCUMENT, 200, "<html>".to_owned(), "not acceptable"),
        (DOCUMENT, 200, huge, "more than"),
        (DOCUMENT, 302, String::new(), "status 302"),
        ("/jwks", 307, String::new(), "status 307"),
        ("/jwks", 200, "[]".to_owned(), "not acceptable"),
        ("/jwks", 200, "{\"keys\":[]}".to_owned(), "no RSA or P-256"),
        ("/jwks", 200, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}".to_owned(), "no RSA or P-256"),
        ("/jwks", 200, " ".repeat(token::jwk::MAX_JWKS_BYTES + 1), "more than"),
    ];
    for (path, status, body, reason) in cases {
        issuer.say(DOCUMENT, 200, document(&issuer.url, &keys_url).as_bytes());
        issuer.publish(&["a"]);
        assert!(issuer.keys().for_key_id(None, Instant::now()).await.is_ok());
        issuer.say(path, status, body.as_bytes());
        let refused = issuer.keys().for_key_id(None, Instant::now()).await.unwrap_err();
        assert!(refused.reason.contains(reason), "{path} {status}: {refused}");
    }
}

#[tokio::test]
async fn a_file_can_be_replaced_while_the_service_runs() {
    let directory = scratch("auth_keys_file");
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("keys.json");
    std::fs::write(&file, key_set(&["a"])).unwrap();
    let keys = Keys::read(&file, &["https://login.example".to_owned()]).unwrap();
    let start = Instant::now();
    std::fs::write(&file, key_set(&["b"])).unwrap();
    assert_eq!(ids(&keys.for_key_id(Some("b"), start).await.unwrap()), ["b"], "asked for by its id");
    std::fs::write(&file, key_set(&["b", "c"])).unwrap();
    let later = start + secs(60);
    eventually(async || ids(&keys.for_key_id(Some("b"), later).await.unwrap()) == ["b", "c"]).await;
    std::fs::write(&file, "half of a f").unwrap();
    let later = later + secs(60);
    assert_eq!(
        ids(&keys.for_key_id(Some("d"), later).await.unwrap()),
        ["b", "c"],
        "an accident loses nobody"
    );
    let refused = keys.for_key_id(Some("b"), later + BELIEVED_FOR).await.unwrap_err();
    assert!(refused.reason.contains("not acceptable"), "{refused}");
}
