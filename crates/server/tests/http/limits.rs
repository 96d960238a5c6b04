//! Too long, too slow, too many: each is told so, and the service goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Mood, Pcs, Service, VERSION, b64, config, forge, offline_config};
use server::Config;

pub(crate) async fn connect(service: &Service) -> TlsStream<TcpStream> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(service.server.ca_pem()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(service.server.local_addr()).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

pub(crate) async fn read_to_end(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    // The end without a TLS closure is an end all the same.
    let _ =
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

fn with_limits(mut config: Config, change: impl FnOnce(&mut server::config::LimitsConfig)) -> Config {
    change(&mut config.limits);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_20_mb() {
    let service = Service::start(config("limit_body", &forge(b"").mint())).await;
    let body = format!("{{\"quote\":\"{}\"}}", "A".repeat(20 * 1024 * 1024));
    let message = service.post(&format!("/attest/SgxEnclave?{VERSION}"), body.clone()).await;
    assert!(message.refusal(413, "PayloadTooLarge").contains("5242880"));
    // Of a length that is not declared.
    let chunks = body
        .into_bytes()
        .chunks(64 * 1024)
        .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
        .collect::<Vec<_>>();
    let mut stream = connect(&service).await;
    let head = format!(
        "POST /attest/SgxEnclave?{VERSION} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for chunk in chunks.into_iter().map(Result::unwrap) {
        let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat();
        if stream.write_all(&framed).await.is_err() {
            break;
        }
    }
    assert_eq!(service.get("/certs").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_bodies_are_cut() {
    let config = with_limits(config("limit_slow", &forge(b"").mint()), |limits| {
        limits.header_timeout_secs = 1;
        limits.body_timeout_secs = 1;
    });
    let service = Service::start(config).await;
    let started = Instant::now();
    let mut slow_head = connect(&service).await;
    slow_head.write_all(b"POST /attest/SgxEnclave HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let mut idle = connect(&service).await;
    let mut slow_body = connect(&service).await;
    let head =
        format!("POST /attest/SgxEnclave?{VERSION} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{");
    slow_body.write_all(head.as_bytes()).await.unwrap();
    let (head, idle, body) =
        tokio::join!(read_to_end(&mut slow_head), read_to_end(&mut idle), read_to_end(&mut slow_body));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(!head.contains(" 200 "), "{head}");
    assert_eq!(idle, "");
    assert!(body.starts_with("HTTP/1.1 408 ") && body.contains("RequestTimeout"), "{body}");
    assert_eq!(service.get("/certs").await.status, 200);
}

/// Else as many slow senders as there are places would keep everybody else out.
#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_take_no_places() {
    let minted = forge(b"").mint();
    let config = with_limits(offline_config("limit_slow_places", &minted), |limits| {
        limits.concurrency = 1;
        limits.queue = 0;
        limits.body_timeout_secs = 5;
    });
    let service = Service::start(config).await;
    let mut slow = Vec::new();
    for sent in ["{".to_owned(), " ".repeat(100_000)] {
        let mut stream = connect(&service).await;
        let head = "content-length: 200000\r\n\r\n";
        let request = format!("POST /attest/SgxEnclave?{VERSION} HTTP/1.1\r\nhost: x\r\n{head}{sent}");
        stream.write_all(request.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    service.attest_quote(&minted).await.claims();
}

/// Who asks and takes no answers would otherwise keep a connection, and few of them all, for ever.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_answers_is_cut() {
    let config = with_limits(config("limit_stalled", &forge(b"").mint()), |limits| {
        limits.connections = 1;
        limits.header_timeout_secs = 1;
    });
    let service = Service::start(config).await;
    let mut stalled = connect(&service).await;
    let requests = b"GET /certs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let second = Duration::from_secs(1);
    while matches!(tokio::time::timeout(second, stalled.write_all(&requests)).await, Ok(Ok(()))) {}
    let answer = tokio::time::timeout(5 * second, service.get("/certs")).await;
    assert_eq!(answer.expect("the connection is free again").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_429_and_recovers() {
    let minted = forge(b"").mint();
    let pcs = Pcs::start(&minted).await;
    pcs.delay(Duration::from_millis(500));
    let config = with_limits(pcs.config("limit_overload", &minted), |limits| {
        limits.concurrency = 2;
        limits.queue = 3;
    });
    let service = Arc::new(Service::start(config).await);
    let minted = Arc::new(minted);
    let flood: Vec<_> = (0..30)
        .map(|_| {
            let (service, minted) = (Arc::clone(&service), Arc::clone(&minted));
            tokio::spawn(async move { service.attest_quote(&minted).await })
        })
        .collect();
    // Metadata and health do not queue behind attestations.
    assert_eq!(service.get("/certs").await.status, 200);
    let mut statuses = Vec::new();
    for answer in flood {
        let answer = answer.await.unwrap();
        if answer.status == 429 {
            assert!(answer.refusal(429, "TooManyRequests").contains("Retry-After"));
            assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() >= 1);
        }
        statuses.push(answer.status);
    }
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!(count(200) + count(429), 30, "{statuses:?}");
    assert!(count(200) >= 5 && count(429) >= 1, "{statuses:?}");
    pcs.be(Mood::Status(500, None));
    service.attest_quote(&minted).await.claims();
}

/// Drafts can be made to take long; what has none is answered all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_drafts_does_not_stop_the_others() {
    let minted = Arc::new(forge(b"").mint());
    let service = Arc::new(Service::start(offline_config("limit_drafts", &minted)).await);
    service.attest_quote(&minted).await.claims();
    let rules = "c1:[type==\"x\"] && c2:[type==\"y\"] => issue(type=\"x\", value=c1.value);".repeat(3000);
    let policy = format!("version=1.0; authorizationrules{{=> permit();}}; issuancerules{{{rules}}};");
    let body = json!({ "quote": b64(&minted.quote), "draftPolicyForAttestation": policy });
    let flood: Vec<_> = (0..200)
        .map(|_| {
            let (service, body) = (Arc::clone(&service), body.clone());
            tokio::spawn(async move { service.attest(&body).await.status })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    service.attest_quote(&minted).await.claims();
    let mut statuses = Vec::new();
    for answer in flood {
        statuses.push(answer.await.unwrap());
    }
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_requests_finish() {
    let minted = forge(b"").mint();
    let pcs = Pcs::start(&minted).await;
    pcs.delay(Duration::from_millis(400));
    let service = Service::start(pcs.config("limit_stop", &minted)).await;
    let url = service.url(&format!("/attest/SgxEnclave?{VERSION}"));
    let body = json!({ "quote": b64(&minted.quote) }).to_string();
    let client = service.client.clone();
    let (again, again_body) = (service.url("/certs"), body.clone());
    let in_work = tokio::spawn(async move { client.post(url).body(body).send().await.unwrap().status() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let client = service.client.clone();
    service.server.stop().await;
    assert_eq!(in_work.await.unwrap(), 200);
    assert!(client.get(again).body(again_body).send().await.is_err(), "nothing is accepted afterwards");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_are_answered() {
    let service = Service::start(config("limit_odd", &forge(b"").mint())).await;
    for (request, status) in [
        ("GET https://elsewhere.example/servicehealth HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "204"),
        ("GET /servicehealth HTTP/1.0\r\n\r\n".to_owned(), "204"),
        ("OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "404"),
        ("CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "404"),
        ("GET //certs HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "404"),
        ("GET /%63erts HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "404"),
        ("GET /attest/../certs HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "404"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(128 * 1024)), "431"),
    ] {
        let mut stream = connect(&service).await;
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).await.unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert_eq!(answer.split(' ').nth(1), Some(status), "{}: {answer}", &request[..20.min(request.len())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_many_requests() {
    let minted = forge(b"").mint();
    let service = Service::start(offline_config("limit_keep_alive", &minted)).await;
    let mut stream = connect(&service).await;
    for _ in 0..3 {
        stream.write_all(b"GET /servicehealth HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 204 "));
    }
}
