//! A provider at start: what the database holds, and what the configuration declares beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use api::management::{policy_payload, stored_policy};
use api::{ApiVersion, AttestationType};
use policy::Policy;
use time::OffsetDateTime;
use token::policy_jws::{self, Trust};
use token::{PolicyJws, PolicySigner};
use x509_cert::der::pem::decode_vec;

use super::defaults::default_policy;
use super::{ActivePolicy, Management, ManagementFailure, OpenPoliciesError, POLICY_TYPES};
use crate::config::{ConfigError, ProviderConfig, TrustModel};
use crate::data_dir::read_bounded;
use crate::store::Store;
use crate::store::management::{PolicyAction, PolicyVersion, SignerAction};

/// Who makes the changes that the configuration declares.
const CONFIGURATION: &str = "configuration";

/// Largest file of a policy or of its JWS: base64 twice, and a header with certificates.
const MAX_POLICY_FILE_BYTES: u64 = 1024 * 1024;

/// Ends each certificate of a PEM file.
const END_OF_CERTIFICATE: &str = "-----END CERTIFICATE-----";

/// Largest file of a signer's certificates; one has about two KiB.
const MAX_CERTIFICATE_FILE_BYTES: u64 = 64 * 1024;

impl Management {
    /// Opens a provider:
    ///
    /// 1. its row, made if there is none; the trust model is chosen once;
    /// 2. its signers, and those of the configuration that were never there before (one that was removed
    ///    over the wire stays removed);
    /// 3. its policies as kept, and the configured one for a type for which nothing was ever kept. A shared
    ///    provider has no other source of policies than its configuration, so that one is followed always.
    ///
    /// # Errors
    /// [`OpenPoliciesError`].
    pub(crate) fn open(
        config: &ProviderConfig,
        store: Arc<Store>,
        danger_appraise_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<Self, OpenPoliciesError> {
        let new_id = hex::encode(crypto::random_bytes::<16>()?);
        let row = store.provider(config.name(), &new_id, config.trust_model.as_str(), now)?;
        if row.trust_model != config.trust_model.as_str() {
            let fix = format!(
                "the provider `{}` was made with `{}`, and the trust model is chosen once; use another name \
                 or another data directory for a new provider",
                config.name(),
                row.trust_model
            );
            return Err(ConfigError::invalid("provider.trust_model", config.trust_model.as_str(), fix).into());
        }
        let management = Self {
            active: RwLock::new(BTreeMap::new()),
            danger_appraise_at,
            provider_id: row.id,
            signers: RwLock::new(Arc::new([])),
            store,
            trust_model: config.trust_model,
            writing: Mutex::new(()),
        };
        management.open_signers(config, now)?;
        for attestation_type in POLICY_TYPES {
            management.open_policy(config, attestation_type, now)?;
        }
        Ok(management)
    }

    fn open_signers(&self, config: &ProviderConfig, now: OffsetDateTime) -> Result<(), OpenPoliciesError> {
        const KEY: &str = "provider.policy_signer_certificates";
        let files = &config.policy_signer_certificates;
        if self.trust_model != TrustModel::Isolated {
            return match files.first() {
                None => Ok(()),
                Some(file) => {
                    let fix = "only `trust_model = \"isolated\"` has signers; set it, or remove the files";
                    Err(ConfigError::invalid(KEY, file.display(), fix).into())
                }
            };
        }
        let changes = self.store.signer_changes(&self.provider_id)?;
        let mut signers: Vec<PolicySigner> = Vec::new();
        let mut seen: Vec<Vec<u8>> = Vec::new();
        for change in changes {
            let signer = PolicySigner::stored(change.chain).map_err(|reason| {
                OpenPoliciesError::CorruptSigner { provider: config.name().to_owned(), reason }
            })?;
            signers.retain(|present| present.leaf() != signer.leaf());
            seen.push(signer.leaf().to_vec());
            if change.action == SignerAction::Add {
                signers.push(signer);
            }
        }
        for file in files {
            let invalid = |fix: String| ConfigError::invalid(KEY, file.display(), fix);
            let chain = read_certificates(file).map_err(invalid)?;
            if chain.first().is_some_and(|leaf| seen.contains(leaf)) {
                continue;
            }
            let signer = PolicySigner::verify(chain, &Trust::new_signer(&signers), self.as_of(now))
                .map_err(|error| invalid(format!("it cannot sign policies: {error}")))?;
            self.keep(SignerAction::Add, &signer, CONFIGURATION, now).map_err(store_error)?;
            seen.push(signer.leaf().to_vec());
            signers.push(signer);
        }
        if signers.is_empty() {
            let fix = "a provider with `trust_model = \"isolated\"` needs at least one signer; give the PEM \
                       file of its certificate";
            return Err(ConfigError::invalid(KEY, "empty", fix).into());
        }
        self.install(signers.into());
        Ok(())
    }

    fn open_policy(
        &self,
        config: &ProviderConfig,
        attestation_type: AttestationType,
        now: OffsetDateTime,
    ) -> Result<(), OpenPoliciesError> {
        let kept = self.store.current_policy(&self.provider_id, attestation_type.as_str())?;
        let corrupt = |version, reason: String| OpenPoliciesError::Corrupt {
            provider: config.name().to_owned(),
            attestation_type,
            version,
            reason,
        };
        let version = kept.as_ref().map_or(0, |row| row.version);
        let active = match &kept {
            Some(row) if row.change.text.is_some() => {
                restored(row).map_err(|reason| corrupt(version, reason))?
            }
            _ => default_policy(attestation_type, version).map_err(|error| corrupt(0, error.to_string()))?,
        };
        let active_jws = active.jws.clone();
        self.activate(attestation_type, active);
        let file = config.policies.get(attestation_type.as_str());
        match (file, kept.is_some(), self.trust_model) {
            (Some(_), true, TrustModel::Aad | TrustModel::Isolated)
            | (None, _, TrustModel::Aad | TrustModel::Isolated) => Ok(()),
            (Some(file), ..) => self.declare(attestation_type, file, &active_jws, now),
            (None, _, TrustModel::Shared) => {
                let default =
                    default_policy(attestation_type, 0).map_err(|error| corrupt(0, error.to_string()))?;
                if default.jws == active_jws {
                    return Ok(());
                }
                let jws = policy_jws::unsigned(b"");
                let jws =
                    PolicyJws::parse(&jws).and_then(|jws| jws.verify(&Trust::anyone(), self.as_of(now)));
                let jws = jws.map_err(|error| corrupt(version, error.to_string()))?;
                self.remove(attestation_type, &jws, (PolicyAction::Reset, None), CONFIGURATION, now)
                    .map(drop)
                    .map_err(|error| corrupt(version, error.to_string()))
            }
        }
    }

    /// Sets the policy of a file, which holds a policy's text or its JWS.
    fn declare(
        &self,
        attestation_type: AttestationType,
        file: &Path,
        active_jws: &str,
        now: OffsetDateTime,
    ) -> Result<(), OpenPoliciesError> {
        let key = format!("provider.policies.{attestation_type}");
        let invalid = |fix: String| OpenPoliciesError::from(ConfigError::invalid(&key, file.display(), fix));
        let bytes = read_bounded(file, MAX_POLICY_FILE_BYTES)
            .map_err(|error| invalid(format!("it cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| invalid("save it as UTF-8".to_owned()))?;
        let body = match PolicyJws::parse(&text) {
            Ok(_) => text.trim_ascii().to_owned(),
            Err(_) => policy_jws::unsigned(&policy_payload(&text)),
        };
        if body == active_jws {
            return Ok(());
        }
        let signers = self.signers();
        let trust = match self.trust_model {
            TrustModel::Aad | TrustModel::Shared => Trust::anyone(),
            TrustModel::Isolated => Trust::only(&signers),
        };
        let declared = || -> Result<(), ManagementFailure> {
            let jws = PolicyJws::parse(&body)?.verify(&trust, self.as_of(now))?;
            let policy = Policy::analyze_bytes(&stored_policy(jws.payload(), ApiVersion::V2020_10_01)?)?;
            self.put(attestation_type, jws, policy, (PolicyAction::Set, None), CONFIGURATION, now)?;
            Ok(())
        };
        declared().map_err(|error| match error {
            ManagementFailure::Store(error) => OpenPoliciesError::Store(error),
            other => invalid(format!("it is not a policy that this provider accepts: {other}")),
        })
    }
}

/// A kept policy, compiled again; what is kept is compared with its own hashes first.
fn restored(row: &PolicyVersion) -> Result<ActivePolicy, String> {
    let change = &row.change;
    let text = change.text.as_deref().unwrap_or_default();
    if policy_jws::token_hash(&change.jws) != change.token_hash {
        return Err("the JWS is not the one that was accepted".to_owned());
    }
    let jws = PolicyJws::parse(&change.jws).map_err(|error| error.to_string())?;
    let is_text = |version| {
        stored_policy(jws.unverified_payload(), version).is_ok_and(|stored| stored == text.as_bytes())
    };
    if !is_text(ApiVersion::V2020_10_01) && !is_text(ApiVersion::V2018_09_01Preview) {
        return Err("the text is not the one in the JWS".to_owned());
    }
    let policy = Policy::analyze(text).map_err(|error| error.to_string())?;
    if change.policy_hash.as_deref() != Some(policy.hash()) {
        return Err("the text is not the one that was accepted".to_owned());
    }
    let signer = change.signer.clone().map(PolicySigner::stored).transpose();
    let signer = signer.map_err(|error| error.to_string())?;
    Ok(ActivePolicy { jws: change.jws.clone(), policy: Some(policy), signer, version: row.version })
}

/// The certificates of a PEM file, in DER.
fn read_certificates(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let pem = read_bounded(file, MAX_CERTIFICATE_FILE_BYTES)
        .map_err(|error| format!("it cannot be read: {error}"))?;
    let text = String::from_utf8_lossy(&pem);
    let blocks = text.split_inclusive(END_OF_CERTIFICATE).filter_map(|block| {
        // What stands between the blocks is for people (RFC 7468 §5.2).
        block.find("-----BEGIN ").and_then(|start| block.get(start..))
    });
    let chain: Option<Vec<_>> = blocks
        .map(|block| match decode_vec(block.as_bytes()) {
            Ok(("CERTIFICATE", der)) => Some(der),
            _ => None,
        })
        .collect();
    let chain = chain.filter(|chain| !chain.is_empty());
    chain.ok_or_else(|| "give PEM certificates, leaf first".to_owned())
}

fn store_error(error: ManagementFailure) -> OpenPoliciesError {
    match error {
        ManagementFailure::Store(error) => OpenPoliciesError::Store(error),
        other => {
            ConfigError::invalid("provider.policy_signer_certificates", "a certificate", other.to_string())
                .into()
        }
    }
}
