//! Algorithm identifiers of the TPM 2.0 Library (Part 2, 6.3 and 6.4).

use crypto::{Curve, HashAlgorithm};

use super::error::ParseError;

/// The hash function with this `TPM_ALG_ID`, if it is one that banks and names can use here.
pub(crate) fn hash_algorithm(id: u16) -> Option<HashAlgorithm> {
    match id {
        ALG_SHA1 => Some(HashAlgorithm::Sha1),
        ALG_SHA256 => Some(HashAlgorithm::Sha256),
        ALG_SHA384 => Some(HashAlgorithm::Sha384),
        ALG_SHA512 => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

/// The `TPM_ALG_ID` of a hash function.
#[must_use]
pub const fn hash_id(algorithm: HashAlgorithm) -> u16 {
    match algorithm {
        HashAlgorithm::Sha1 => ALG_SHA1,
        HashAlgorithm::Sha256 => ALG_SHA256,
        HashAlgorithm::Sha384 => ALG_SHA384,
        HashAlgorithm::Sha512 => ALG_SHA512,
    }
}

pub(crate) fn known_hash(field: &'static str, id: u16) -> Result<HashAlgorithm, ParseError> {
    hash_algorithm(id).ok_or(ParseError::UnknownAlgorithm { field, found: id })
}

/// The curve with this `TPM_ECC_CURVE`.
pub(crate) fn known_curve(id: u16) -> Result<Curve, ParseError> {
    match id {
        3 => Ok(Curve::P256),
        4 => Ok(Curve::P384),
        5 => Ok(Curve::P521),
        found => Err(ParseError::UnknownAlgorithm { field: "curveID", found }),
    }
}

/// How many bytes a digest of this `TPM_ALG_ID` has, also of those that nothing here computes.
pub(crate) const fn digest_bytes(id: u16) -> Option<usize> {
    match id {
        ALG_SHA1 => Some(20),
        ALG_SHA256 | ALG_SM3_256 | ALG_SHA3_256 => Some(32),
        ALG_SHA384 | ALG_SHA3_384 => Some(48),
        ALG_SHA512 | ALG_SHA3_512 => Some(64),
        _ => None,
    }
}

pub(crate) const ALG_RSA: u16 = 0x0001;
pub(crate) const ALG_SHA1: u16 = 0x0004;
pub(crate) const ALG_HMAC: u16 = 0x0005;
pub(crate) const ALG_AES: u16 = 0x0006;
pub(crate) const ALG_KEYEDHASH: u16 = 0x0008;
pub(crate) const ALG_XOR: u16 = 0x000a;
pub(crate) const ALG_SHA256: u16 = 0x000b;
pub(crate) const ALG_SHA384: u16 = 0x000c;
pub(crate) const ALG_SHA512: u16 = 0x000d;
pub(crate) const ALG_NULL: u16 = 0x0010;
pub(crate) const ALG_SM3_256: u16 = 0x0012;
pub(crate) const ALG_RSASSA: u16 = 0x0014;
pub(crate) const ALG_RSAES: u16 = 0x0015;
pub(crate) const ALG_RSAPSS: u16 = 0x0016;
pub(crate) const ALG_OAEP: u16 = 0x0017;
pub(crate) const ALG_ECDSA: u16 = 0x0018;
pub(crate) const ALG_ECDH: u16 = 0x0019;
pub(crate) const ALG_ECDAA: u16 = 0x001a;
pub(crate) const ALG_SM2: u16 = 0x001b;
pub(crate) const ALG_ECSCHNORR: u16 = 0x001c;
pub(crate) const ALG_ECC: u16 = 0x0023;
pub(crate) const ALG_SYMCIPHER: u16 = 0x0025;
pub(crate) const ALG_SHA3_256: u16 = 0x0027;
pub(crate) const ALG_SHA3_384: u16 = 0x0028;
pub(crate) const ALG_SHA3_512: u16 = 0x0029;
pub(crate) const ALG_CFB: u16 = 0x0043;
