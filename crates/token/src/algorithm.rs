//! The signature algorithms tokens are made and checked with.

use crypto::SigningAlgorithm;

/// A JWS algorithm (RFC 7518 §3.1). These two and no others: `none`, the `HS` family and anything
/// else a header may name never become a value of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256, signature `r ‖ s`, 64 bytes.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, keys of 2048 bits or more.
    Rs256,
}

impl Algorithm {
    /// Both algorithms, for a caller without a reason to allow less.
    pub const ALL: [Self; 2] = [Self::Es256, Self::Rs256];

    /// The name in a header's `alg`, which is case-sensitive.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of that exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

impl From<SigningAlgorithm> for Algorithm {
    fn from(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::Es256 => Self::Es256,
            SigningAlgorithm::Rs256 => Self::Rs256,
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        assert_eq!(Algorithm::from_name("RS256"), Some(Algorithm::Rs256));
        assert_eq!(Algorithm::from_name("ES256"), Some(Algorithm::Es256));
        for other in ["none", "None", "", "rs256", "RS256 ", "HS256", "PS256", "RSA256", "ES384"] {
            assert_eq!(Algorithm::from_name(other), None, "{other}");
        }
    }
}
