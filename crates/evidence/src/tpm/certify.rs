//! Keys that a TPM certifies (TPM 2.0 Library Part 3, 18.2 TPM2_Certify).

use crypto::PublicKey;

use super::attest::{Attest, Attested};
use super::error::VerifyError;
use super::key::{AttestationKey, check_application_key};
use super::public::PublicArea;
use super::signature::Signature;

/// An application key of which an attestation key says that it lives in the same TPM.
///
/// Only [`Attest::verify_certified_key`] makes one.
#[derive(Debug, Clone)]
pub struct CertifiedKey {
    key: PublicKey,
    name_algorithm: u16,
    attributes: u32,
    auth_policy: Vec<u8>,
}

impl CertifiedKey {
    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The `TPM_ALG_ID` of its name: the claim member `name_alg`.
    #[must_use]
    pub const fn name_algorithm(&self) -> u16 {
        self.name_algorithm
    }

    /// Its `TPMA_OBJECT`: the claim member `obj_attr`.
    #[must_use]
    pub const fn attributes(&self) -> u32 {
        self.attributes
    }

    /// The policy that authorises its use, empty if there is none: the claim member `auth_policy`.
    #[must_use]
    pub fn auth_policy(&self) -> &[u8] {
        &self.auth_policy
    }
}

impl Attest<'_> {
    /// Verifies a certification of `area`:
    /// 1. it is a certification,
    /// 2. `key` signed it,
    /// 3. the qualifying data are `challenge`, exactly,
    /// 4. the name certified is the name of `area`,
    /// 5. `area` is an application key whose secret is the TPM's alone.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify_certified_key(
        &self,
        area: &PublicArea<'_>,
        signature: &Signature<'_>,
        key: &AttestationKey,
        challenge: &[u8],
    ) -> Result<CertifiedKey, VerifyError> {
        let Attested::Certify { name, .. } = &self.attested else {
            return Err(VerifyError::Type { expected: "certification", found: self.attested.type_name() });
        };
        self.check_signature(signature, key, "certification")?;
        self.check_nonce(challenge)?;
        let expected = area.name();
        if expected != *name {
            return Err(VerifyError::CertifiedName { expected, found: name.to_vec() });
        }
        Ok(CertifiedKey {
            key: check_application_key(area)?,
            name_algorithm: super::algorithm::hash_id(area.name_algorithm),
            attributes: area.attributes.bits(),
            auth_policy: area.auth_policy.to_vec(),
        })
    }
}
