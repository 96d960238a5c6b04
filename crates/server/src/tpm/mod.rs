//! Attestation of machines by their TPMs: what a provider needs for it beside its policies.
//!
//! - what clients carry from one request to the next: [`context`].
//! - a challenge, its answer, a token: [`exchange`].
//! - whom its operator trusts to certify keys in TPMs: [`roots`].

pub(crate) mod context;
pub(crate) mod exchange;
pub(crate) mod roots;

use std::sync::Arc;

use evidence::tpm::AttestationKey;

use crate::config::TpmConfig;
use crate::proof_cache::ProofCache;
use crate::store::Store;
pub(crate) use context::Sealer;
pub use context::SealerError;
pub(crate) use roots::Roots;
pub use roots::RootsError;

/// What a provider needs to attest TPMs.
#[derive(Debug)]
pub(crate) struct Tpm {
    pub(crate) config: TpmConfig,
    /// Attestation keys whose certificates were verified, by the certificate's SHA-256.
    pub(crate) keys: ProofCache<AttestationKey>,
    pub(crate) roots: Roots,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) store: Arc<Store>,
}

impl Tpm {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// [`RootsError`].
    pub(crate) fn prepare(
        config: &TpmConfig,
        store: Arc<Store>,
        sealer: Arc<Sealer>,
    ) -> Result<Self, RootsError> {
        let roots = Roots::load(config.roots.as_deref())?;
        Ok(Self { config: config.clone(), keys: ProofCache::default(), roots, sealer, store })
    }
}
