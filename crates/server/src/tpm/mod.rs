//! Attestation of machines by their TPMs: what a provider needs for it beside its policies.
//!
//! - what clients carry from one request to the next: [`context`].
//! - whom its operator trusts to certify keys in TPMs: [`roots`].

#[cfg_attr(not(test), expect(dead_code, reason = "the exchange that seals contexts is not answered yet"))]
pub(crate) mod context;
pub(crate) mod roots;

use std::sync::Arc;

use crate::config::TpmConfig;
pub(crate) use context::Sealer;
pub use context::SealerError;
pub(crate) use roots::Roots;
pub use roots::RootsError;

/// What a provider needs to attest TPMs.
#[derive(Debug)]
#[expect(dead_code, reason = "read by the exchange, which is not answered yet")]
pub(crate) struct Tpm {
    pub(crate) config: TpmConfig,
    pub(crate) roots: Roots,
    pub(crate) sealer: Arc<Sealer>,
}

impl Tpm {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// [`RootsError`].
    pub(crate) fn prepare(config: &TpmConfig, sealer: Arc<Sealer>) -> Result<Self, RootsError> {
        let roots = Roots::load(config.roots.as_deref())?;
        Ok(Self { config: config.clone(), roots, sealer })
    }
}
