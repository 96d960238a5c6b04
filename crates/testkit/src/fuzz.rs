//! One function for each parser: any bytes go in, nothing but a panic is a finding.
//!
//! The cargo-fuzz targets under `fuzz/` call these, one line each, and so does the replay test, which
//! needs no fuzzer. Nothing is switched off in them: signatures are checked as in production.
//!
//! - evidence and endorsements: [`sgx`]; requests, policies and tokens: [`text`].
//! - what to start from: [`corpus`].

pub mod corpus;
pub mod sgx;
pub mod text;

use sgx::{
    crl, endorsement_file, open_enclave_report, pck_chain, qe_identity, sgx_extension, sgx_quote,
    signer_chain, tcb_info, trust_anchor,
};
use text::{
    attest_open_enclave_request, attest_sgx_enclave_request, json, jwks, management_request, policy_jws,
    policy_signer, policy_text, token_text,
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
    attest_open_enclave_request
    attest_sgx_enclave_request
    crl
    endorsement_file
    json
    jwks
    management_request
    open_enclave_report
    pck_chain
    policy_jws
    policy_signer
    policy_text
    qe_identity
    sgx_extension
    sgx_quote
    signer_chain
    tcb_info
    token_text
    trust_anchor
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
