//! Changes of a policy.

use api::management::stored_policy;
use api::{ApiVersion, AttestationType};
use appraisal::Settings;
use policy::Policy;
use time::OffsetDateTime;
use token::policy_jws::{self, PolicyJws, VerifiedPolicyJws};

use super::defaults::default_policy;
use super::{ActivePolicy, Management, ManagementFailure};
use crate::store::management::{PolicyAction, PolicyChange, PolicyVersion};

/// What a change led to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) attestation_type: AttestationType,
    /// Claim `x-ms-policy-hash` of tokens from now on; none where the type has no policy.
    pub(crate) policy_hash: Option<String>,
    /// Whether the default is in force again.
    pub(crate) removed: bool,
    /// The signer as a JSON Web Key.
    pub(crate) signer: Option<serde_json::Value>,
    pub(crate) token_hash: String,
    pub(crate) version: u64,
}

/// A part of a history, the newest version first.
#[derive(Debug)]
pub(crate) struct HistoryPage {
    pub(crate) versions: Vec<PolicyVersion>,
    /// Where the next page begins, if there is one.
    pub(crate) next_before: Option<u64>,
}

impl Management {
    /// Sets the policy in `body`, a JWS.
    ///
    /// # Errors
    /// [`ManagementFailure`], and then the former policy is in force.
    pub(crate) fn set(
        &self,
        attestation_type: AttestationType,
        body: &str,
        version: ApiVersion,
        actor: &str,
        now: OffsetDateTime,
    ) -> Result<Outcome, ManagementFailure> {
        self.active(attestation_type)?;
        let _lock = self.lock();
        let signers = self.signers();
        let jws = PolicyJws::parse(body)?.verify(&self.trust(&signers)?, self.as_of(now))?;
        let text = stored_policy(jws.payload(), version)?;
        let policy = Policy::analyze_bytes(&text)?;
        self.put(attestation_type, jws, policy, (PolicyAction::Set, None), actor, now)
    }

