//! The policies in force where nothing was set.

use api::AttestationType;
use api::management::policy_payload;
use policy::{Diagnostics, Policy, defaults};
use token::policy_jws;

use super::ActivePolicy;

/// The default of a type, after `version` changes. `Tpm` has none: its JWS has an empty payload.
pub(super) fn default_policy(
    attestation_type: AttestationType,
    version: u64,
) -> Result<ActivePolicy, Diagnostics> {
    let Some(text) = text(attestation_type) else {
        return Ok(ActivePolicy { jws: policy_jws::unsigned(b""), policy: None, signer: None, version });
    };
    let policy = Policy::analyze(text)?;
    let jws = policy_jws::unsigned(&policy_payload(text));
    Ok(ActivePolicy { jws, policy: Some(policy), signer: None, version })
}

fn text(attestation_type: AttestationType) -> Option<&'static str> {
    match attestation_type {
        AttestationType::OpenEnclave | AttestationType::SgxEnclave => Some(defaults::SGX),
        AttestationType::SevSnpVm => Some(defaults::SEV_SNP),
        AttestationType::TdxVm => Some(defaults::TDX),
        AttestationType::AzureGuest => Some(defaults::AZURE_GUEST),
        AttestationType::AiHsm
        | AttestationType::KeyGuard
        | AttestationType::MdepTz
        | AttestationType::Pluton
        | AttestationType::Tpm => None,
    }
}
