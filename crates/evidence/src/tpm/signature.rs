//! `TPMT_SIGNATURE` (TPM 2.0 Library Part 2, 11.3.4), and the raw RSA signatures that Windows sends.

use crypto::{HashAlgorithm, PublicKey, SignatureScheme};

use super::algorithm::{ALG_ECDSA, ALG_RSAPSS, ALG_RSASSA, known_hash};
use super::error::ParseError;
use crate::read::Reader;

/// A parsed signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature<'a> {
    /// ECDSA; big-endian numbers, padded or not.
    Ecdsa {
        /// The hash function.
        hash: HashAlgorithm,
        /// The first number.
        r: &'a [u8],
        /// The second number.
        s: &'a [u8],
    },
    /// An RSA signature that doesn't say its scheme: the key's is used.
    RawRsa(&'a [u8]),
    /// RSAPSS.
    RsaPss {
        /// The hash function.
        hash: HashAlgorithm,
        /// The signature.
        signature: &'a [u8],
    },
    /// RSASSA.
    RsaSsa {
        /// The hash function.
        hash: HashAlgorithm,
        /// The signature.
        signature: &'a [u8],
    },
}

impl<'a> Signature<'a> {
    /// Parses the bytes of a `TPMT_SIGNATURE`, all of them.
    ///
    /// # Errors
    /// [`ParseError`]; the null signature and schemes that are not supported are refused by name.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Reader::all(bytes, "TPMT_SIGNATURE", |reader| {
            let algorithm = reader.u16_be("sigAlg")?;
            if ![ALG_ECDSA, ALG_RSAPSS, ALG_RSASSA].contains(&algorithm) {
                return Err(ParseError::UnknownAlgorithm { field: "sigAlg", found: algorithm });
            }
            let hash = known_hash("hash", reader.u16_be("hash")?)?;
            Ok(match algorithm {
                ALG_ECDSA => {
                    Self::Ecdsa { hash, r: reader.sized("signatureR")?, s: reader.sized("signatureS")? }
                }
                ALG_RSAPSS => Self::RsaPss { hash, signature: reader.sized("sig")? },
                _ => Self::RsaSsa { hash, signature: reader.sized("sig")? },
            })
        })
    }

    /// The scheme it says it was made with; none for a raw one.
    #[must_use]
    pub const fn scheme(&self) -> Option<SignatureScheme> {
        match self {
            Self::Ecdsa { hash, .. } => Some(SignatureScheme::Ecdsa(*hash)),
            Self::RawRsa(_) => None,
            Self::RsaPss { hash, .. } => Some(SignatureScheme::RsaPss(*hash)),
            Self::RsaSsa { hash, .. } => Some(SignatureScheme::RsaPkcs1(*hash)),
        }
    }

    /// Whether `key` made it over `message` with `scheme`.
    pub(crate) fn verifies(&self, key: &PublicKey, scheme: SignatureScheme, message: &[u8]) -> bool {
        match (self, scheme) {
            (Self::Ecdsa { r, s, .. }, SignatureScheme::Ecdsa(hash)) => {
                key.verify_ecdsa(hash, message, r, s).is_ok()
            }
            (Self::Ecdsa { .. }, _) | (_, SignatureScheme::Ecdsa(_)) => false,
            (Self::RawRsa(signature), _) => key.verify(scheme, message, signature).is_ok(),
            (Self::RsaPss { signature, .. } | Self::RsaSsa { signature, .. }, _) => {
                key.verify(scheme, message, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_told_apart() {
        let sha256 = HashAlgorithm::Sha256;
        assert_eq!(
            Signature::parse(&[0, 0x14, 0, 0x0b, 0, 1, 7]),
            Ok(Signature::RsaSsa { hash: sha256, signature: &[7] })
        );
        assert_eq!(
            Signature::parse(&[0, 0x16, 0, 0x0b, 0, 1, 7]),
            Ok(Signature::RsaPss { hash: sha256, signature: &[7] })
        );
        assert_eq!(
            Signature::parse(&[0, 0x18, 0, 0x0b, 0, 1, 7, 0, 1, 8]),
            Ok(Signature::Ecdsa { hash: sha256, r: &[7], s: &[8] })
        );
        for bytes in [&[0, 0x10][..], &[0, 0x1a, 0, 0x0b, 0, 0, 0, 0], &[0, 0x14, 0, 0x12, 0, 0]] {
            assert!(matches!(Signature::parse(bytes), Err(ParseError::UnknownAlgorithm { .. })));
        }
        assert!(Signature::parse(&[0, 0x14, 0, 0x0b, 0, 1, 7, 0]).is_err());
        assert_eq!(Signature::RawRsa(&[]).scheme(), None);
    }
}
