//! The keys of `[provider.tpm]`: attestation of machines by their TPMs.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// How a provider attests machines with TPMs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TpmConfig {
    /// How long a certificate of an attestation key is good, in days.
    pub aik_certificate_days: u32,
    /// Let anybody attest and enrol; otherwise that takes the role Reader.
    pub anonymous_attestation: bool,
    /// How long a challenge can be answered, in minutes.
    pub challenge_lifetime_minutes: u32,
    /// What goes before the name of a client's custom claim to make a claim of it.
    pub custom_claim_prefix: String,
    /// How the claim `pcrs` writes digests.
    pub pcr_encoding: PcrEncoding,
    /// Refuse certificates of TPM keys that do not say so in an extended key usage.
    pub require_key_usage: bool,
    /// Directory with the issuers to trust: `ek/` of endorsement keys, `aik/` of attestation keys.
    pub roots: Option<PathBuf>,
}

/// How the claim `pcrs` writes digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PcrEncoding {
    /// RFC 4648 §5 without padding.
    Base64url,
    /// In lower case.
    #[default]
    Hex,
}

impl Default for TpmConfig {
    fn default() -> Self {
        Self {
            aik_certificate_days: 30,
            anonymous_attestation: false,
            challenge_lifetime_minutes: 10,
            custom_claim_prefix: String::new(),
            pcr_encoding: PcrEncoding::default(),
            require_key_usage: true,
            roots: None,
        }
    }
}

impl TpmConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_CHALLENGE_LIFETIME_MINUTES).contains(&self.challenge_lifetime_minutes) {
            let fix = format!("use a number from 1 to {MAX_CHALLENGE_LIFETIME_MINUTES}");
            let key = "provider.tpm.challenge_lifetime_minutes";
            return Err(ConfigError::invalid(key, self.challenge_lifetime_minutes, fix));
        }
        if !(1..=MAX_AIK_CERTIFICATE_DAYS).contains(&self.aik_certificate_days) {
            let fix = format!("use a number from 1 to {MAX_AIK_CERTIFICATE_DAYS}");
            let key = "provider.tpm.aik_certificate_days";
            return Err(ConfigError::invalid(key, self.aik_certificate_days, fix));
        }
        Ok(())
    }
}

/// Enrolling again takes a machine no effort, and shows that it still has its TPM.
const MAX_AIK_CERTIFICATE_DAYS: u32 = 366;
/// An answer shows the machine as it was when it was challenged; an hour ago is no longer the present.
const MAX_CHALLENGE_LIFETIME_MINUTES: u32 = 60;
