//! A running service: started from a configuration, stopped by its handle or a signal.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::{Request, Response};
use evidence::TrustAnchors;
use rustls::server::ResolvesServerCert;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::audit::{AuditDirError, AuditLog};
use crate::auth::local::{LocalIssuer, LocalIssuerError};
use crate::config::{Config, ConfigError, TrustAnchorsConfig, seconds};
use crate::data_dir::{DataDir, DataDirError, read_bounded};
use crate::endorsements::EndorsementService;
use crate::http::admission::Admission;
use crate::http::front::Front;
use crate::http::tenancy::Addresses;
use crate::http::{listener, router};
use crate::identity::{self, Authority, CertificateFiles, IdentityError};
use crate::management::OpenPoliciesError;
use crate::proof_cache::ProofCache;
use crate::provider::Provider;
use crate::store::{self, Store, StoreError};
use crate::tpm::{Sealer, SealerError, TpmError};

/// File of the certificate authority that clients must trust.
const CA_FILE: &str = "ca.pem";

/// Long work that may wait for each core.
const POOL_QUEUE_PER_CORE: usize = 16;

/// Largest file of a trust anchor; a certificate has about a KiB.
const MAX_ANCHOR_BYTES: u64 = 64 * 1024;

/// Why a service did not start. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The audit log cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditDirError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Keys or certificates cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: {source}; choose another address by `listen`")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data directory's own issuer of access tokens cannot be used.
    #[error(transparent)]
    LocalIssuer(#[from] LocalIssuerError),
    /// The policies of a provider cannot be used.
    #[error(transparent)]
    Policies(#[from] OpenPoliciesError),
    /// The key that seals what clients carry cannot be used.
    #[error(transparent)]
    Sealer(#[from] SealerError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of the start ended early.
    #[error("the start was interrupted: {0}")]
    Task(#[from] JoinError),
    /// A provider cannot attest TPMs.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// The system gives no signals.
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
}

/// A service that answers. Dropping it stops it too, but nobody waits then for requests in work.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    /// Before the data directory: who opens that next finds the log complete, and alone.
    audit: ClosesAudit,
    ca_pem: PathBuf,
    data_dir: DataDir,
    front: Arc<Front>,
    local_addr: SocketAddr,
    refreshing: JoinHandle<()>,
    serving: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Starts a service. When this returns it answers requests.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.validate()?;
        let listen = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;
        let prepared = {
            let config = config.clone();
            tokio::task::spawn_blocking(move || prepare(&config, local_addr)).await??
        };
        let Prepared { app, certificate, data_dir } = prepared;
        let app = Arc::new(app);
        if let Some(at) = config.danger_appraise_at {
            tracing::warn!(
                danger_appraise_at = %at,
                "DANGER: evidence and endorsements are appraised as of {at}, not as of now; old evidence passes"
            );
        }
        let (stop, stopped) = watch::channel(false);
        let router = router::router(Arc::clone(&app));
        let timeout = seconds(config.limits.request_timeout_secs);
        let front = Arc::new(Front::new(router, Addresses::of(&config), timeout));
        let limits = listener::Limits {
            connections: config.limits.connections,
            grace: seconds(config.limits.shutdown_timeout_secs),
            header_timeout: seconds(config.limits.header_timeout_secs),
        };
        let tls = tls_acceptor(certificate)?;
        let serving = tokio::spawn(listener::serve(
            listener,
            tls,
            Arc::clone(&front),
            limits,
            until_stopped(stopped.clone()),
        ));
        let refreshing = tokio::spawn(app.endorsements.clone().refresh_until(until_stopped(stopped)));
        for provider in &app.providers {
            tracing::info!(uri = provider.issuer.uri(), listen = %local_addr, "ready");
        }
        Ok(Self {
            audit: ClosesAudit(Arc::clone(&app)),
            app,
            ca_pem: data_dir.file(CA_FILE),
            data_dir,
            front,
            local_addr,
            refreshing,
            serving,
            stop,
        })
    }

    /// The default provider's URI: issuer of its tokens and base of its endpoints.
    #[must_use]
    pub fn uri(&self) -> &str {
        self.app.providers.first().map_or("", |provider| provider.issuer.uri())
    }

    /// The address it listens on, its port the real one.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The local certificate authority that clients must trust, a PEM file in the data directory, unless
    /// the server's certificate is of the operator's own files.
    #[must_use]
    pub fn ca_pem(&self) -> &Path {
        &self.ca_pem
    }

    /// Answers a request as if it had come over the wire, for measurements that leave the wire out.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.front.answer(request, self.local_addr).await
    }

    /// Stops accepting, lets requests in work finish, and releases the data directory.
    pub async fn stop(self) {
        tracing::info!("stopping");
        self.app.stopping.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
        let _ = self.serving.await;
        let _ = self.refreshing.await;
        let _ = tokio::task::spawn_blocking(move || drop(self.audit)).await;
        drop(self.data_dir);
        tracing::info!("stopped");
    }

    /// Serves until SIGTERM or SIGINT, then stops as [`Server::stop`].
    ///
    /// # Errors
    /// [`StartError::Signals`].
    pub async fn run_until_signal(self) -> Result<(), StartError> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        self.stop().await;
        Ok(())
    }
}

