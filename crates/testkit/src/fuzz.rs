//! One function for each parser: any bytes go in, nothing but a panic is a finding.
//!
//! The cargo-fuzz targets under `fuzz/` call these, one line each, and so does the replay test, which
//! needs no fuzzer. Nothing is switched off in them: signatures are checked as in production.
//!
//! - evidence and endorsements: [`sgx`], [`tpm`]; requests, policies and tokens: [`text`].
//! - what to start from: [`corpus`].

pub mod corpus;
pub mod sgx;
pub mod text;
pub mod tpm;

use sgx::{
    crl, endorsement_file, open_enclave_report, pck_chain, qe_identity, sgx_extension, sgx_quote,
    signer_chain, tcb_info, trust_anchor,
};
use text::{
    attest_open_enclave_request, attest_sgx_enclave_request, json, jwks, management_request, policy_jws,
    policy_signer, policy_text, token_text,
};
use tpm::{
    ak_certificate, cc_event_log, enrolment_request, ima_log, platform_claim, tcg_event_log, tpm_attest,
    tpm_message, tpm_public_area, tpm_signature, vbs_report,
};

/// A parser to be fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the cargo-fuzz target and of its corpus directory.
    pub name: &'static str,
    /// What to run.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident)*) => {
        /// Every target, in alphabetical order.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name }),*];
    };
}

targets! {
    ak_certificate
    attest_open_enclave_request
    attest_sgx_enclave_request
    cc_event_log
    crl
    endorsement_file
    enrolment_request
    ima_log
    json
    jwks
    management_request
    open_enclave_report
    pck_chain
    platform_claim
    policy_jws
    policy_signer
    policy_text
    qe_identity
    sgx_extension
    sgx_quote
    signer_chain
    tcb_info
    tcg_event_log
    token_text
    tpm_attest
    tpm_message
    tpm_public_area
    tpm_signature
    trust_anchor
    vbs_report
}

/// The targets that read files of a kind of the captures' manifest.
#[must_use]
pub fn targets_for(kind: &str) -> &'static [&'static str] {
    match kind {
        "sgx-quote-v3" => &["sgx_quote"],
        "oe-report" | "attested-tls-cert" => &["open_enclave_report"],
        "tcbinfo" => &["tcb_info", "endorsement_file"],
        "qeidentity" | "qveidentity" => &["qe_identity", "endorsement_file"],
        "pck-crl" | "root-ca-crl" => &["crl", "endorsement_file"],
        "issuer-chain" | "tcb-signing-chain" => &["signer_chain", "endorsement_file"],
        "pck-chain" => &["pck_chain"],
        "oe-endorsements"
        | "pcs-client-response-json"
        | "qeidentity-with-chain-json"
        | "qve-collateral-dump"
        | "qve-collateral-serialised"
        | "quote-collateral-v3-json"
        | "root-ca"
        | "tcb-signing-cert"
        | "tcb-with-chain-json" => &["endorsement_file"],
        "test-root-ca" => &["trust_anchor"],
        "maa-jwt" => &["token_text"],
        "maa-policy-jws" => &["token_text", "policy_jws"],
        "jwks" => &["jwks"],
        "maa-policy" => &["policy_text"],
        "maa-attest-request" => &["attest_open_enclave_request", "attest_sgx_enclave_request"],
        _ => &[],
    }
}
