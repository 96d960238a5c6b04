//! Accepts connections: TCP, TLS, HTTP/1.1, each step with a time limit and all with one bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::front::Front;

/// A TLS handshake takes two round trips; slower ones are not clients.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest request head. SDKs send less than 4 KiB, most of it an access token.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Pause after the system refused a connection for want of descriptors or memory.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// Serves until `stop` resolves, then lets requests in work finish within `grace`.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    front: Arc<Front>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(limits.connections));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let (stream, remote, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
                continue;
            }
        };
        let (tls, front, watcher) = (tls.clone(), Arc::clone(&front), graceful.watcher());
        tokio::spawn(async move {
            let _permit = permit;
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await else {
                tracing::debug!(%remote, "a TLS handshake failed");
                return;
            };
            let service = service_fn(move |request| {
                let front = Arc::clone(&front);
                async move { Ok::<_, std::convert::Infallible>(front.answer(request, remote).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_timeout)
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%remote, %error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            "requests still in work were cut off; raise `limits.shutdown_timeout_secs` to wait longer"
        );
    }
}

/// The limits of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) grace: Duration,
    pub(crate) header_timeout: Duration,
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, remote) = listener.accept().await?;
    // Answers are one write each; waiting to fill a segment only delays them.
    stream.set_nodelay(true)?;
    Ok((stream, remote, permit))
}
