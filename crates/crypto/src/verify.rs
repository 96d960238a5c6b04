//! Public keys, parsed once and kept, and the signatures checked with them.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey,
};

/// Checks one raw `r ‖ s` signature (big-endian) over SHA-256 of `message` with a P-256 key used only
/// this once, given as its two big-endian coordinates: the key is parsed once instead of being kept.
///
/// # Errors
/// [`BadSignature`], also if the coordinates are no point of the curve.
pub fn verify_p256_fixed_once(
    coordinates: &[u8; 64],
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, uncompressed(coordinates))
        .verify(message, signature)
        .map_err(|_| BadSignature)
}

/// The signature is not one of these bytes under this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// The key is not a valid one of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid public key of this kind")]
pub struct BadKey;

/// An ECDSA key on P-256 (FIPS 186-4), a valid point of the curve.
#[derive(Clone)]
pub struct P256PublicKey {
    point: [u8; 65],
    fixed: ParsedPublicKey,
    asn1: ParsedPublicKey,
}

impl P256PublicKey {
    /// Takes an uncompressed point (SEC 1 §2.3.3): `04`, x and y, big-endian.
    ///
    /// # Errors
    /// [`BadKey`] if the point is not 65 bytes, not uncompressed, or not on the curve.
    pub fn from_point(point: &[u8]) -> Result<Self, BadKey> {
        let point: [u8; 65] = point.try_into().map_err(|_| BadKey)?;
        if !point.starts_with(&[4]) {
            return Err(BadKey);
        }
        Ok(Self {
            point,
            fixed: ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| BadKey)?,
            asn1: ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| BadKey)?,
        })
    }

    /// Takes the two coordinates, big-endian, as Intel quotes and JSON Web Keys carry them.
    ///
    /// # Errors
    /// As [`Self::from_point`].
    pub fn from_coordinates(xy: &[u8; 64]) -> Result<Self, BadKey> {
        Self::from_point(&uncompressed(xy))
    }

    /// The uncompressed point: `04`, x and y, big-endian.
    #[must_use]
    pub fn point(&self) -> &[u8; 65] {
        &self.point
    }

    /// Checks a raw `r ‖ s` signature (big-endian) over SHA-256 of `message`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_fixed(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        self.fixed.verify_sig(message, signature).map_err(|_| BadSignature)
    }

    /// Checks a DER `ECDSA-Sig-Value` (RFC 3279 §2.2.3) over SHA-256 of `message`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_der(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.asn1.verify_sig(message, signature).map_err(|_| BadSignature)
    }
}

/// The uncompressed point (SEC 1 §2.3.3) of two big-endian coordinates.
fn uncompressed(coordinates: &[u8; 64]) -> [u8; 65] {
    let mut point = [4; 65];
    for (to, from) in point.iter_mut().skip(1).zip(coordinates) {
        *to = *from;
    }
    point
}

impl PartialEq for P256PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.point == other.point
    }
}

impl Eq for P256PublicKey {}

impl std::fmt::Debug for P256PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("P256PublicKey").field(&self.point.get(1..5)).finish()
    }
}

/// An RSA key of 2048 to 8192 bits.
#[derive(Clone)]
pub struct RsaPublicKey {
    pkcs1_sha256: ParsedPublicKey,
}

impl RsaPublicKey {
    /// Takes a DER `SubjectPublicKeyInfo` (RFC 5280 §4.1) or `RSAPublicKey` (RFC 8017 A.1.1).
    ///
    /// # Errors
    /// [`BadKey`] if it is not an RSA key of an accepted size.
    pub fn from_der(der: &[u8]) -> Result<Self, BadKey> {
        let pkcs1_sha256 = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).map_err(|_| BadKey)?;
        Ok(Self { pkcs1_sha256 })
    }

    /// Checks an RSASSA-PKCS1-v1_5 signature with SHA-256 (RFC 8017 §8.2.2).
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_pkcs1_sha256(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.pkcs1_sha256.verify_sig(message, signature).map_err(|_| BadSignature)
    }
}

impl std::fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RsaPublicKey")
    }
}
