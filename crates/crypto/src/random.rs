//! Random bytes of the operating system's generator.

use aws_lc_rs::rand;

/// The system's random number generator gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random number generator gave no bytes")]
pub struct NoRandomness;

/// `N` fresh random bytes.
///
/// # Errors
/// [`NoRandomness`] if the system's generator fails; a caller must then not go on.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(random_bytes::<32>(), random_bytes::<32>());
    }
}
