//! One attestation provider (tenant): what is its own in an instance that may hold several.

use std::net::SocketAddr;

use appraisal::{Baseline, Issuer};
use crypto::SigningAlgorithm;
use policy::Policy;

use crate::config::{ProviderConfig, TokenAlgorithm};
use crate::data_dir::DataDir;
use crate::http::Documents;
use crate::http::access_token::AccessTokens;
use crate::identity;
use crate::server::StartError;

/// A provider, ready to attest.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) access_tokens: AccessTokens,
    pub(crate) baseline: Baseline,
    pub(crate) documents: Documents,
    pub(crate) issuer: Issuer,
    /// The policy of both SGX attestation types.
    pub(crate) sgx_policy: Policy,
}

impl Provider {
    /// Reads and makes everything of the provider. All providers of an instance share its signing key;
    /// each has a certificate of its own URI for it.
    ///
    /// # Errors
    /// [`StartError`].
    pub(crate) fn prepare(
        config: &ProviderConfig,
        dir: &DataDir,
        local_addr: SocketAddr,
    ) -> Result<Self, StartError> {
        let uri = config.uri_at(local_addr);
        let (algorithm, other) = match config.token_algorithm {
            TokenAlgorithm::Es256 => (SigningAlgorithm::Es256, SigningAlgorithm::Rs256),
            TokenAlgorithm::Rs256 => (SigningAlgorithm::Rs256, SigningAlgorithm::Es256),
        };
        let signer = identity::signer(dir, algorithm, config.name(), &uri)?;
        let mut keys = vec![signer.jwk().clone()];
        // Tokens signed before the algorithm was changed must go on verifying.
        if identity::has_signer(dir, other)? {
            keys.push(identity::signer(dir, other, config.name(), &uri)?.jwk().clone());
        }
        Ok(Self {
            access_tokens: AccessTokens::load(&config.access_token_issuers)?,
            baseline: config.baseline.baseline(),
            documents: Documents::new(&uri, keys),
            issuer: Issuer::new(uri, signer),
            sgx_policy: Policy::analyze(policy::defaults::SGX).map_err(StartError::Policy)?,
        })
    }
}
