//! Private keys of this service. They sign, and they leave only as PKCS #8 in a zeroised buffer.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use zeroize::Zeroizing;

use crate::public_key::{Curve, PublicKey};

/// What a [`SigningKey`] signs with (RFC 7518 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256; signatures are raw `r ‖ s`.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and a 2048-bit key.
    Rs256,
}

/// Why a key could not be made, read or used. It says nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The library could not generate a key.
    #[error("a signing key could not be generated")]
    Generation,
    /// The bytes are not a PKCS #8 private key of the wanted kind.
    #[error("not a PKCS #8 private key of the wanted kind")]
    InvalidKey,
    /// The library refused to sign.
    #[error("the signing operation failed")]
    Signing,
}

/// A private key kept ready for use.
pub struct SigningKey {
    inner: Inner,
}

enum Inner {
    Es256(EcdsaKeyPair),
    Rs256(Box<RsaKeyPair>),
}

impl SigningKey {
    /// Generates a fresh key.
    ///
    /// # Errors
    /// [`SignError::Generation`].
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Self, SignError> {
        let inner = match algorithm {
            SigningAlgorithm::Es256 => Inner::Es256(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                    .map_err(|_| SignError::Generation)?,
            ),
            SigningAlgorithm::Rs256 => Inner::Rs256(Box::new(
                RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SignError::Generation)?,
            )),
        };
        Ok(Self { inner })
    }

    /// Reads a PKCS #8 v1 DER private key.
    ///
    /// # Errors
    /// [`SignError::InvalidKey`] if it is not a key for `algorithm`.
    pub fn from_pkcs8(algorithm: SigningAlgorithm, der: &[u8]) -> Result<Self, SignError> {
        let inner = match algorithm {
            SigningAlgorithm::Es256 => Inner::Es256(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
                    .map_err(|_| SignError::InvalidKey)?,
            ),
            SigningAlgorithm::Rs256 => {
                Inner::Rs256(Box::new(RsaKeyPair::from_pkcs8(der).map_err(|_| SignError::InvalidKey)?))
            }
        };
        Ok(Self { inner })
    }

    /// The private key as PKCS #8 v1 DER, for the key file and for certificates made with it.
    ///
    /// # Errors
    /// [`SignError::InvalidKey`] if the library cannot export it.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SignError> {
        let bytes = match &self.inner {
            Inner::Es256(key) => key.to_pkcs8v1().map_err(|_| SignError::InvalidKey)?.as_ref().to_vec(),
            Inner::Rs256(key) => {
                let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| SignError::InvalidKey)?;
                der.as_ref().to_vec()
            }
        };
        Ok(Zeroizing::new(bytes))
    }

    /// What this key signs with.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        match self.inner {
            Inner::Es256(_) => SigningAlgorithm::Es256,
            Inner::Rs256(_) => SigningAlgorithm::Rs256,
        }
    }

    /// The public half as a DER `SubjectPublicKeyInfo` (RFC 5280 §4.1).
    ///
    /// # Errors
    /// [`SignError::InvalidKey`] if the library cannot export it.
    pub fn public_key_der(&self) -> Result<Vec<u8>, SignError> {
        let der: PublicKeyX509Der<'_> = match &self.inner {
            Inner::Es256(key) => key.public_key().as_der(),
            Inner::Rs256(key) => key.public_key().as_der(),
        }
        .map_err(|_| SignError::InvalidKey)?;
        Ok(der.as_ref().to_vec())
    }

    /// The public half, for whoever needs its numbers.
    ///
    /// # Errors
    /// [`SignError::InvalidKey`] if the library cannot export it.
    pub fn public_key(&self) -> Result<PublicKey, SignError> {
        match &self.inner {
            Inner::Es256(key) => PublicKey::ec_point(Curve::P256, key.public_key().as_ref()),
            Inner::Rs256(key) => {
                let (modulus, exponent) =
                    rsa_numbers(key.public_key().as_ref()).ok_or(SignError::InvalidKey)?;
                PublicKey::rsa(modulus, exponent)
            }
        }
        .map_err(|_| SignError::InvalidKey)
    }

    /// Signs SHA-256 of `message`: raw `r ‖ s` for ES256, PKCS #1 v1.5 for RS256 (RFC 7518 §3.3, §3.4).
    ///
    /// # Errors
    /// [`SignError::Signing`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match &self.inner {
            Inner::Es256(key) => {
                let signature = key.sign(&random, message).map_err(|_| SignError::Signing)?;
                Ok(signature.as_ref().to_vec())
            }
            Inner::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| SignError::Signing)?;
                Ok(signature)
            }
        }
    }

    /// Signs SHA-256 of `message` with an RSA key by RSASSA-PSS, MGF1 with SHA-256 and a salt of 32 bytes: PS256
    /// (RFC 7518 §3.5).
    ///
    /// # Errors
    /// [`SignError::InvalidKey`] for a key that is not RSA, [`SignError::Signing`] if the library refused.
    pub fn sign_ps256(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let Inner::Rs256(key) = &self.inner else { return Err(SignError::InvalidKey) };
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| SignError::Signing)?;
        Ok(signature)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

