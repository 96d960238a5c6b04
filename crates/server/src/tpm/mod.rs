//! Attestation of machines by their TPMs: what a provider needs for it beside its policies.
//!
//! - what clients carry from one request to the next: [`context`].
//! - a challenge, its answer, a token: [`exchange`].
//! - whom the operator trusts to certify keys in TPMs: [`roots`], at present: [`trusted`]; the provider's own CA for them: [`authority`].
//! - how a machine gets a certificate of that CA: [`enrolment`]; which machines have, and which are revoked:
//!   [`machines`].

pub(crate) mod authority;
pub(crate) mod context;
pub(crate) mod enrolment;
pub(crate) mod exchange;
pub(crate) mod machines;
pub(crate) mod roots;
pub(crate) mod trusted;

use std::sync::Arc;
use std::time::Instant;

use time::OffsetDateTime;

use crate::config::{ProviderConfig, TpmConfig};
use crate::data_dir::DataDir;
use crate::store::Store;
use authority::AttestationAuthority;
pub use authority::AuthorityError;
pub(crate) use context::Sealer;
pub use context::SealerError;
use machines::KeptCrl;
pub use roots::{RootFile, RootsError, root_files};
use trusted::{Trusted, WatchedRoots};

/// What a provider needs to attest TPMs.
#[derive(Debug)]
pub(crate) struct Tpm {
    authority: AttestationAuthority,
    /// What contexts of challenges and enrolments are bound to: the provider's name and URI, which are the same on every replica.
    challenger: String,
    pub(crate) config: TpmConfig,
    crl: KeptCrl,
    provider_id: String,
    roots: WatchedRoots,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) store: Arc<Store>,
}

/// Why a provider cannot attest TPMs. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// The provider's attestation CA cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The roots cannot be used.
    #[error(transparent)]
    Roots(#[from] RootsError),
}

impl Tpm {
    /// Reads what the configuration names, and reads or makes the provider's CA.
    ///
    /// # Errors
    /// [`TpmError`].
    pub(crate) fn prepare(
        config: &ProviderConfig,
        (provider_id, provider_uri): (&str, &str),
        dir: &DataDir,
        store: Arc<Store>,
        sealer: Arc<Sealer>,
        now: OffsetDateTime,
    ) -> Result<Self, TpmError> {
        let authority = AttestationAuthority::open(dir, config.name(), provider_id, provider_uri, now)?;
        let roots = WatchedRoots::open(&config.tpm, &authority)?;
        Ok(Self {
            authority,
            challenger: format!("{}\0{provider_uri}", config.name()),
            config: config.tpm.clone(),
            crl: KeptCrl::default(),
            provider_id: provider_id.to_owned(),
            roots,
            sealer,
            store,
        })
    }

    /// Whom the operator trusts now, and for attestation keys the provider's own CA.
    pub(crate) fn trusted(&self) -> Arc<Trusted> {
        self.roots.current(&self.authority, Instant::now())
    }

    /// The certificate of the provider's attestation CA, PEM.
    pub(crate) fn authority_pem(&self) -> &str {
        self.authority.pem()
    }
}
