//! The wire: TLS, HTTP/1.1 and JSON around the stages.
//!
//! - connections: [`listener`]; what every request passes: [`front`], [`admission`], [`request_id`]; whose
//!   it is: [`tenancy`].
//! - [`router`] is the list of routes, [`attest`] one attestation from bytes to token; [`metadata`] and
//!   [`health`] are the other answers.
//! - who may call: [`access_token`]. What a failure looks like: [`error`].

pub(crate) mod access_token;
pub(crate) mod admission;
mod attest;
mod body;
mod error;
pub(crate) mod front;
mod health;
pub(crate) mod listener;
mod metadata;
mod request_id;
pub(crate) mod router;
pub(crate) mod tenancy;

pub(crate) use metadata::Documents;
