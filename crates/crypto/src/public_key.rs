//! Public keys whose kind and scheme are only known at run time: those of TPMs and of the CAs that
//! vouch for them.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, EcdsaVerificationAlgorithm, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPssSaltLength, UnparsedPublicKey,
};

use crate::hash::HashAlgorithm;
use crate::verify::{BadKey, BadSignature};

/// An elliptic curve of FIPS 186-4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    /// How many bytes a coordinate has.
    #[must_use]
    pub const fn field_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// How a signature was made. SHA-1 is not among the hash functions that verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureScheme {
    /// ECDSA (FIPS 186-4 §6).
    Ecdsa(HashAlgorithm),
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    RsaPkcs1(HashAlgorithm),
    /// RSASSA-PSS (RFC 8017 §8.1), MGF1 with the same hash function, salt of the digest's or the
    /// largest length.
    RsaPss(HashAlgorithm),
}

/// An RSA key of 2048 to 8192 bits or a point of a NIST curve.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Inner);

#[derive(Clone, PartialEq, Eq)]
enum Inner {
    Ec { curve: Curve, point: Vec<u8> },
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl PublicKey {
    /// Takes an RSA modulus and exponent, big-endian, with or without leading zeros.
    ///
    /// # Errors
    /// [`BadKey`] if the modulus is even or not of 2048 to 8192 bits, or the exponent is even, less
    /// than 3 or longer than four bytes.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, BadKey> {
        let (modulus, exponent) = (trimmed(modulus), trimmed(exponent));
        let bits = bit_length(modulus);
        let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
        if !(2048..=8192).contains(&bits) || !odd(modulus) {
            return Err(BadKey);
        }
        if exponent.len() > 4 || !odd(exponent) || exponent == [1] {
            return Err(BadKey);
        }
        Ok(Self(Inner::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() }))
    }

    /// Takes two coordinates, big-endian, padded to the field's size or not.
    ///
    /// # Errors
    /// [`BadKey`] if they are no point of the curve.
    pub fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, BadKey> {
        let size = curve.field_bytes();
        let mut point = vec![4];
        for coordinate in [x, y] {
            let coordinate = trimmed(coordinate);
            let padding = size.checked_sub(coordinate.len()).ok_or(BadKey)?;
            point.extend(std::iter::repeat_n(0, padding));
            point.extend_from_slice(coordinate);
        }
        Self::ec_point(curve, &point)
    }

    /// Takes an uncompressed point (SEC 1 §2.3.3).
    ///
    /// # Errors
    /// [`BadKey`] if it is none of the curve.
    pub fn ec_point(curve: Curve, point: &[u8]) -> Result<Self, BadKey> {
        if point.len() != 1 + 2 * curve.field_bytes() || point.first() != Some(&4) {
            return Err(BadKey);
        }
        let algorithm = ecdsa(curve, HashAlgorithm::Sha256).ok_or(BadKey)?;
        ParsedPublicKey::new(algorithm, point).map_err(|_| BadKey)?;
        Ok(Self(Inner::Ec { curve, point: point.to_vec() }))
    }

    /// The curve of an elliptic-curve key.
    #[must_use]
    pub const fn curve(&self) -> Option<Curve> {
        match self.0 {
            Inner::Ec { curve, .. } => Some(curve),
            Inner::Rsa { .. } => None,
        }
    }

    /// The size of an RSA modulus in bits.
    #[must_use]
    pub fn rsa_bits(&self) -> Option<usize> {
        self.rsa_numbers().map(|(modulus, _)| bit_length(modulus))
    }

    /// Modulus and exponent of an RSA key, big-endian without leading zeros.
    #[must_use]
    pub fn rsa_numbers(&self) -> Option<(&[u8], &[u8])> {
        match &self.0 {
            Inner::Rsa { modulus, exponent } => Some((modulus, exponent)),
            Inner::Ec { .. } => None,
        }
    }

    /// The uncompressed point of an elliptic-curve key (SEC 1 §2.3.3).
    #[must_use]
    pub fn point(&self) -> Option<&[u8]> {
        match &self.0 {
            Inner::Ec { point, .. } => Some(point),
            Inner::Rsa { .. } => None,
        }
    }

    /// Checks a signature over the hash of `message`; one of ECDSA is a DER `ECDSA-Sig-Value`
    /// (RFC 3279 §2.2.3).
    ///
    /// # Errors
    /// [`BadSignature`], also if `scheme` is not one for this kind of key, or uses SHA-1.
    pub fn verify(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        match (&self.0, scheme) {
            (Inner::Ec { curve, point }, SignatureScheme::Ecdsa(hash)) => {
                let algorithm = ecdsa(*curve, hash).ok_or(BadSignature)?;
                UnparsedPublicKey::new(algorithm, point).verify(message, signature).map_err(|_| BadSignature)
            }
            (Inner::Rsa { modulus, exponent }, SignatureScheme::RsaPkcs1(hash)) => {
                let key = PublicKeyComponents { n: modulus, e: exponent };
                key.verify(pkcs1(hash).ok_or(BadSignature)?, message, signature).map_err(|_| BadSignature)
            }
            (Inner::Rsa { modulus, exponent }, SignatureScheme::RsaPss(hash)) => {
                let key = PublicKeyComponents { n: modulus, e: exponent };
                let (digest_salt, largest_salt) = pss(hash).ok_or(BadSignature)?;
                key.verify(digest_salt, message, signature)
                    .or_else(|_| key.verify(largest_salt, message, signature))
                    .map_err(|_| BadSignature)
            }
            _ => Err(BadSignature),
        }
    }

    /// Checks an ECDSA signature given as its two big-endian numbers, padded or not.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_ecdsa(
        &self,
        hash: HashAlgorithm,
        message: &[u8],
        r: &[u8],
        s: &[u8],
    ) -> Result<(), BadSignature> {
        let size = self.curve().ok_or(BadSignature)?.field_bytes();
        let mut body = Vec::new();
        for number in [r, s] {
            let number = trimmed(number);
            if number.is_empty() || number.len() > size {
                return Err(BadSignature);
            }
            let sign = usize::from(number.first().is_some_and(|first| *first >= 0x80));
            body.push(2);
            body.push(u8::try_from(number.len() + sign).map_err(|_| BadSignature)?);
            body.extend(std::iter::repeat_n(0, sign));
            body.extend_from_slice(number);
        }
        let mut der = vec![0x30];
        let length = u8::try_from(body.len()).map_err(|_| BadSignature)?;
        // X.690 §8.1.3: lengths from 128 need a second byte.
        if length >= 0x80 {
            der.push(0x81);
        }
        der.push(length);
        der.append(&mut body);
        self.verify(SignatureScheme::Ecdsa(hash), message, &der)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Inner::Ec { curve, .. } => write!(f, "PublicKey({curve:?})"),
            Inner::Rsa { modulus, .. } => write!(f, "PublicKey(RSA-{})", bit_length(modulus)),
        }
    }
}

fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Of a number without leading zeros.
fn bit_length(number: &[u8]) -> usize {
    let Some(first) = number.first() else { return 0 };
    let unused = usize::try_from(first.leading_zeros()).unwrap_or(0);
    (number.len() * 8).saturating_sub(unused)
}

fn ecdsa(curve: Curve, hash: HashAlgorithm) -> Option<&'static EcdsaVerificationAlgorithm> {
    match (curve, hash) {
        (_, HashAlgorithm::Sha1) => None,
        (Curve::P256, HashAlgorithm::Sha256) => Some(&ECDSA_P256_SHA256_ASN1),
        (Curve::P256, HashAlgorithm::Sha384) => Some(&ECDSA_P256_SHA384_ASN1),
        (Curve::P256, HashAlgorithm::Sha512) => Some(&ECDSA_P256_SHA512_ASN1),
        (Curve::P384, HashAlgorithm::Sha256) => Some(&ECDSA_P384_SHA256_ASN1),
        (Curve::P384, HashAlgorithm::Sha384) => Some(&ECDSA_P384_SHA384_ASN1),
        (Curve::P384, HashAlgorithm::Sha512) => Some(&ECDSA_P384_SHA512_ASN1),
        (Curve::P521, HashAlgorithm::Sha256) => Some(&ECDSA_P521_SHA256_ASN1),
        (Curve::P521, HashAlgorithm::Sha384) => Some(&ECDSA_P521_SHA384_ASN1),
        (Curve::P521, HashAlgorithm::Sha512) => Some(&ECDSA_P521_SHA512_ASN1),
    }
}

fn pkcs1(hash: HashAlgorithm) -> Option<&'static RsaParameters> {
    match hash {
        HashAlgorithm::Sha1 => None,
        HashAlgorithm::Sha256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        HashAlgorithm::Sha384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        HashAlgorithm::Sha512 => Some(&RSA_PKCS1_2048_8192_SHA512),
    }
}

