//! Key derivation and encryption as the TPM 2.0 Library specifies them (Part 1, 11.4.10 and 24): what
//! MakeCredential is made of.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, PrivateKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepPublicEncryptingKey, PublicEncryptingKey,
};
use zeroize::Zeroizing;

use crate::hash::HashAlgorithm;
use crate::public_key::Curve;
use crate::verify::BadKey;

/// HMAC (FIPS 198-1) over the concatenation of `parts`.
#[must_use]
pub fn hmac(algorithm: HashAlgorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac_algorithm(algorithm), key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

/// KDFa (TPM 2.0 Library Part 1, 11.4.10.2), `bytes` bytes of it.
#[must_use]
pub fn kdf_a(
    algorithm: HashAlgorithm,
    key: &[u8],
    label: &str,
    context: [&[u8]; 2],
    bytes: u16,
) -> Zeroizing<Vec<u8>> {
    let bits = (u32::from(bytes) * 8).to_be_bytes();
    derive(bytes, |counter| {
        hmac(algorithm, key, &[&counter, label.as_bytes(), &[0], context[0], context[1], &bits])
    })
}

/// KDFe (TPM 2.0 Library Part 1, 11.4.10.3), `bytes` bytes of it; the coordinates are padded to the
/// field's size.
#[must_use]
pub fn kdf_e(
    algorithm: HashAlgorithm,
    z: &[u8],
    label: &str,
    context: [&[u8]; 2],
    bytes: u16,
) -> Zeroizing<Vec<u8>> {
    derive(bytes, |counter| {
        algorithm.digest(&[&counter, z, label.as_bytes(), &[0], context[0], context[1]]).as_slice().to_vec()
    })
}

fn derive(bytes: u16, block: impl Fn([u8; 4]) -> Vec<u8>) -> Zeroizing<Vec<u8>> {
    let length = usize::from(bytes);
    let mut out = Zeroizing::new(Vec::with_capacity(length + 64));
    let mut counter = 0_u32;
    while out.len() < length {
        counter += 1;
        out.extend_from_slice(&block(counter.to_be_bytes()));
    }
    out.truncate(length);
    out
}

/// AES in CFB mode with a zero initialisation vector, as TPMs protect credentials (Part 1, 24.4); the
/// key has 16 or 32 bytes.
///
/// # Errors
/// [`BadKey`] if the key has another length.
pub fn aes_cfb_zero_iv(key: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, BadKey> {
    let algorithm = match key.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return Err(BadKey),
    };
    let key = UnboundCipherKey::new(algorithm, key).map_err(|_| BadKey)?;
    let key = EncryptingKey::cfb128(key).map_err(|_| BadKey)?;
    let mut bytes = plaintext.to_vec();
    let context = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    key.less_safe_encrypt(&mut bytes, context).map_err(|_| BadKey)?;
    Ok(bytes)
}

/// RSA-OAEP (RFC 8017 §7.1) under the key of a DER `SubjectPublicKeyInfo`, with `label`.
///
/// # Errors
/// [`BadKey`] if the key is no RSA key of 2048 to 8192 bits, or `plaintext` too long for it.
pub fn rsa_oaep(
    algorithm: HashAlgorithm,
    spki: &[u8],
    label: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, BadKey> {
    let key = PublicEncryptingKey::from_der(spki).map_err(|_| BadKey)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| BadKey)?;
    let algorithm = match algorithm {
        HashAlgorithm::Sha1 => &OAEP_SHA1_MGF1SHA1,
        HashAlgorithm::Sha256 => &OAEP_SHA256_MGF1SHA256,
        HashAlgorithm::Sha384 => &OAEP_SHA384_MGF1SHA384,
        HashAlgorithm::Sha512 => &OAEP_SHA512_MGF1SHA512,
    };
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let length = key.encrypt(algorithm, plaintext, &mut ciphertext, Some(label)).map_err(|_| BadKey)?.len();
    ciphertext.truncate(length);
    Ok(ciphertext)
}

/// A shared secret made with a fresh key of one's own.
pub struct EphemeralAgreement {
    /// The x coordinate of the shared point, of the field's size.
    pub z: Zeroizing<Vec<u8>>,
    /// The fresh key's uncompressed point (SEC 1 §2.3.3).
    pub point: Vec<u8>,
}

/// Agrees on a secret with the owner of `point`, an uncompressed point of `curve`.
///
/// # Errors
/// [`BadKey`] if the point is none of the curve, or the curve is P-521.
pub fn agree_ephemeral(curve: Curve, point: &[u8]) -> Result<EphemeralAgreement, BadKey> {
    let own = AgreementKey::generate(curve)?;
    Ok(EphemeralAgreement { z: own.agree(point)?, point: own.point })
}

/// A private key that agrees on secrets, as an endorsement key does.
pub struct AgreementKey {
    key: PrivateKey,
    point: Vec<u8>,
}

impl AgreementKey {
    /// Generates a fresh key.
    ///
    /// # Errors
    /// [`BadKey`] if the curve is P-521, or the library could not generate a key.
    pub fn generate(curve: Curve) -> Result<Self, BadKey> {
        let algorithm = match curve {
            Curve::P256 => &ECDH_P256,
            Curve::P384 => &ECDH_P384,
            Curve::P521 => return Err(BadKey),
        };
        let key = PrivateKey::generate(algorithm).map_err(|_| BadKey)?;
        let point = key.compute_public_key().map_err(|_| BadKey)?.as_ref().to_vec();
        Ok(Self { key, point })
    }

    /// The uncompressed point (SEC 1 §2.3.3).
    #[must_use]
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// The x coordinate of the point shared with the owner of `peer`, of the field's size.
    ///
    /// # Errors
    /// [`BadKey`] if it is no uncompressed point of this key's curve.
    pub fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadKey> {
        let peer = agreement::UnparsedPublicKey::new(self.key.algorithm(), peer);
        agreement::agree(&self.key, peer, BadKey, |z| Ok(Zeroizing::new(z.to_vec())))
    }
}

impl std::fmt::Debug for AgreementKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AgreementKey")
    }
}

