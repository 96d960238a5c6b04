//! The wire: TLS, HTTP/1.1 and JSON around the stages.
//!
//! - connections: [`listener`]; what every request passes: [`front`], [`admission`], [`request_id`]; whose
//!   it is: [`tenancy`].
//! - [`router`] is the list of routes, [`attest`] one attestation from bytes to token; [`metadata`] and
//!   [`health`] are the other answers, [`management`] and [`management_2018`] those for callers with a role;
//!   [`tpm_enrolment`] that for machines with TPMs.
//! - what a failure looks like: [`error`].

pub(crate) mod admission;
mod attest;
mod attest_tpm;
mod audited;
mod body;
mod error;
pub(crate) mod front;
mod health;
pub(crate) mod listener;
mod management;
mod management_2018;
mod metadata;
mod request_id;
pub(crate) mod router;
pub(crate) mod tenancy;
mod tpm_enrolment;

pub(crate) use metadata::Documents;
