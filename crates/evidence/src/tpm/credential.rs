//! MakeCredential (TPM 2.0 Library Part 1, 24; Part 3, 12.6): a secret that only the TPM with the
//! endorsement key can read, and only if it holds the object named.

use crypto::tpm_kdf::{aes_cfb_zero_iv, agree_ephemeral, hmac, kdf_a, kdf_e, rsa_oaep};
use crypto::{HashAlgorithm, PublicKey};
use zeroize::Zeroizing;

use super::error::KeyError;
use super::key::check_kind;
use super::public::{Attributes, PublicArea, TPM_BOUND};
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

impl<'a> EndorsementKey<'a> {
    /// The certified key, with the algorithms of the public area that was sent with it (TCG EK Credential Profile,
    /// B.3 and B.4):
    /// 1. the public area holds the certified key,
    /// 2. fixedTPM, fixedParent, sensitiveDataOrigin, restricted and decrypt are set, sign is not,
    /// 3. the name algorithm is SHA-256 or stronger,
    /// 4. it is an RSA key from 2048 bits, or one on P-256 or P-384,
    /// 5. it protects others with AES in CFB mode, with 128 or 256 bits.
    ///
    /// Nobody vouches for the public area but for its key. What is wrong in it makes a credential that the TPM does not
    /// open.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn certified(key: &'a PublicKey, area: &PublicArea<'_>) -> Result<Self, KeyError> {
        if area.public_key()? != *key {
            return Err(KeyError::Mismatch);
        }
        area.attributes.require(TPM_BOUND)?;
        area.attributes
            .require(&[(Attributes::RESTRICTED, "restricted"), (Attributes::DECRYPT, "decrypt")])?;
        area.attributes.forbid(Attributes::SIGN, "sign")?;
        area.check_name_algorithm()?;
        check_kind(key)?;
        let symmetric = area.symmetric().filter(|symmetric| symmetric.is_aes_cfb());
        match symmetric.map(|symmetric| symmetric.key_bits) {
            Some(symmetric_bits @ (128 | 256)) => {
                Ok(Self { key, name_algorithm: area.name_algorithm, symmetric_bits })
            }
            _ => Err(KeyError::Symmetric),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A storage key on P-256 as the profile's template L-2 has it, with `attributes` and AES of `bits` in `mode`.
    fn area(point: &[u8], attributes: u32, symmetric: [u16; 3]) -> Vec<u8> {
        let mut bytes = vec![0, 0x23, 0, 0x0b];
        bytes.extend(attributes.to_be_bytes());
        bytes.extend([0, 0]);
        for number in symmetric.into_iter().take(if symmetric[0] == 0x10 { 1 } else { 3 }) {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend([0, 0x10, 0, 3, 0, 0x10]);
        for coordinate in point[1..].chunks(32) {
            bytes.extend([0, 32]);
            bytes.extend(coordinate);
        }
        bytes
    }

    #[test]
    fn endorsement_keys_only_protect_what_their_tpm_checks() {
        const AES: [u16; 3] = [6, 128, 0x43];
        let key = || {
            let key = crypto::SigningKey::generate(crypto::SigningAlgorithm::Es256).unwrap();
            key.public_key().unwrap()
        };
        let (certified, other) = (key(), key());
        let check = |key: &PublicKey, attributes, symmetric| {
            let bytes = area(key.point().unwrap(), attributes, symmetric);
            let area = PublicArea::parse(&bytes).unwrap();
            EndorsementKey::certified(&certified, &area).map(|ek| (ek.name_algorithm, ek.symmetric_bits))
        };
        let good = 0x0003_00b2;
        assert_eq!(check(&certified, good, AES), Ok((HashAlgorithm::Sha256, 128)));
        assert_eq!(check(&certified, good, [6, 256, 0x43]), Ok((HashAlgorithm::Sha256, 256)));
        assert_eq!(check(&other, good, AES), Err(KeyError::Mismatch));
        for (attributes, attribute, required) in [
            (good & !Attributes::FIXED_TPM, "fixedTPM", true),
            (good & !Attributes::RESTRICTED, "restricted", true),
            (good & !Attributes::DECRYPT, "decrypt", true),
            (good | Attributes::SIGN, "sign", false),
        ] {
            let expected = Err(KeyError::Attribute { attribute, required });
            assert_eq!(check(&certified, attributes, AES), expected);
        }
        for symmetric in [[0x10, 0, 0], [6, 192, 0x43], [6, 128, 0x42], [0x26, 128, 0x43]] {
            assert_eq!(check(&certified, good, symmetric), Err(KeyError::Symmetric), "{symmetric:?}");
        }
    }
}
