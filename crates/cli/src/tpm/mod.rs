//! A TPM 2.0 of this machine, in pure Rust: the dozen commands that attestation needs (TPM 2.0 Library Part 3).
//!
//! - how to reach it: [`Tcti`]; the bytes of commands and answers: [`wire`]; what a refusal means: [`response_code`].
//! - the commands: [`Tpm`]; the public areas of the keys it makes: [`templates`].
//! - what is done with them: [`identity`], [`endorsement`], [`attestation_key`], [`quote`].
//!
//! What a TPM answers is as untrusted as anything from outside: it is parsed with the bounded reader of `evidence`.
//! Commands are neither encrypted nor authenticated by a session; see `docs/decisions/0005-tpm-commands.md`.

pub(crate) mod attestation_key;
mod commands;
pub(crate) mod endorsement;
mod error;
pub(crate) mod identity;
pub(crate) mod quote;
mod response_code;
mod tcti;
mod templates;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use commands::{KeyBlobs, Tpm};
pub(crate) use tcti::{DEFAULT_DEVICE, Tcti};
pub(crate) use templates::KeyAlgorithm;
