//! Hash functions (FIPS 180-4).

use aws_lc_rs::digest::{self, Context};

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha256_of_parts(&[bytes])
}

/// SHA-256 of the concatenation of `parts`, which is not built in memory.
#[must_use]
pub fn sha256_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    fixed(&context.finish())
}

/// SHA-1 of `bytes`: certificate thumbprints only, never a decision.
#[must_use]
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    fixed(&digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes))
}

/// SHA-384 of `bytes`.
#[must_use]
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    fixed(&digest::digest(&digest::SHA384, bytes))
}

/// SHA-512 of `bytes`.
#[must_use]
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    fixed(&digest::digest(&digest::SHA512, bytes))
}

fn fixed<const N: usize>(digest: &digest::Digest) -> [u8; N] {
    let mut out = [0; N];
    // The lengths are equal by the algorithm chosen above; `copy_from_slice` would say so by a panic.
    for (to, from) in out.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4 examples: the digests of "abc".
    #[test]
    fn known_answers() {
        assert_eq!(sha1(b"abc")[..4], [0xa9, 0x99, 0x3e, 0x36]);
        assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(sha256(b"abc")[28..], [0xf2, 0x00, 0x15, 0xad]);
        assert_eq!(sha256_of_parts(&[b"a", b"", b"bc"]), sha256(b"abc"));
        assert_eq!(sha384(b"abc")[..4], [0xcb, 0x00, 0x75, 0x3f]);
        assert_eq!(sha512(b"abc")[..4], [0xdd, 0xaf, 0x35, 0xa1]);
    }
}
