//! One attestation provider (tenant): what is its own in an instance that may hold several.

use std::net::SocketAddr;
use std::sync::Arc;

use appraisal::{Baseline, Issuer};
use crypto::SigningAlgorithm;
use time::OffsetDateTime;
use token::{Jwk, Signer};

use crate::auth::Authorizer;
use crate::auth::local::LocalIssuer;
use crate::config::{ProviderConfig, TokenAlgorithm};
use crate::data_dir::DataDir;
use crate::http::Documents;
use crate::identity;
use crate::management::Management;
use crate::server::StartError;
use crate::store::Store;
use crate::tpm::{Sealer, Tpm};

/// A provider, ready to attest.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) authorizer: Authorizer,
    pub(crate) baseline: Baseline,
    pub(crate) documents: Documents,
    /// Whether a denied caller is told why.
    pub(crate) explain_denials: bool,
    pub(crate) issuer: Issuer,
    pub(crate) management: Management,
    pub(crate) tpm: Tpm,
}

impl Provider {
    /// Reads and makes everything of the provider. All providers of an instance share its signing key;
    /// each has a certificate of its own URI for it.
    ///
    /// # Errors
    /// [`StartError`].
    #[expect(clippy::too_many_arguments, reason = "each is of the instance, and there is one caller")]
    pub(crate) fn prepare(
        config: &ProviderConfig,
        dir: &DataDir,
        store: Arc<Store>,
        local_issuer: &LocalIssuer,
        sealer: &Arc<Sealer>,
        local_addr: SocketAddr,
        danger_appraise_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<Self, StartError> {
        let uri = config.uri_at(local_addr);
        let (algorithm, other) = match config.token_algorithm {
            TokenAlgorithm::Es256 => (SigningAlgorithm::Es256, SigningAlgorithm::Rs256),
            TokenAlgorithm::Rs256 => (SigningAlgorithm::Rs256, SigningAlgorithm::Es256),
        };
        let signer = identity::signer(dir, algorithm, config.name(), &uri)?;
        let mut keys = published(&signer);
        // Tokens signed before the algorithm was changed must go on verifying.
        if identity::has_signer(dir, other)? {
            keys.extend(published(&identity::signer(dir, other, config.name(), &uri)?));
        }
        let management = Management::open(config, Arc::clone(&store), danger_appraise_at, now)?;
        let names = (management.provider_id(), uri.as_str());
        let tpm = Tpm::prepare(config, names, dir, store, Arc::clone(sealer), now)?;
        Ok(Self {
            authorizer: Authorizer::new(&config.access_token_issuers, local_issuer, config.name())?,
            baseline: config.baseline.baseline(),
            documents: Documents::new(&uri, keys),
            explain_denials: config.explain_denials,
            issuer: Issuer::new(uri, signer),
            management,
            tpm,
        })
    }
}

/// A key under the ids that tokens name it by: those of enclaves by its hash, those of TPMs by its certificate's.
fn published(signer: &Signer) -> Vec<Jwk> {
    let jwk = signer.jwk().clone();
    vec![jwk.clone(), jwk.renamed(signer.thumbprint())]
}
