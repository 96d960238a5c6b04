//! Authenticated encryption of what others keep for this service (AES-256-GCM, NIST SP 800-38D).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::random::{NoRandomness, random_bytes};

/// Length of a key in bytes.
pub const KEY_BYTES: usize = 32;

/// The bytes are not what this key sealed for this purpose: made by another key, changed or cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes were not sealed with this key for this purpose, or were changed")]
pub struct NotSealed;

/// A secret key. Nonces are random, so that replicas can share one: 2³² messages are safe with it.
pub struct SealingKey(LessSafeKey);

impl SealingKey {
    /// Takes the bytes of a key.
    #[must_use]
    #[expect(clippy::expect_used, reason = "every array of this length is a key")]
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of the algorithm's length")))
    }

    /// Encrypts and authenticates `plaintext`, and authenticates `context` with it: nonce, ciphertext, tag.
    ///
    /// # Errors
    /// [`NoRandomness`] if there is no nonce to be had.
    pub fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, NoRandomness> {
        let nonce: [u8; NONCE_LEN] = random_bytes()?;
        let mut ciphertext = plaintext.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_in_place_append_tag(unique, Aad::from(context), &mut ciphertext);
        // Plaintexts have to be of many gigabytes for this.
        sealed.map_err(|_| NoRandomness)?;
        Ok([&nonce[..], &ciphertext].concat())
    }

    /// The plaintext of what [`Self::seal`] made with the same `context`.
    ///
    /// # Errors
    /// [`NotSealed`].
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotSealed> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(NotSealed)?;
        let mut bytes = ciphertext.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(nonce, Aad::from(context), &mut bytes).map_err(|_| NotSealed)?;
        let length = opened.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_for_the_purpose_opens() {
        let key = SealingKey::new(&[7; KEY_BYTES]);
        let sealed = key.seal(b"purpose", b"secret").unwrap();
        assert_eq!(key.open(b"purpose", &sealed).unwrap(), b"secret");
        assert_ne!(key.seal(b"purpose", b"secret").unwrap(), sealed);
        assert_eq!(key.open(b"other", &sealed), Err(NotSealed));
        assert_eq!(SealingKey::new(&[8; KEY_BYTES]).open(b"purpose", &sealed), Err(NotSealed));
        for length in 0..sealed.len() {
            assert_eq!(key.open(b"purpose", &sealed[..length]), Err(NotSealed));
        }
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(b"purpose", &changed), Err(NotSealed));
        }
        assert_eq!(format!("{key:?}"), "SealingKey");
    }
}
