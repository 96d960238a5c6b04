//! JSON Web Signatures, keys and tokens: unverified in, verified out.
//!
//! A token that arrives is text; [`UnverifiedToken::parse`] takes it apart and
//! [`UnverifiedToken::verify`] is the only maker of a [`VerifiedToken`]. A token that leaves is made
//! by a [`Signer`], whose public half is a [`Jwk`] in a published [`Jwks`].
//!
//! - text formats: [`base64url`], [`json`] (the strict reader).
//! - what a token is made of: [`jws`], [`algorithm`].
//! - keys: [`jwk`] (public, received and published), [`signer`] (ours).
//! - tokens that arrive: [`unverified`], [`verified`].
//! - what discovery publishes: [`metadata`].
//! - policies and their signers on the wire: [`policy_jws`].
#![forbid(unsafe_code)]

pub mod algorithm;
pub mod base64url;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod metadata;
pub mod policy_jws;
mod public_key;
pub mod signer;
pub mod unverified;
pub mod verified;

pub use algorithm::Algorithm;
pub use json::JsonError;
pub use jwk::{Jwk, JwkError, Jwks, JwksError};
pub use jws::{Jws, JwsError};
pub use policy_jws::{PolicyJws, PolicyJwsError, PolicySigner, VerifiedPolicyJws};
pub use signer::{SignError, Signer, short_token_id, token_id};
pub use unverified::{Expectations, TokenError, UnverifiedToken};
pub use verified::VerifiedToken;

/// The claims of a token: a JSON object, its members in ascending byte order of their names.
pub type Claims = serde_json::Map<String, serde_json::Value>;
