//! Throw-away keys: P-256, and RSA with 2048 bits.

use crypto::{SigningAlgorithm, SigningKey};
use std::sync::Arc;

use crate::asn1;

/// A key made for one forgery; it never leaves memory. P-256 unless it says RSA.
#[derive(Debug, Clone)]
pub struct Key(Arc<SigningKey>);

impl Key {
    /// A fresh key.
    ///
    /// # Panics
    /// If the system's generator fails.
    #[must_use]
    pub fn generate() -> Self {
        Self(Arc::new(SigningKey::generate(SigningAlgorithm::Es256).expect("a P-256 key")))
    }

    /// A fresh RSA key.
    ///
    /// # Panics
    /// If the system's generator fails.
    #[must_use]
    pub fn generate_rsa() -> Self {
        Self(Arc::new(SigningKey::generate(SigningAlgorithm::Rs256).expect("an RSA key")))
    }

    /// The public half.
    ///
    /// # Panics
    /// If the library cannot export it.
    #[must_use]
    pub fn public(&self) -> crypto::PublicKey {
        self.0.public_key().expect("a public key")
    }

    /// Signs SHA-256 of `message` with an RSA key, PKCS #1 v1.5.
    ///
    /// # Panics
    /// If the library refuses to sign.
    #[must_use]
    pub fn sign_pkcs1(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).expect("a signature")
    }

    /// Signs SHA-256 of `message` with an RSA key, PSS with a salt of 32 bytes.
    ///
    /// # Panics
    /// If the library refuses to sign.
    #[must_use]
    pub fn sign_pss(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign_ps256(message).expect("a signature")
    }

    /// The DER `SubjectPublicKeyInfo`.
    ///
    /// # Panics
    /// If the library cannot export the public half.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        self.0.public_key_der().expect("a public key")
    }

    /// The public point: x and y, big-endian.
    #[must_use]
    pub fn coordinates(&self) -> [u8; 64] {
        let der = self.public_der();
        der[der.len() - 64..].try_into().expect("64 bytes")
    }

    /// The uncompressed point: `04`, x and y.
    #[must_use]
    pub fn point(&self) -> [u8; 65] {
        let der = self.public_der();
        der[der.len() - 65..].try_into().expect("65 bytes")
    }

    /// The key identifier of RFC 5280 §4.2.1.2 (1): SHA-1 of the point.
    #[must_use]
    pub fn id(&self) -> [u8; 20] {
        crypto::sha1(&self.point())
    }

    /// Signs SHA-256 of `message`; raw `r ‖ s`, big-endian.
    ///
    /// # Panics
    /// If the library refuses to sign.
    #[must_use]
    pub fn sign_fixed(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).expect("a signature").try_into().expect("64 bytes")
    }

    /// Signs SHA-256 of `message`; DER `ECDSA-Sig-Value` (RFC 3279 §2.2.3).
    #[must_use]
    pub fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let fixed = self.sign_fixed(message);
        asn1::sequence(&[asn1::integer(&fixed[..32]), asn1::integer(&fixed[32..])])
    }
}
