//! The signed answers of management operations.

use appraisal::Issuer;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use token::{Jwks, SignError};

/// How long an answer is valid, as recorded of the real service.
const LIFETIME_SECS: i64 = 3600;

/// Signs `claims` with issuer and times added and nothing else: these tokens have no id and no version, so
/// that no reader takes one for an attestation result.
pub(crate) fn sign(
    issuer: &Issuer,
    mut claims: Map<String, Value>,
    now: OffsetDateTime,
) -> Result<String, SignError> {
    let issued_at = now.unix_timestamp();
    claims.insert("exp".to_owned(), issued_at.saturating_add(LIFETIME_SECS).into());
    claims.insert("iat".to_owned(), issued_at.into());
    claims.insert("iss".to_owned(), issuer.uri().into());
    claims.insert("nbf".to_owned(), issued_at.into());
    issuer.signer().sign(issuer.uri(), &claims)
}

/// The key that [`sign`] signs with.
pub(crate) fn keys(issuer: &Issuer) -> Jwks {
    Jwks::from_keys(vec![issuer.signer().jwk().clone()])
}
