//! Hardware vendor bytes in, verified and bound reports out.
//!
//! Evidence goes through types, each with one maker: bytes are parsed into a [`sgx::Quote`], whose
//! `verify` makes a [`sgx::VerifiedReport`] from a [`dcap::VerifiedPck`] and [`dcap::Endorsements`],
//! whose `bind` makes a [`sgx::BoundReport`]. No I/O, no clock: bytes and `now` are arguments, and
//! parsing says what to fetch ([`dcap::EndorsementsId`]).
//!
//! - the product's verdict, and the table of checks: [`verdict`].
//! - whom to trust: [`anchors`].
//! - Intel SGX quotes and reports: [`sgx`]; as wrapped by the Open Enclave SDK: [`open_enclave`].
//! - Intel's endorsements, and the file formats people have them in: [`dcap`].
//! - TPM quotes and the keys that sign them: [`tpm`]; the logs of measured boot: [`eventlog`].
//! - what a sender can do wrong: [`ParseError`], [`VerifyError`], [`BindingError`].
#![forbid(unsafe_code)]

mod crl;
mod error;
mod pem;
mod read;
mod x509;

pub mod anchors;
pub mod dcap;
pub mod eventlog;
pub mod open_enclave;
pub mod sgx;
pub mod tpm;
pub mod verdict;

pub use anchors::TrustAnchors;
pub use crl::CrlError;
pub use error::{BindingError, ParseError, VerifyError};
pub use pem::PemError;
pub use read::{ReadError, Reader};
pub use verdict::{Check, CheckValue, Outcome, Rejection, Verdict};
pub use x509::{CertificateRole, ChainError, Validity};
