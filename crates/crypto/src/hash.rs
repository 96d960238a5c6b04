//! Hash functions chosen at run time, as TPM structures name them (FIPS 180-4).

use aws_lc_rs::digest::{self, Context};

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// SHA-1, 20 bytes. Broken for collisions: it names old banks and logs, and decides nothing by default.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl HashAlgorithm {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// How many bytes a digest has.
    #[must_use]
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// `sha256` and so on.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The digest of the concatenation of `parts`, which is not built in memory.
    #[must_use]
    pub fn digest(self, parts: &[&[u8]]) -> Digest {
        let mut context = Context::new(self.library());
        for part in parts {
            context.update(part);
        }
        let digest = context.finish();
        let mut bytes = [0; LONGEST];
        for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Digest { bytes, algorithm: self }
    }

    pub(crate) fn library(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

impl std::fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A digest, with the function that made it. Not on the heap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    // Zero after the digest, so that equality of the arrays is that of the digests.
    bytes: [u8; LONGEST],
    algorithm: HashAlgorithm,
}

impl Digest {
    /// Takes a digest made elsewhere; `None` if its length is not that of `algorithm`.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm, digest: &[u8]) -> Option<Self> {
        if digest.len() != algorithm.size_bytes() {
            return None;
        }
        let mut bytes = [0; LONGEST];
        for (to, from) in bytes.iter_mut().zip(digest) {
            *to = *from;
        }
        Some(Self { bytes, algorithm })
    }

    /// The value a PCR has after a reset: `fill` in every byte, `last` in the last one.
    #[must_use]
    pub fn filled(algorithm: HashAlgorithm, fill: u8, last: u8) -> Self {
        let mut bytes = [0; LONGEST];
        let size = algorithm.size_bytes();
        for (index, byte) in bytes.iter_mut().take(size).enumerate() {
            *byte = if index + 1 == size { last } else { fill };
        }
        Self { bytes, algorithm }
    }

    /// The function that made it.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Its bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.algorithm.size_bytes()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.algorithm)?;
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_have_the_size_of_their_algorithm() {
        for algorithm in HashAlgorithm::ALL {
            let digest = algorithm.digest(&[b"a", b"bc"]);
            assert_eq!(digest, algorithm.digest(&[b"abc"]));
            assert_eq!(digest.as_slice().len(), algorithm.size_bytes());
            assert_eq!(Digest::new(algorithm, digest.as_slice()), Some(digest));
            assert_eq!(Digest::new(algorithm, &[0; 21]), None);
        }
        assert_eq!(HashAlgorithm::Sha256.digest(&[b"abc"]).as_slice(), crate::sha256(b"abc"));
        let reset = Digest::filled(HashAlgorithm::Sha1, 0, 3);
        assert_eq!(format!("{reset:?}"), format!("sha1:{}03", "00".repeat(19)));
    }
}
