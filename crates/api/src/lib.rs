//! Request and response types of the attestation HTTP contract: what Azure Attestation's data plane
//! and its published clients put on the wire, read tolerantly where clients differ and strictly
//! where two readings would be possible.
//!
//! - what a URL says: [`version`], [`attestation_type`], [`path`].
//! - what a request body says: [`request`] and, inside it, [`data`] (runtime and init-time data),
//!   [`nonce`], [`transport`] (base64 of any kind); [`limits`] bounds it all.
//! - the messages of TPM attestation: [`tpm`].
//! - what a response says: [`response`].
//! - policies and their signers, in and out: [`management`]; machines that enrol: [`enrolment`].
#![forbid(unsafe_code)]

pub mod attestation_type;
pub mod data;
pub mod enrolment;
pub mod error;
pub mod limits;
pub mod management;
pub mod nonce;
pub mod path;
pub mod request;
pub mod response;
pub mod tpm;
pub mod transport;
pub mod version;

mod members;

pub use attestation_type::{AttestationType, UnknownAttestationType};
pub use data::Data;
pub use enrolment::{ActivateTpm, EnrollTpm, RevokeMachine};
pub use error::RequestError;
pub use management::ManagementError;
pub use nonce::Nonce;
pub use request::{AttestOpenEnclave, AttestSgxEnclave};
pub use response::{ErrorBody, ErrorCode, ErrorDetail};
pub use version::{ApiVersion, ApiVersionError};
