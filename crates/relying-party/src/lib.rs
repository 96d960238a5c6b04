//! What an application links to check Vouchsafe and Azure Attestation tokens.
//!
//! The application says which issuer it trusts; everything else follows from that issuer's published
//! configuration. This crate does no I/O and reads no clock: it says what to fetch, and takes what was
//! fetched.
//!
//! - [`discovery`]: which documents to fetch, and what the first of them must say.
//! - [`verifier`]: [`Verifier`], which makes [`Claims`] of tokens.
//! - [`claims`]: what a verified token says.
//!
//! ```
//! use relying_party::{Claims, Error, Metadata, Verifier, metadata_url};
//! use time::OffsetDateTime;
//!
//! # fn fetch_over_https(_url: &str) -> Vec<u8> { Vec::new() }
//! const ISSUER: &str = "https://attest.example.org";
//!
//! fn verifier() -> Result<Verifier, Error> {
//!     let metadata = fetch_over_https(&metadata_url(ISSUER)?);
//!     let keys = fetch_over_https(Metadata::parse(ISSUER, &metadata)?.jwks_uri());
//!     Verifier::from_metadata(ISSUER, &metadata, &keys)
//! }
//!
//! fn may_have_the_secret(verifier: &Verifier, token: &str) -> Result<bool, Error> {
//!     let claims: Claims = verifier.verify(token, OffsetDateTime::now_utc())?;
//!     Ok(claims.attestation_type()? == "sgx" && !claims.is_debuggable()? && claims.svn()? >= 3)
//! }
//! ```
//!
//! On [`Error::needs_fresh_keys`] the issuer may have changed its key: fetch the documents again, once
//! for many tokens, and try again.
#![forbid(unsafe_code)]

pub mod claims;
pub mod discovery;
pub mod verifier;

pub use claims::{ClaimError, Claims};
pub use discovery::{DiscoveryError, Metadata, metadata_url};
pub use token::{JwksError, TokenError};
pub use verifier::{Error, Verifier};