/// Closes the audit log when dropped, whoever else has the app.
#[derive(Debug)]
struct ClosesAudit(Arc<App>);

impl Drop for ClosesAudit {
    fn drop(&mut self) {
        self.0.audit.close();
    }
}

struct Prepared {
    app: App,
    certificate: Arc<dyn ResolvesServerCert>,
    data_dir: DataDir,
}

/// Everything of the start that reads files or makes keys.
fn prepare(config: &Config, local_addr: SocketAddr) -> Result<Prepared, StartError> {
    let now = OffsetDateTime::now_utc();
    let data_dir = DataDir::open(&config.data_dir)?;
    let mut names = Vec::new();
    for provider in config.all_providers() {
        names.extend(identity::names(&provider.uri_at(local_addr), local_addr.ip(), &provider.host_names));
    }
    names.extend(config.tls.names.iter().cloned());
    names.sort_unstable();
    names.dedup();
    let certificate: Arc<dyn ResolvesServerCert> = match (&config.tls.cert_file, &config.tls.key_file) {
        (Some(certificate), Some(key)) => Arc::new(CertificateFiles::open(certificate, key)?),
        _ => Arc::new(Authority::open(&data_dir, &names, now)?),
    };
    let store = Arc::new(Store::open(&data_dir.file(store::FILE))?);
    let local_issuer = LocalIssuer::open(&data_dir)?;
    let sealer = Arc::new(Sealer::open(config.context_key_file.as_deref(), &data_dir)?);
    let providers = config
        .all_providers()
        .map(|provider| {
            let store = Arc::clone(&store);
            Provider::prepare(
                provider,
                &data_dir,
                store,
                &local_issuer,
                &sealer,
                local_addr,
                config.danger_appraise_at,
                now,
            )
            .map(Arc::new)
        })
        .collect::<Result<_, _>>()?;
    let anchors = Arc::new(trust_anchors(&config.trust_anchors)?);
    let endorsements = EndorsementService::new(
        &config.endorsements,
        Arc::clone(&anchors),
        Arc::clone(&store),
        config.danger_appraise_at.is_some(),
    )?;
    let longest_wait = seconds(config.limits.queue_timeout_secs);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let app = App {
        admission: Admission::new(config.limits.concurrency, config.limits.queue, longest_wait),
        anchors,
        audit: AuditLog::open(&config.data_dir, config.audit.attestation, store)?,
        danger_appraise_at: config.danger_appraise_at,
        endorsements,
        limits: config.limits.clone(),
        long_bodies: Admission::new(config.limits.concurrency, config.limits.queue, longest_wait),
        log_bodies: Admission::new(config.limits.concurrency.div_ceil(8), config.limits.queue, longest_wait),
        pcks: ProofCache::default(),
        management_pool: Admission::new(cores, cores.saturating_mul(POOL_QUEUE_PER_CORE), longest_wait),
        pool: Admission::new(cores, cores.saturating_mul(POOL_QUEUE_PER_CORE), longest_wait),
        providers,
        stopping: AtomicBool::new(false),
    };
    Ok(Prepared { app, certificate, data_dir })
}

fn tls_acceptor(certificate: Arc<dyn ResolvesServerCert>) -> Result<TlsAcceptor, StartError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(IdentityError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The roots to trust: the pinned ones, or those of the configured files.
pub(crate) fn trust_anchors(config: &TrustAnchorsConfig) -> Result<TrustAnchors, ConfigError> {
    let read = |key: &str, paths: &[PathBuf]| -> Result<Vec<Vec<u8>>, ConfigError> {
        let read_one = |path: &PathBuf| {
            read_bounded(path, MAX_ANCHOR_BYTES).map_err(|error| {
                ConfigError::invalid(key, path.display(), format!("it cannot be read: {error}"))
            })
        };
        paths.iter().map(read_one).collect()
    };
    let pck = read("trust_anchors.pck_root_files", &config.pck_root_files)?;
    let tcb_signing = read("trust_anchors.tcb_signing_root_files", &config.tcb_signing_root_files)?;
    let pck: Vec<&[u8]> = pck.iter().map(Vec::as_slice).collect();
    let tcb_signing: Vec<&[u8]> = tcb_signing.iter().map(Vec::as_slice).collect();
    TrustAnchors::with_roots(&pck, &tcb_signing).map_err(|error| {
        ConfigError::invalid(
            "trust_anchors",
            error,
            "give files with one self-signed root certificate in PEM each",
        )
    })
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone says the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
