//! The HTTPS stack without the service: the same TLS and HTTP libraries, a handler that reads the body
//! and answers with as many bytes as a token answer has.

use std::path::Path;
use std::sync::Arc;

use axum::body::Bytes;
use axum::routing::post;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Serves until killed; writes its certificate to `directory/floor.pem` and prints its ready line.
///
/// # Panics
/// If anything of that fails.
pub async fn serve(directory: &Path, answer_bytes: usize) {
    let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(directory.join("floor.pem"), key.cert.pem()).expect("a writable directory");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificates = vec![key.cert.der().clone()];
    let private = key.signing_key.serialize_der().try_into().expect("a PKCS #8 key");
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .expect("a usable certificate");
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let answer = Bytes::from(vec![b'x'; answer_bytes]);
    let router =
        axum::Router::new().route("/attest", post(move |_body: Bytes| std::future::ready(answer.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("ready https://{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.set_nodelay(true);
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            let stream = acceptor.accept(stream).await.expect("a handshake");
            let service = TowerToHyperService::new(router);
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
