//! Changes of the policy management certificates of a provider whose trust model is isolated.

use std::sync::{Arc, PoisonError};

use api::management::{CertificateModification, certificate_claim};
use time::OffsetDateTime;
use token::policy_jws::Trust;
use token::{PolicyJws, PolicySigner};

use super::{Management, ManagementFailure};
use crate::config::TrustModel;
use crate::store::management::{SignerAction, SignerChange};

/// Most certificates of one provider. Every policy that arrives is compared with all of them.
const MAX_SIGNERS: usize = 64;

/// What is true of a certificate after a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignerOutcome {
    /// Whether the request changed that.
    pub(crate) changed: bool,
    pub(crate) result: CertificateModification,
    pub(crate) thumbprint: String,
}

impl Management {
    /// Adds the certificate in `jws`, which one of the present signers has signed.
    ///
    /// # Errors
    /// [`ManagementFailure`], and then the signers are those they were.
    pub(crate) fn add_signer(
        &self,
        jws: &str,
        actor: &str,
        now: OffsetDateTime,
    ) -> Result<SignerOutcome, ManagementFailure> {
        let _lock = self.lock();
        let signers = self.signers();
        let chain = self.vouched_chain(jws, &signers, now)?;
        let signer = PolicySigner::verify(chain, &Trust::listed_signer(&signers), self.as_of(now))?;
        let changed = !signers.iter().any(|present| present.leaf() == signer.leaf());
        let thumbprint = signer.thumbprint();
        if changed {
            if signers.len() >= MAX_SIGNERS {
                return Err(ManagementFailure::TooManySigners { limit: MAX_SIGNERS });
            }
            self.keep(SignerAction::Add, &signer, actor, now)?;
            self.install(signers.iter().cloned().chain([signer]).collect());
        }
        Ok(SignerOutcome { changed, result: CertificateModification::IsPresent, thumbprint })
    }

    /// Removes the certificate in `jws`, which one of the present signers has signed, be it the same. The
    /// last one that can sign stays, or else nobody could change anything any more.
    ///
    /// # Errors
    /// As [`Self::add_signer`].
    pub(crate) fn remove_signer(
        &self,
        jws: &str,
        actor: &str,
        now: OffsetDateTime,
    ) -> Result<SignerOutcome, ManagementFailure> {
        let _lock = self.lock();
        let signers = self.signers();
        let chain = self.vouched_chain(jws, &signers, now)?;
        let signer = PolicySigner::stored(chain)?;
        let changed = signers.iter().any(|present| present.leaf() == signer.leaf());
        let thumbprint = signer.thumbprint();
        if changed {
            let others: Arc<[_]> =
                signers.iter().filter(|present| present.leaf() != signer.leaf()).cloned().collect();
            if !others.iter().any(|other| other.can_sign(self.as_of(now))) {
                return Err(ManagementFailure::LastSigner);
            }
            self.keep(SignerAction::Remove, &signer, actor, now)?;
            self.install(others);
        }
        Ok(SignerOutcome { changed, result: CertificateModification::IsAbsent, thumbprint })
    }

    /// The certificate that a present signer speaks of.
    fn vouched_chain(
        &self,
        jws: &str,
        signers: &[PolicySigner],
        now: OffsetDateTime,
    ) -> Result<Vec<Vec<u8>>, ManagementFailure> {
        if self.trust_model != TrustModel::Isolated {
            return Err(ManagementFailure::NoSigners);
        }
        let jws = PolicyJws::parse(jws)?.verify(&Trust::only(signers), self.as_of(now))?;
        Ok(certificate_claim(jws.payload())?)
    }

    pub(super) fn keep(
        &self,
        action: SignerAction,
        signer: &PolicySigner,
        actor: &str,
        now: OffsetDateTime,
    ) -> Result<(), ManagementFailure> {
        let change = SignerChange {
            action,
            actor: actor.to_owned(),
            at: now,
            chain: signer.chain().to_vec(),
            thumbprint: signer.thumbprint(),
        };
        Ok(self.store.append_signer_change(&self.provider_id, &change)?)
    }

    pub(super) fn install(&self, signers: Arc<[PolicySigner]>) {
        *self.signers.write().unwrap_or_else(PoisonError::into_inner) = signers;
    }
}
