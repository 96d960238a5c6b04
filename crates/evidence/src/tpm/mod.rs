//! TPM 2.0: structures, quotes, the keys that sign them and the certificates of those keys.
//!
//! Bytes are parsed into an [`Attest`], whose `verify_quote` makes a [`VerifiedQuote`] from an
//! [`AttestationKey`]; its [`QuotedPcrs`] are the only PCR values that anything else here believes.
//! What the PCRs mean is for the logs to say: [`crate::eventlog`].
//!
//! - structures: [`Attest`], [`PublicArea`], [`Signature`], [`PcrSelection`], [`PcrValues`].
//! - keys: [`AttestationKey`], [`CertifiedKey`], certificates [`AkCertificate`] under [`TpmTrust`].
//! - a machine's evidence, verified with its logs: [`Evidence`]; a whole request with its keys:
//!   [`Attestation`].
//! - what Windows makes of them: [`PlatformClaim`], [`VbsReport`].
//! - credentials for enrolment: [`make_credential`].

mod algorithm;
mod attest;
mod attestation;
mod certificate;
mod certify;
mod claim_blob;
mod credential;
mod error;
mod evidence;
mod key;
mod pcr;
mod public;
mod quote;
mod revocation;
mod signature;
mod spki;
mod trust;
mod vbs;

#[cfg(test)]
pub(crate) mod tests;

pub use algorithm::hash_id;
pub use attest::{Attest, Attested, ClockInfo};
pub use attestation::{
    Attestation, AttestationError, AttestedKey, Binding, Bound, Enclave, Key, QuoteBytes, Quoted,
    VerifiedAttestation,
};
pub use certificate::{CertificateError, KeyRole};
pub use certify::CertifiedKey;
pub use claim_blob::PlatformClaim;
pub use credential::{Credential, CredentialError, EndorsementKey, make_credential};
pub use error::{KeyError, ParseError, VerifyError};
pub use evidence::{Evidence, EvidenceError, KeyTrust, PcrBytes, SignatureBytes, VerifiedEvidence};
pub use key::{AttestationKey, check_application_key, check_attestation_key};
pub use pcr::{PcrSelection, PcrSet, PcrValues};
pub use public::{Attributes, Parameters, PublicArea, Scheme, Symmetric};
pub use quote::{Expectations, QuotedPcrs, VerifiedQuote};
pub use signature::Signature;
pub use trust::{AkCertificate, TpmTrust};
pub use vbs::{EnclaveIdentity, VbsError, VbsReport, VerifiedVbsReport};

pub(crate) use algorithm::{digest_bytes, hash_algorithm};
