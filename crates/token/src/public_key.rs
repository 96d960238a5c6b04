//! Public keys in the forms that keys travel in: certificates, and JSON Web Key members.

use crypto::{P256PublicKey, RsaPublicKey};
use x509_cert::der::asn1::UintRef;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::algorithm::Algorithm;
use crate::jwk::JwkError;

/// `rsaEncryption` (RFC 3279 §2.3.1).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480 §2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp256r1` (RFC 5480 §2.1.1.1).
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// Smallest and largest RSA modulus accepted, in bits. Smaller ones can be factored (the keys that
/// the service published in 2020 had 1024 bits), larger ones only cost time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key that checks signatures of one algorithm.
#[derive(Clone, Debug)]
pub(crate) enum PublicKey {
    P256(P256PublicKey),
    Rsa { modulus: Vec<u8>, exponent: Vec<u8>, key: RsaPublicKey },
}

impl PublicKey {
    /// Takes modulus and exponent, big-endian, without leading zeros (RFC 7518 §6.3.1).
    pub(crate) fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, JwkError> {
        let invalid = JwkError::InvalidKey { kind: "RSA" };
        let leading_zero = |bytes: &[u8]| bytes.first().is_none_or(|byte| *byte == 0);
        if leading_zero(modulus) || leading_zero(exponent) {
            return Err(invalid);
        }
        let unused = modulus.first().map_or(0, |byte| byte.leading_zeros());
        let bits = modulus.len().saturating_mul(8).saturating_sub(usize::try_from(unused).unwrap_or(0));
        if !RSA_BITS.contains(&bits) {
            return Err(JwkError::RsaSize { bits });
        }
        // An even exponent is none, and 1 makes every message its own signature.
        if exponent == [1] || exponent.last().is_none_or(|byte| byte % 2 == 0) {
            return Err(invalid);
        }
        let integers = [modulus, exponent].map(UintRef::new);
        let [Ok(n), Ok(e)] = integers else {
            return Err(invalid);
        };
        // RSAPublicKey (RFC 8017 A.1.1) is a SEQUENCE of two INTEGERs.
        let der = vec![n, e].to_der().map_err(|_| invalid.clone())?;
        let key = RsaPublicKey::from_der(&der).map_err(|_| invalid)?;
        Ok(Self::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec(), key })
    }

    /// Takes the coordinates of a point, 32 bytes each, big-endian (RFC 7518 §6.2.1).
    pub(crate) fn from_coordinates(x: &[u8], y: &[u8]) -> Result<Self, JwkError> {
        let invalid = || JwkError::InvalidKey { kind: "EC" };
        if x.len() != 32 || y.len() != 32 {
            return Err(invalid());
        }
        let xy: [u8; 64] = [x, y].concat().try_into().map_err(|_| invalid())?;
        P256PublicKey::from_coordinates(&xy).map(Self::P256).map_err(|_| invalid())
    }

    /// Takes a certificate's `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Result<Self, JwkError> {
        let key = spki.subject_public_key.as_bytes().ok_or(JwkError::Certificate)?;
        if spki.algorithm.oid == RSA_ENCRYPTION {
            let integers = Vec::<UintRef<'_>>::from_der(key).map_err(|_| JwkError::Certificate)?;
            let [n, e] = integers.as_slice() else {
                return Err(JwkError::Certificate);
            };
            return Self::from_rsa(n.as_bytes(), e.as_bytes());
        }
        if spki.algorithm.oid == EC_PUBLIC_KEY {
            let curve = spki.algorithm.parameters.as_ref();
            let curve = curve.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
            return match curve {
                Some(SECP256R1) => P256PublicKey::from_point(key)
                    .map(Self::P256)
                    .map_err(|_| JwkError::InvalidKey { kind: "EC" }),
                Some(other) => Err(JwkError::Curve { found: other.to_string() }),
                None => Err(JwkError::Certificate),
            };
        }
        Err(JwkError::Type { found: spki.algorithm.oid.to_string() })
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::P256(_) => "EC",
            Self::Rsa { .. } => "RSA",
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(_) => Algorithm::Es256,
            Self::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// Modulus and exponent of an RSA key, big-endian.
    pub(crate) fn rsa_parts(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Self::P256(_) => None,
            Self::Rsa { modulus, exponent, .. } => Some((modulus, exponent)),
        }
    }

    /// Coordinates of an EC key, big-endian.
    pub(crate) fn coordinates(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Self::P256(key) => Some(key.point().get(1..)?.split_at(32)),
            Self::Rsa { .. } => None,
        }
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => {
                signature.try_into().is_ok_and(|fixed| key.verify_fixed(message, fixed).is_ok())
            }
            Self::Rsa { key, .. } => key.verify_pkcs1_sha256(message, signature).is_ok(),
        }
    }

    /// Whether `signature` is a DER `ECDSA-Sig-Value` (RFC 3279 §2.2.3) of this key, as some clients write
    /// where a JWS has `r ‖ s`; never for an RSA key.
    pub(crate) fn verify_der(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => key.verify_der(message, signature).is_ok(),
            Self::Rsa { .. } => false,
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.rsa_parts() == other.rsa_parts() && self.coordinates() == other.coordinates()
    }
}
