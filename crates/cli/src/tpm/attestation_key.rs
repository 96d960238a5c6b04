//! The attestation key: made once, kept as blobs that only its TPM can use, loaded again for each attestation.
//!
//! Its parent is a P-256 storage key of the endorsement hierarchy that the TPM derives anew each time. Under that
//! hierarchy clearing the TPM for a new owner does not take the key away, quotes carry plain counters
//! (Part 1, 36.7), and one password is all that may be needed.

use super::commands::{KeyBlobs, Tpm};
use super::endorsement::EndorsementKey;
use super::error::TpmError;
use super::templates::{self, KeyAlgorithm};
use crate::failure::Failure;

/// A loaded attestation key.
pub(crate) struct AttestationKey {
    pub(super) handle: u32,
    /// `TPMT_PUBLIC`.
    pub(crate) public: Vec<u8>,
}

/// What became of kept blobs.
pub(crate) enum Loaded {
    Key(AttestationKey),
    /// They are of another TPM, or of this one before its seeds were renewed.
    Foreign,
}

/// Makes a key; it is not loaded.
pub(crate) fn create(tpm: &mut Tpm, algorithm: KeyAlgorithm) -> Result<KeyBlobs, TpmError> {
    let (parent, _) = tpm.create_primary(&templates::storage_key())?;
    let key = tpm.create(parent, &templates::attestation_key(algorithm))?;
    tpm.flush(parent)?;
    Ok(key)
}

/// Loads a key that [`create`] made.
pub(crate) fn load(tpm: &mut Tpm, key: KeyBlobs) -> Result<Loaded, TpmError> {
    let (parent, _) = tpm.create_primary(&templates::storage_key())?;
    let loaded = tpm.load(parent, &key);
    tpm.flush(parent)?;
    match loaded {
        Ok(handle) => Ok(Loaded::Key(AttestationKey { handle, public: key.public })),
        Err(error) if error.code().is_some_and(|code| code.is_foreign_key()) => Ok(Loaded::Foreign),
        Err(error) => Err(error),
    }
}

/// Opens a credential that somebody made for this endorsement key and the name of this attestation key: both
/// structures with their sizes, `TPM2B_ID_OBJECT` and `TPM2B_ENCRYPTED_SECRET`.
pub(crate) fn activate(
    tpm: &mut Tpm,
    key: &AttestationKey,
    ek: &EndorsementKey,
    credential_blob: &[u8],
    encrypted_secret: &[u8],
) -> Result<Vec<u8>, Failure> {
    let content = |name: &str, bytes| {
        evidence::Reader::all(bytes, "credential", |r| r.sized("content")).map_err(
            |error: evidence::ReadError| Failure::failed(format!("the {name} cannot be read: {error}")),
        )
    };
    let credential_blob = content("credential blob", credential_blob)?;
    let encrypted_secret = content("encrypted secret", encrypted_secret)?;
    let session = tpm.start_policy_session()?;
    tpm.policy_secret(session)?;
    Ok(tpm.activate_credential(key.handle, ek.handle, session, credential_blob, encrypted_secret)?)
}
