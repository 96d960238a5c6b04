//! What every request needs, made once at start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use evidence::TrustAnchors;
use evidence::VerifyError;
use evidence::dcap::VerifiedPck;
use evidence::sgx::Quote;
use evidence::verdict::Rejection;
use time::OffsetDateTime;

use crate::audit::AuditLog;
use crate::config::{LimitsConfig, seconds};
use crate::endorsements::EndorsementService;
use crate::http::admission::Admission;
use crate::proof_cache::ProofCache;
use crate::provider::Provider;

/// What all providers of this instance share, and the providers.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) admission: Admission,
    pub(crate) anchors: Arc<TrustAnchors>,
    pub(crate) audit: AuditLog,
    pub(crate) danger_appraise_at: Option<OffsetDateTime>,
    pub(crate) endorsements: EndorsementService,
    pub(crate) limits: LimitsConfig,
    /// For bodies that are too long to be read without a place.
    pub(crate) long_bodies: Admission,
    /// For those with the logs of machines, which are longer still.
    pub(crate) log_bodies: Admission,
    pub(crate) pcks: ProofCache<VerifiedPck>,
    /// Changes of policies and signers, whose callers have a role: a flood of strangers' drafts does not keep
    /// them out.
    pub(crate) management_pool: Admission,
    /// For work that may take long; its queue is short, so that it cannot take all places of `admission`.
    pub(crate) pool: Admission,
    /// The default one first.
    pub(crate) providers: Vec<Arc<Provider>>,
    pub(crate) stopping: AtomicBool,
}

impl App {
    /// The verified certificate chain of a quote. It comes before the endorsements, which are fetched for
    /// genuine platforms only: else anyone could make this service ask the vendor for anything.
    pub(crate) fn pck(&self, quote: &Quote<'_>) -> Result<Arc<VerifiedPck>, Rejection<VerifyError>> {
        self.pcks.get_or_verify(quote.pck_cache_key()?, || quote.pck_chain()?.verify(&self.anchors))
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        seconds(self.limits.body_timeout_secs)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