/// Modulus and exponent of a DER `RSAPublicKey` (RFC 8017 A.1.1) as the library writes it.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = der_element(der, 0x30)?;
    let (modulus, rest) = der_element(sequence, 0x02)?;
    let (exponent, _) = der_element(rest, 0x02)?;
    Some((modulus, exponent))
}

/// The content of the element with this tag that `der` starts with, and what follows it (X.690 §8.1).
fn der_element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    if first < 0x80 {
        return rest.split_at_checked(first.into());
    }
    let (length, rest) = rest.split_at_checked((first & 0x7f).into())?;
    let length =
        length.iter().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()))?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::HashAlgorithm;
    use crate::public_key::SignatureScheme;
    use crate::verify::{BadKey, BadSignature, P256PublicKey, RsaPublicKey};

    #[test]
    fn rs256_signs_what_its_public_key_verifies() {
        let key = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
        let kept = SigningKey::from_pkcs8(SigningAlgorithm::Rs256, &key.to_pkcs8().unwrap()).unwrap();
        let public = RsaPublicKey::from_der(&key.public_key_der().unwrap()).unwrap();
        let signature = kept.sign(b"message").unwrap();
        assert_eq!(public.verify_pkcs1_sha256(b"message", &signature), Ok(()));
        assert_eq!(public.verify_pkcs1_sha256(b"messagf", &signature), Err(BadSignature));
    }

    #[test]
    fn es256_signs_what_its_public_key_verifies() {
        let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
        let kept = SigningKey::from_pkcs8(SigningAlgorithm::Es256, &key.to_pkcs8().unwrap()).unwrap();
        let spki = key.public_key_der().unwrap();
        let public = P256PublicKey::from_point(&spki[spki.len() - 65..]).unwrap();
        let signature: [u8; 64] = kept.sign(b"message").unwrap().try_into().unwrap();
        assert_eq!(public.verify_fixed(b"message", &signature), Ok(()));
        assert_eq!(public.verify_fixed(b"messagf", &signature), Err(BadSignature));
        assert_eq!(public.verify_der(b"message", &signature), Err(BadSignature));
        assert_eq!(key.public_key().unwrap().point(), Some(public.point().as_slice()));
        let coordinates: [u8; 64] = spki[spki.len() - 64..].try_into().unwrap();
        assert_eq!(crate::verify_p256_fixed_once(&coordinates, b"message", &signature), Ok(()));
        assert_eq!(crate::verify_p256_fixed_once(&coordinates, b"messagf", &signature), Err(BadSignature));
        assert_eq!(crate::verify_p256_fixed_once(&[4; 64], b"message", &signature), Err(BadSignature));
    }

    #[test]
    fn ps256_is_made_by_rsa_keys_only() {
        let key = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
        let public = key.public_key().unwrap();
        let signature = key.sign_ps256(b"message").unwrap();
        let pss = SignatureScheme::RsaPss(HashAlgorithm::Sha256);
        assert_eq!(public.verify(pss, b"message", &signature), Ok(()));
        assert_eq!(public.verify(pss, b"messagf", &signature), Err(BadSignature));
        let pkcs1 = SignatureScheme::RsaPkcs1(HashAlgorithm::Sha256);
        assert_eq!(public.verify(pkcs1, b"message", &signature), Err(BadSignature));
        assert_ne!(key.sign_ps256(b"message").unwrap(), signature, "the salt is random");
        let other = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
        assert_eq!(other.sign_ps256(b"message").err(), Some(SignError::InvalidKey));
    }

    #[test]
    fn a_key_of_the_other_kind_is_refused() {
        let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
        let pkcs8 = key.to_pkcs8().unwrap();
        assert_eq!(
            SigningKey::from_pkcs8(SigningAlgorithm::Rs256, &pkcs8).err(),
            Some(SignError::InvalidKey)
        );
        assert_eq!(RsaPublicKey::from_der(&key.public_key_der().unwrap()).err(), Some(BadKey));
        assert_eq!(P256PublicKey::from_point(&[4; 65]).err(), Some(BadKey));
    }

    #[test]
    fn numbers_of_what_is_no_key_are_none() {
        assert_eq!(rsa_numbers(&[0x30, 6, 2, 1, 5, 2, 1, 3]), Some((&[5][..], &[3][..])));
        for der in [&[][..], &[0x31, 0], &[0x30, 7, 2, 1, 5, 2, 1, 3], &[0x30, 0x82, 1], &[0x30, 0xff, 0]] {
            assert_eq!(rsa_numbers(der), None);
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey { algorithm: Es256, .. }");
    }
}
