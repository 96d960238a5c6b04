//! Policy management: which policy is in force for each attestation type of a provider, who may sign it, and
//! how both change.
//!
//! - what changes: [`policies`] (set, reset, roll back, history), [`signers`] (add, remove).
//! - what is in force when nothing was set: [`defaults`]; what an operator declares: [`declared`].
//! - what clients are told: [`answer`] (signed tokens), [`baselines`]; what goes wrong: [`error`].
//!
//! A change is decided, kept in one transaction that is on the disk before anything is answered, and then
//! swapped in; all three under one lock, so that what is in force in memory is what the last row says. A
//! signature is compared with the signers of that moment: a signer that was removed signs nothing any more.
//!
//! Everything here blocks on the disk; callers leave it to a pool.

pub(crate) mod answer;
pub(crate) mod baselines;
pub(crate) mod declared;
mod defaults;
pub(crate) mod error;
mod policies;
mod signers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use api::AttestationType;
use policy::Policy;
use time::OffsetDateTime;
use token::PolicySigner;
use token::policy_jws::Trust;

use crate::config::TrustModel;
use crate::store::Store;

pub(crate) use error::ManagementFailure;
pub use error::OpenPoliciesError;
pub(crate) use policies::{HistoryPage, Outcome};
pub(crate) use signers::SignerOutcome;

/// The attestation types that hold a policy, in the order of the contract.
pub(crate) const POLICY_TYPES: [AttestationType; 6] = [
    AttestationType::SgxEnclave,
    AttestationType::OpenEnclave,
    AttestationType::Tpm,
    AttestationType::SevSnpVm,
    AttestationType::AzureGuest,
    AttestationType::TdxVm,
];

/// Policies and signers of one provider.
#[derive(Debug)]
pub(crate) struct Management {
    active: RwLock<BTreeMap<AttestationType, Arc<ActivePolicy>>>,
    /// Signers' certificates are compared with the time that evidence is.
    danger_appraise_at: Option<OffsetDateTime>,
    provider_id: String,
    signers: RwLock<Arc<[PolicySigner]>>,
    store: Arc<Store>,
    trust_model: TrustModel,
    /// Held from the decision about a change until it is in force.
    writing: Mutex<()>,
}

/// The policy in force for one attestation type.
#[derive(Debug)]
pub(crate) struct ActivePolicy {
    /// As it was sent, or made of a default.
    pub(crate) jws: String,
    /// The compiled policy; none where the type has no default and nothing was set.
    pub(crate) policy: Option<Policy>,
    /// Who signed it.
    pub(crate) signer: Option<PolicySigner>,
    /// Its version; 0 if nothing was ever set.
    pub(crate) version: u64,
}

impl Management {
    /// The opaque id that keys the provider's rows.
    pub(crate) fn provider_id(&self) -> &str {
        &self.provider_id
    }

    /// The policy in force. A change does not touch what a caller holds.
    pub(crate) fn active(
        &self,
        attestation_type: AttestationType,
    ) -> Result<Arc<ActivePolicy>, ManagementFailure> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        active.get(&attestation_type).cloned().ok_or(ManagementFailure::HoldsNoPolicy { attestation_type })
    }

    /// The certificates that sign policies; none except where the trust model is isolated.
    pub(crate) fn signers(&self) -> Arc<[PolicySigner]> {
        Arc::clone(&self.signers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is relied on when a policy arrives, or the refusal of a provider whose policy is fixed.
    fn trust<'s>(&self, signers: &'s [PolicySigner]) -> Result<Trust<'s>, ManagementFailure> {
        match self.trust_model {
            TrustModel::Aad => Ok(Trust::anyone()),
            TrustModel::Isolated => Ok(Trust::only(signers)),
            TrustModel::Shared => Err(ManagementFailure::Fixed),
        }
    }

    fn as_of(&self, now: OffsetDateTime) -> OffsetDateTime {
        self.danger_appraise_at.unwrap_or(now)
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn activate(&self, attestation_type: AttestationType, policy: ActivePolicy) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        active.insert(attestation_type, Arc::new(policy));
    }
}
