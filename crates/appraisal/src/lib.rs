//! Joins evidence, policy and token: the settings a policy asks for, the provider's baseline, the
//! names of claims, and the issuer.
//!
//! ```text
//! policy --configure--> Settings
//! BoundReport --appraise(baseline, policy)--> AttestationResult --issue--> Token
//! ```
//!
//! - What the policy asks of the evidence: [`Settings`], [`TpmSettings`].
//! - What the provider accepts before any policy runs: [`Baseline`].
//! - The decision and the claims: [`appraise`] and, of machines with TPMs, [`appraise_tpm`], which alone make an
//!   [`AttestationResult`].
//! - The signature: [`Issuer`], which alone makes a [`Token`], and only of an attestation result.
#![forbid(unsafe_code)]

mod appraise;
mod baseline;
mod claims;
mod issuer;
mod settings;
mod tpm;

pub use appraise::{AppraisalError, AttestationResult, DataType, RequestData, appraise};
pub use baseline::{Baseline, BaselineError};
pub use claims::{SGX_CLAIM_NAMES, incoming, sgx_claims};
pub use issuer::{Issuer, Token};
pub use settings::{Settings, SettingsError, TcbBaseline};
pub use tpm::{
    CustomClaim, PcrEncoding, TPM_CLAIM_NAMES, TpmRequestData, TpmSettings, appraise_tpm, tpm_incoming,
};