    /// Checks the policy in `body` as [`Self::set`] does and changes nothing. Returns its JWS and the SHA-256
    /// of its text.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(crate) fn prepare(
        &self,
        attestation_type: AttestationType,
        body: &str,
        version: ApiVersion,
        now: OffsetDateTime,
    ) -> Result<(String, [u8; 32]), ManagementFailure> {
        self.active(attestation_type)?;
        let signers = self.signers();
        let jws = PolicyJws::parse(body)?.verify(&self.trust(&signers)?, self.as_of(now))?;
        let policy = Policy::analyze_bytes(&stored_policy(jws.payload(), version)?)?;
        check_settings(attestation_type, &policy)?;
        Ok((jws.text().to_owned(), crypto::sha256(policy.text().as_bytes())))
    }

    /// Returns to the default, on the word of `body`, a JWS with an empty payload.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(crate) fn reset(
        &self,
        attestation_type: AttestationType,
        body: &str,
        actor: &str,
        now: OffsetDateTime,
    ) -> Result<Outcome, ManagementFailure> {
        self.active(attestation_type)?;
        let _lock = self.lock();
        let signers = self.signers();
        let jws = PolicyJws::parse(body)?.verify(&self.trust(&signers)?, self.as_of(now))?;
        if !jws.payload().is_empty() {
            return Err(ManagementFailure::PayloadOfReset);
        }
        self.remove(attestation_type, &jws, (PolicyAction::Reset, None), actor, now)
    }

    /// Brings a former version back: the same as sending again what was sent then, so that what its signer
    /// may no longer sign stays away.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(crate) fn roll_back(
        &self,
        attestation_type: AttestationType,
        version: u64,
        actor: &str,
        now: OffsetDateTime,
    ) -> Result<Outcome, ManagementFailure> {
        let former = self.version(attestation_type, version)?;
        let _lock = self.lock();
        let signers = self.signers();
        let jws = PolicyJws::parse(&former.change.jws)?.verify(&self.trust(&signers)?, self.as_of(now))?;
        let action = (PolicyAction::Rollback, Some(version));
        match former.change.text {
            Some(text) => {
                let policy = Policy::analyze(&text)?;
                self.put(attestation_type, jws, policy, action, actor, now)
            }
            None => self.remove(attestation_type, &jws, action, actor, now),
        }
    }

    /// A former or present version.
    ///
    /// # Errors
    /// [`ManagementFailure::NoSuchVersion`], or of the store.
    pub(crate) fn version(
        &self,
        attestation_type: AttestationType,
        version: u64,
    ) -> Result<PolicyVersion, ManagementFailure> {
        self.active(attestation_type)?;
        let found = self.store.policy_version(&self.provider_id, attestation_type.as_str(), version)?;
        found.ok_or(ManagementFailure::NoSuchVersion { version })
    }

    /// The versions below `before`, at most `limit` of them.
    ///
    /// # Errors
    /// Of the store.
    pub(crate) fn history(
        &self,
        attestation_type: AttestationType,
        before: Option<u64>,
        limit: u32,
    ) -> Result<HistoryPage, ManagementFailure> {
        self.active(attestation_type)?;
        let versions =
            self.store.policy_history(&self.provider_id, attestation_type.as_str(), before, limit)?;
        let next_before = versions.last().map(|row| row.version).filter(|last| *last > 1);
        Ok(HistoryPage { versions, next_before })
    }

    /// Keeps a policy and puts it in force. The caller holds the lock.
    pub(super) fn put(
        &self,
        attestation_type: AttestationType,
        jws: VerifiedPolicyJws,
        policy: Policy,
        (action, restored): (PolicyAction, Option<u64>),
        actor: &str,
        now: OffsetDateTime,
    ) -> Result<Outcome, ManagementFailure> {
        check_settings(attestation_type, &policy)?;
        let change = PolicyChange {
            action,
            actor: actor.to_owned(),
            at: now,
            jws: jws.text().to_owned(),
            policy_hash: Some(policy.hash().to_owned()),
            restored,
            signer: jws.signer().map(|signer| signer.chain().to_vec()),
            text: Some(policy.text().to_owned()),
            token_hash: policy_jws::token_hash(jws.text()),
        };
        let version = self.store.append_policy(&self.provider_id, attestation_type.as_str(), &change)?;
        let outcome = Outcome {
            attestation_type,
            policy_hash: change.policy_hash,
            removed: false,
            signer: jws.signer().map(token::PolicySigner::to_jwk),
            token_hash: change.token_hash,
            version,
        };
        let signer = jws.signer().cloned();
        self.activate(
            attestation_type,
            ActivePolicy { jws: change.jws, policy: Some(policy), signer, version },
        );
        Ok(outcome)
    }

    /// Keeps a reset and puts the default in force. The caller holds the lock.
    pub(super) fn remove(
        &self,
        attestation_type: AttestationType,
        jws: &VerifiedPolicyJws,
        (action, restored): (PolicyAction, Option<u64>),
        actor: &str,
        now: OffsetDateTime,
    ) -> Result<Outcome, ManagementFailure> {
        let mut default = default_policy(attestation_type, 0)?;
        let change = PolicyChange {
            action,
            actor: actor.to_owned(),
            at: now,
            jws: jws.text().to_owned(),
            policy_hash: default.policy.as_ref().map(|policy| policy.hash().to_owned()),
            restored,
            signer: jws.signer().map(|signer| signer.chain().to_vec()),
            text: None,
            token_hash: policy_jws::token_hash(jws.text()),
        };
        let version = self.store.append_policy(&self.provider_id, attestation_type.as_str(), &change)?;
        default.version = version;
        self.activate(attestation_type, default);
        Ok(Outcome {
            attestation_type,
            policy_hash: change.policy_hash,
            removed: true,
            signer: jws.signer().map(token::PolicySigner::to_jwk),
            token_hash: change.token_hash,
            version,
        })
    }
}

/// Settings that cannot be followed would refuse every attestation later on.
fn check_settings(attestation_type: AttestationType, policy: &Policy) -> Result<(), ManagementFailure> {
    if matches!(attestation_type, AttestationType::OpenEnclave | AttestationType::SgxEnclave) {
        Settings::of(policy)?;
    }
    Ok(())
}
