//! Attestation of machines by their TPMs: what a provider needs for it beside its policies.
//!
//! - what clients carry from one request to the next: [`context`].

#[cfg_attr(not(test), expect(dead_code, reason = "the exchange that seals contexts is not answered yet"))]
pub(crate) mod context;

use std::sync::Arc;

use crate::config::TpmConfig;
pub(crate) use context::Sealer;
pub use context::SealerError;

/// What a provider needs to attest TPMs.
#[derive(Debug)]
#[expect(dead_code, reason = "read by the exchange, which is not answered yet")]
pub(crate) struct Tpm {
    pub(crate) config: TpmConfig,
    pub(crate) sealer: Arc<Sealer>,
}

impl Tpm {
    pub(crate) fn prepare(config: &TpmConfig, sealer: Arc<Sealer>) -> Self {
        Self { config: config.clone(), sealer }
    }
}
