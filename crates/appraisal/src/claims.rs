//! Claim names: what a bound report says, in the words of the token and of the policy.
//!
//! The names are those of Azure Attestation's SGX claim set. Digests and measurements are lower-case
//! hex in the byte order of the evidence, SVNs and ids are integers, flags are booleans.

use evidence::dcap::CollateralDigests;
use evidence::sgx::BoundReport;
use policy::{Claim, Value};
use serde_json::{Map, Value as Json, json};

/// The attestation type of both SGX endpoints.
pub(crate) const SGX: &str = "sgx";

/// Names that 2020 policies read, beside the modern ones.
const DEPRECATED_INPUT: [(&str, &str); 6] = [
    ("$is-debuggable", "x-ms-sgx-is-debuggable"),
    ("$product-id", "x-ms-sgx-product-id"),
    ("$sgx-mrenclave", "x-ms-sgx-mrenclave"),
    ("$sgx-mrsigner", "x-ms-sgx-mrsigner"),
    ("$svn", "x-ms-sgx-svn"),
    ("$tee", "x-ms-attestation-type"),
];

/// Every name that the policy may read of an SGX enclave, sorted.
pub const SGX_CLAIM_NAMES: [&str; 17] = [
    "$is-debuggable",
    "$product-id",
    "$sgx-mrenclave",
    "$sgx-mrsigner",
    "$svn",
    "$tee",
    "x-ms-attestation-type",
    "x-ms-sgx-config-id",
    "x-ms-sgx-config-svn",
    "x-ms-sgx-is-debuggable",
    "x-ms-sgx-isv-extended-product-id",
    "x-ms-sgx-isv-family-id",
    "x-ms-sgx-mrenclave",
    "x-ms-sgx-mrsigner",
    "x-ms-sgx-product-id",
    "x-ms-sgx-report-data",
    "x-ms-sgx-svn",
];

/// The scalar claims of an SGX enclave, as the policy reads them and the token carries them.
///
/// The four claims of Key Separation and Sharing appear only for enclaves built with it.
#[must_use]
pub fn sgx_claims(report: &BoundReport) -> Vec<(&'static str, Value)> {
    let body = report.body();
    let mut claims = vec![
        ("x-ms-attestation-type", Value::from(SGX)),
        ("x-ms-sgx-is-debuggable", Value::from(body.is_debuggable())),
        ("x-ms-sgx-mrenclave", hex_value(&body.mr_enclave)),
        ("x-ms-sgx-mrsigner", hex_value(&body.mr_signer)),
        ("x-ms-sgx-product-id", Value::from(i64::from(body.isv_prod_id))),
        ("x-ms-sgx-report-data", hex_value(&body.report_data)),
        ("x-ms-sgx-svn", Value::from(i64::from(body.isv_svn))),
    ];
    if body.has_kss() {
        claims.extend([
            ("x-ms-sgx-config-id", hex_value(&body.config_id)),
            ("x-ms-sgx-config-svn", Value::from(i64::from(body.config_svn))),
            ("x-ms-sgx-isv-extended-product-id", hex_value(&body.isv_ext_prod_id)),
            ("x-ms-sgx-isv-family-id", hex_value(&body.isv_family_id)),
        ]);
    }
    claims
}

/// What the policy reads: the scalar claims and their deprecated names.
#[must_use]
pub fn incoming(claims: &[(&'static str, Value)]) -> Vec<Claim> {
    let deprecated = DEPRECATED_INPUT.iter().filter_map(|(old, modern)| {
        let (_, value) = claims.iter().find(|(name, _)| name == modern)?;
        Some(Claim::service(*old, value.clone()))
    });
    claims.iter().map(|(name, value)| Claim::service(*name, value.clone())).chain(deprecated).collect()
}

/// The digests of what the report was verified with, under both names the token carries.
pub(crate) fn insert_collateral(
    claims: &mut Map<String, Json>,
    quote_hash: &[u8; 32],
    digests: &CollateralDigests,
) {
    let collateral = json!({
        "qeidcertshash": hex::encode(digests.qe_identity_issuer_chain),
        "qeidcrlhash": hex::encode(digests.qe_identity_crl),
        "qeidhash": hex::encode(digests.qe_identity),
        "quotehash": hex::encode(quote_hash),
        "tcbinfocertshash": hex::encode(digests.tcb_info_issuer_chain),
        "tcbinfocrlhash": hex::encode(digests.tcb_info_crl),
        "tcbinfohash": hex::encode(digests.tcb_info),
    });
    claims.insert("maa-attestationcollateral".to_owned(), collateral.clone());
    claims.insert("x-ms-sgx-collateral".to_owned(), collateral);
}

/// Enclave-held data of type Binary, under its three names.
pub(crate) fn insert_enclave_held_data(claims: &mut Map<String, Json>, base64url: &str) {
    for name in ["aas-ehd", "maa-ehd", "x-ms-sgx-ehd"] {
        claims.insert(name.to_owned(), Json::from(base64url));
    }
}

fn hex_value(bytes: &[u8]) -> Value {
    Value::from(hex::encode(bytes))
}
