//! What relying parties read: keys and discovery. Anonymous, and a bearer token of any kind is tolerated,
//! because SDKs send theirs everywhere.

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use token::metadata::Metadata;
use token::{Jwk, Jwks};

use super::tenancy::Tenant;

/// Claims that a token may hold, as the real service lists them.
const CLAIMS_SUPPORTED: [&str; 18] = [
    "cnf",
    "nonce",
    "x-ms-ver",
    "x-ms-attestation-type",
    "x-ms-policy-hash",
    "x-ms-policy-signer",
    "x-ms-sgx-is-debuggable",
    "x-ms-sgx-mrenclave",
    "x-ms-sgx-mrsigner",
    "x-ms-sgx-svn",
    "x-ms-sgx-ehd",
    "x-ms-sgx-collateral",
    "is-debuggable",
    "sgx-mrsigner",
    "sgx-mrenclave",
    "product-id",
    "svn",
    "tee",
];

/// The published documents, which change only with the service's keys.
#[derive(Debug)]
pub(crate) struct Documents {
    certs: Bytes,
    openid_configuration: Bytes,
}

impl Documents {
    /// The documents of the issuer at `uri` with these keys, the current one first.
    pub(crate) fn new(uri: &str, keys: Vec<Jwk>) -> Self {
        let algorithms: Vec<_> = keys.iter().take(1).map(Jwk::algorithm).collect();
        let configuration = Metadata::new(uri, &algorithms, &CLAIMS_SUPPORTED).to_json();
        let certs = Jwks::from_keys(keys).to_json();
        Self { certs: certs.into(), openid_configuration: configuration.into() }
    }
}

/// `GET /certs`.
pub(super) async fn certs(Tenant(provider): Tenant) -> Response {
    json(provider.documents.certs.clone())
}

/// `GET /.well-known/openid-configuration`.
pub(super) async fn openid_configuration(Tenant(provider): Tenant) -> Response {
    json(provider.documents.openid_configuration.clone())
}

/// `OPTIONS` of both; a browser's preflight is answered before it gets here.
pub(super) async fn options() -> StatusCode {
    StatusCode::NO_CONTENT
}

pub(super) fn json(body: impl Into<Bytes>) -> Response {
    let content_type = HeaderValue::from_static(api::response::CONTENT_TYPE);
    ([(CONTENT_TYPE, content_type)], body.into()).into_response()
}
