//! MakeCredential (TPM 2.0 Library Part 1, 24; Part 3, 12.6): a secret that only the TPM with the
//! endorsement key can read, and only if it holds the object named.

use crypto::tpm_kdf::{aes_cfb_zero_iv, agree_ephemeral, hmac, kdf_a, kdf_e, rsa_oaep};
use crypto::{HashAlgorithm, PublicKey};
use zeroize::Zeroizing;

use super::spki;

/// What `TPM2_ActivateCredential` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The content of the `TPM2B_ID_OBJECT`, without its length.
    pub id_object: Vec<u8>,
    /// The content of the `TPM2B_ENCRYPTED_SECRET`, without its length.
    pub encrypted_secret: Vec<u8>,
}

/// The endorsement key a credential is for: its algorithms are those of the template with which the TPM
/// recreates it (TCG EK Credential Profile, B).
#[derive(Debug, Clone, Copy)]
pub struct EndorsementKey<'a> {
    /// The key of the verified endorsement certificate.
    pub key: &'a PublicKey,
    /// The template's name algorithm.
    pub name_algorithm: HashAlgorithm,
    /// The template's AES key size in bits, 128 or 256.
    pub symmetric_bits: u16,
}

/// Why no credential could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The endorsement key is of a kind that cannot be used.
    #[error("no credential can be made for an endorsement key of this kind or size")]
    Key,
    /// The system's generator gave no bytes.
    #[error("the system's random number generator gave no bytes")]
    Randomness,
    /// The secret is longer than a digest of the endorsement key's name algorithm.
    #[error("a secret of {found} bytes, more than the {limit} that fit")]
    SecretSize {
        /// Its length.
        found: usize,
        /// The most bytes that fit.
        limit: usize,
    },
}

/// Makes a credential for `secret` that the TPM with `ek` can read if it has loaded the object whose name
/// is `name`. The name must have been computed here, from a public area whose attributes were checked.
///
/// # Errors
/// [`CredentialError`].
pub fn make_credential(
    ek: &EndorsementKey<'_>,
    name: &[u8],
    secret: &[u8],
) -> Result<Credential, CredentialError> {
    let hash = ek.name_algorithm;
    let size = hash.size_bytes();
    if secret.len() > size {
        return Err(CredentialError::SecretSize { found: secret.len(), limit: size });
    }
    let (seed, encrypted_secret) = share_seed(ek)?;
    Ok(Credential { id_object: protect(ek, &seed, name, secret)?, encrypted_secret })
}

/// A fresh seed, and what the TPM gets to know it (Part 1, B.10.3 and C.6.3).
fn share_seed(ek: &EndorsementKey<'_>) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), CredentialError> {
    let hash = ek.name_algorithm;
    let size = hash.size_bytes();
    let Some((curve, point)) = ek.key.curve().zip(ek.key.point()) else {
        let random: [u8; 64] = crypto::random_bytes().map_err(|_| CredentialError::Randomness)?;
        let seed = Zeroizing::new(random.iter().take(size).copied().collect::<Vec<u8>>());
        let encrypted = rsa_oaep(hash, &spki::encode(ek.key), b"IDENTITY\0", &seed);
        return Ok((seed, encrypted.map_err(|_| CredentialError::Key)?));
    };
    let agreement = agree_ephemeral(curve, point).map_err(|_| CredentialError::Key)?;
    let field = curve.field_bytes();
    let coordinates = |point: &[u8]| {
        let x = point.get(1..=field).unwrap_or_default().to_vec();
        (x, point.get(field + 1..).unwrap_or_default().to_vec())
    };
    let (own_x, own_y) = coordinates(&agreement.point);
    let (ek_x, _) = coordinates(point);
    let length = u16::try_from(size).map_err(|_| CredentialError::Key)?;
    let seed = kdf_e(hash, &agreement.z, "IDENTITY", [&own_x, &ek_x], length);
    let encrypted = [sized(&own_x)?, sized(&own_y)?].concat();
    Ok((seed, encrypted))
}

/// Part 1, 24.4 and 24.5: encrypted, then authenticated together with the name.
pub(super) fn protect(
    ek: &EndorsementKey<'_>,
    seed: &[u8],
    name: &[u8],
    secret: &[u8],
) -> Result<Vec<u8>, CredentialError> {
    let hash = ek.name_algorithm;
    let key = kdf_a(hash, seed, "STORAGE", [name, b""], ek.symmetric_bits / 8);
    let identity = aes_cfb_zero_iv(&key, &sized(secret)?).map_err(|_| CredentialError::Key)?;
    let length = u16::try_from(hash.size_bytes()).map_err(|_| CredentialError::Key)?;
    let key = kdf_a(hash, seed, "INTEGRITY", [b"", b""], length);
    let integrity = hmac(hash, &key, &[&identity, name]);
    Ok([sized(&integrity)?, identity].concat())
}

fn sized(bytes: &[u8]) -> Result<Vec<u8>, CredentialError> {
    let length = u16::try_from(bytes.len()).map_err(|_| CredentialError::Key)?;
    Ok([&length.to_be_bytes()[..], bytes].concat())
}