fn hmac_algorithm(algorithm: HashAlgorithm) -> hmac::Algorithm {
    match algorithm {
        HashAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha256 => hmac::HMAC_SHA256,
        HashAlgorithm::Sha384 => hmac::HMAC_SHA384,
        HashAlgorithm::Sha512 => hmac::HMAC_SHA512,
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, PrivateDecryptingKey};

    use super::*;
    use crate::{SigningAlgorithm, SigningKey};

    /// RFC 4231 §4.3 (test case 2).
    #[test]
    fn hmac_known_answer() {
        let tag = hmac(HashAlgorithm::Sha256, b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(tag[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    }

    /// NIST SP 800-38A F.3.13 (CFB128-AES128), its first block made with the vector's own IV is not
    /// reachable here; a zero IV gives AES of the zero block (FIPS 197, key 2b7e…) as key stream.
    #[test]
    fn cfb_with_a_zero_iv_starts_with_the_encrypted_zero_block() {
        let key =
            [0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c];
        let stream = aes_cfb_zero_iv(&key, &[0; 20]).unwrap();
        assert_eq!(stream.len(), 20);
        assert_eq!(stream[..4], [0x7d, 0xf7, 0x6b, 0x0c]);
        let other = aes_cfb_zero_iv(&key, &[1; 20]).unwrap();
        assert_eq!(other[0], stream[0] ^ 1);
        assert!(aes_cfb_zero_iv(&[0; 24], b"x").is_err());
    }

    #[test]
    fn derived_keys_have_the_length_asked_for() {
        let long = kdf_a(HashAlgorithm::Sha256, b"key", "STORAGE", [b"u", b"v"], 48);
        assert_eq!(long.len(), 48);
        let first = hmac(HashAlgorithm::Sha256, b"key", &[b"\0\0\0\x01STORAGE\0uv\0\0\x01\x80"]);
        assert_eq!(long[..32], first[..]);
        let short = kdf_e(HashAlgorithm::Sha256, b"z", "IDENTITY", [b"u", b"v"], 16);
        assert_eq!(short[..], crate::sha256(b"\0\0\0\x01zIDENTITY\0uv")[..16]);
    }

    #[test]
    fn oaep_decrypts_with_its_label_only() {
        let key = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
        let spki = key.public_key_der().unwrap();
        let ciphertext = rsa_oaep(HashAlgorithm::Sha256, &spki, b"IDENTITY\0", b"seed").unwrap();
        let private = PrivateDecryptingKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        let private = OaepPrivateDecryptingKey::new(private).unwrap();
        let mut out = vec![0; private.min_output_size()];
        let plain = private.decrypt(&OAEP_SHA256_MGF1SHA256, &ciphertext, &mut out, Some(b"IDENTITY\0"));
        assert_eq!(plain.unwrap(), b"seed");
        let mut out = vec![0; private.min_output_size()];
        let plain = private.decrypt(&OAEP_SHA256_MGF1SHA256, &ciphertext, &mut out, Some(b"IDENTITY"));
        assert!(plain.is_err());
        assert!(rsa_oaep(HashAlgorithm::Sha256, &spki, b"", &[0; 256]).is_err());
        assert!(rsa_oaep(HashAlgorithm::Sha256, b"spki", b"", b"x").is_err());
    }

    #[test]
    fn both_sides_agree() {
        for (curve, algorithm) in [(Curve::P256, &ECDH_P256), (Curve::P384, &ECDH_P384)] {
            let peer = PrivateKey::generate(algorithm).unwrap();
            let point = peer.compute_public_key().unwrap();
            let ours = agree_ephemeral(curve, point.as_ref()).unwrap();
            let theirs = agreement::agree(
                &peer,
                agreement::UnparsedPublicKey::new(algorithm, &ours.point),
                BadKey,
                |z| Ok(z.to_vec()),
            );
            assert_eq!(theirs.unwrap(), *ours.z);
            assert_eq!(ours.z.len(), curve.field_bytes());
        }
        assert!(agree_ephemeral(Curve::P256, &[4; 65]).is_err());
        assert!(agree_ephemeral(Curve::P521, &[4; 133]).is_err());
    }
}
