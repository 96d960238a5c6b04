//! Forged evidence under a test root, and the vector runner. Development only.
//!
//! Nothing a user runs depends on this crate, and no product crate knows any of its roots: a caller
//! that wants a forgery believed must name the root itself, by the same call an operator uses for its
//! own.
//!
//! - forgeries: [`intel`] (hierarchy, endorsements, quotes), [`pcs`] (the same as answers of Intel's
//!   provisioning certification service), [`open_enclave`] (its wrappers), [`formats`] (the files
//!   endorsements are kept in);
//! - machines: [`endorsed_tpm`], a TPM in software, as far as enrolment needs one;
//! - machines with software TPMs, and their requests: [`tpm`];
//! - what they are made of: [`x509`], [`key`], [`asn1`];
//! - recorded scenarios: [`vector`] (the file format and the run), [`scenarios`] (what is committed);
//! - fuzzing: [`fuzz`], one function for each parser.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "development only: a forge that cannot forge should stop the test, loudly"
)]

pub mod asn1;
pub mod captures;
pub mod endorsed_tpm;
pub mod formats;
pub mod fuzz;
pub mod intel;
pub mod key;

pub mod mutate;
pub mod names;
pub mod open_enclave;
pub mod pcs;
pub mod scenarios;
pub mod tpm;
pub mod vector;
pub mod x509;

pub use intel::{Forge, Minted};