/// Salt as long as the digest (FIPS 186-4 §5.5), and as long as fits (TPM 2.0 Library Part 1, B.7).
fn pss(hash: HashAlgorithm) -> Option<(&'static RsaParameters, &'static RsaParameters)> {
    match hash {
        HashAlgorithm::Sha1 => None,
        HashAlgorithm::Sha256 => Some((
            &RSA_PSS_2048_8192_SHA256,
            &const { RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max) },
        )),
        HashAlgorithm::Sha384 => Some((
            &RSA_PSS_2048_8192_SHA384,
            &const { RSA_PSS_2048_8192_SHA384.with_pss_salt_length(RsaPssSaltLength::Max) },
        )),
        HashAlgorithm::Sha512 => Some((
            &RSA_PSS_2048_8192_SHA512,
            &const { RSA_PSS_2048_8192_SHA512.with_pss_salt_length(RsaPssSaltLength::Max) },
        )),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
        RSA_PKCS1_SHA384, RSA_PSS_SHA256,
    };

    use super::*;
    use HashAlgorithm::{Sha1, Sha256, Sha384};

    #[test]
    fn rsa_schemes_are_not_confused() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        // RSAPublicKey (RFC 8017 A.1.1) of such a key: the modulus stands after 8 bytes, with a zero.
        let padded = pair.public_key().as_ref()[8..8 + 257].to_vec();
        let key = PublicKey::rsa(&padded, &[0, 1, 0, 1]).unwrap();
        assert_eq!(key.rsa_bits(), Some(2048));
        let largest = RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
        let largest: &'static _ = Box::leak(Box::new(largest));
        let mut signature = vec![0; 256];
        for (encoding, good) in [
            (&RSA_PKCS1_SHA384, SignatureScheme::RsaPkcs1(Sha384)),
            (&RSA_PSS_SHA256, SignatureScheme::RsaPss(Sha256)),
            (largest, SignatureScheme::RsaPss(Sha256)),
        ] {
            pair.sign(encoding, &SystemRandom::new(), b"message", &mut signature).unwrap();
            for hash in HashAlgorithm::ALL {
                for scheme in [
                    SignatureScheme::RsaPkcs1(hash),
                    SignatureScheme::RsaPss(hash),
                    SignatureScheme::Ecdsa(hash),
                ] {
                    let verified = key.verify(scheme, b"message", &signature);
                    assert_eq!(verified.is_ok(), scheme == good, "{scheme:?} for {good:?}");
                }
            }
            assert!(key.verify(good, b"messagf", &signature).is_err());
        }
        assert!(key.verify_ecdsa(Sha256, b"message", &[1], &[1]).is_err());
    }

    #[test]
    fn ecdsa_takes_padded_and_minimal_numbers() {
        for (curve, hash, signing) in [
            (Curve::P256, Sha256, &ECDSA_P256_SHA256_FIXED_SIGNING),
            (Curve::P384, Sha384, &ECDSA_P384_SHA384_FIXED_SIGNING),
        ] {
            let pair = EcdsaKeyPair::generate(signing).unwrap();
            let point = pair.public_key().as_ref();
            let (x, y) = point[1..].split_at(curve.field_bytes());
            let key = PublicKey::ec(curve, x, y).unwrap();
            assert_eq!(key.point(), Some(point));
            assert_eq!((key.curve(), key.rsa_bits()), (Some(curve), None));
            let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
            let (r, s) = signature.as_ref().split_at(curve.field_bytes());
            assert_eq!(key.verify_ecdsa(hash, b"message", r, s), Ok(()));
            let padded = [&[0, 0], r].concat();
            assert_eq!(key.verify_ecdsa(hash, b"message", &padded, s), Ok(()));
            assert_eq!(key.verify_ecdsa(hash, b"message", s, r), Err(BadSignature));
            assert_eq!(key.verify_ecdsa(hash, b"message", &[0; 32], s), Err(BadSignature));
            assert_eq!(key.verify_ecdsa(hash, b"message", &[1; 67], s), Err(BadSignature));
            assert_eq!(key.verify_ecdsa(Sha1, b"message", r, s), Err(BadSignature));
            assert_eq!(PublicKey::ec(curve, y, x).err(), Some(BadKey));
        }
    }

    #[test]
    fn weak_and_odd_keys_are_refused() {
        for (modulus, exponent) in [
            (vec![0xff; 255], vec![1, 0, 1]),
            (vec![0xff; 1025], vec![1, 0, 1]),
            (vec![0xfe; 256], vec![1, 0, 1]),
            (vec![0xff; 256], vec![1]),
            (vec![0xff; 256], vec![]),
            (vec![0xff; 256], vec![2]),
            (vec![0xff; 256], vec![1, 0, 0, 0, 1]),
        ] {
            assert_eq!(PublicKey::rsa(&modulus, &exponent).err(), Some(BadKey));
        }
        assert_eq!(PublicKey::ec(Curve::P256, &[1; 33], &[1; 32]).err(), Some(BadKey));
        assert_eq!(PublicKey::ec_point(Curve::P521, &[4; 65]).err(), Some(BadKey));
    }
}
