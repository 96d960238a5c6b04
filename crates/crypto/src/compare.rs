//! Comparing secrets.

/// Whether two secrets are the same, in a time that depends on nothing but their lengths.
#[must_use]
pub fn equal_in_constant_time(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_equal() {
        assert!(equal_in_constant_time(b"secret", b"secret"));
        assert!(!equal_in_constant_time(b"secret", b"secreu"));
        assert!(!equal_in_constant_time(b"secret", b"secre"));
        assert!(equal_in_constant_time(b"", b""));
    }
}
