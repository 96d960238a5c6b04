//! `TPMT_PUBLIC` (TPM 2.0 Library Part 2, 12.2.4): public areas, their names, and the attributes that
//! say what a key can do. Big-endian.

use crypto::{Curve, HashAlgorithm, PublicKey};

use super::algorithm::{
    ALG_AES, ALG_CFB, ALG_ECC, ALG_ECDAA, ALG_ECDH, ALG_ECDSA, ALG_ECSCHNORR, ALG_HMAC, ALG_KEYEDHASH,
    ALG_NULL, ALG_OAEP, ALG_RSA, ALG_RSAES, ALG_RSAPSS, ALG_RSASSA, ALG_SM2, ALG_SYMCIPHER, ALG_XOR, hash_id,
    known_curve, known_hash,
};
use super::error::{KeyError, ParseError};
use crate::read::Reader;

/// A parsed public area. That it belongs to a TPM is for a certificate or a credential to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicArea<'a> {
    bytes: &'a [u8],
    /// The hash function of the object's name.
    pub name_algorithm: HashAlgorithm,
    /// What the object may do.
    pub attributes: Attributes,
    /// The policy that authorises its use; empty if there is none.
    pub auth_policy: &'a [u8],
    /// What kind of object it is.
    pub parameters: Parameters<'a>,
}

/// The parameters and unique value of an object, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameters<'a> {
    /// An elliptic-curve key.
    Ecc {
        /// Its symmetric algorithm, for keys that protect others.
        symmetric: Option<Symmetric>,
        /// What it signs or agrees with.
        scheme: Scheme,
        /// Its curve.
        curve: Curve,
        /// Big-endian, leading zeros may be missing.
        x: &'a [u8],
        /// Big-endian, leading zeros may be missing.
        y: &'a [u8],
    },
    /// An HMAC key or sealed data.
    KeyedHash {
        /// The digest that identifies it.
        unique: &'a [u8],
    },
    /// An RSA key.
    Rsa {
        /// Its symmetric algorithm, for keys that protect others.
        symmetric: Option<Symmetric>,
        /// What it signs or decrypts with.
        scheme: Scheme,
        /// The size of the modulus in bits.
        bits: u16,
        /// 0 stands for 65537.
        exponent: u32,
        /// Big-endian.
        modulus: &'a [u8],
    },
    /// A symmetric key.
    SymCipher {
        /// The digest that identifies it.
        unique: &'a [u8],
    },
}

/// `TPMT_SYM_DEF_OBJECT`, not null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symmetric {
    /// The `TPM_ALG_ID` of the block cipher.
    pub algorithm: u16,
    /// Its key size in bits.
    pub key_bits: u16,
    /// The `TPM_ALG_ID` of its mode.
    pub mode: u16,
}

impl Symmetric {
    /// Whether it is AES in CFB mode.
    #[must_use]
    pub const fn is_aes_cfb(self) -> bool {
        self.algorithm == ALG_AES && self.mode == ALG_CFB
    }
}

/// The scheme fixed in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// ECDSA.
    Ecdsa(HashAlgorithm),
    /// None: whoever uses the key chooses.
    Null,
    /// Another one: encryption, key agreement, ECDAA, SM2, Schnorr.
    Other,
    /// RSAPSS.
    RsaPss(HashAlgorithm),
    /// RSASSA.
    RsaSsa(HashAlgorithm),
}

impl<'a> PublicArea<'a> {
    /// Parses the bytes of a `TPMT_PUBLIC`, all of them.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Reader::all(bytes, "TPMT_PUBLIC", |r| {
            let kind = r.u16_be("type")?;
            Ok(Self {
                bytes,
                name_algorithm: known_hash("nameAlg", r.u16_be("nameAlg")?)?,
                attributes: Attributes::parse(r.u32_be("objectAttributes")?)?,
                auth_policy: r.sized("authPolicy")?,
                parameters: Parameters::parse(r, kind)?,
            })
        })
    }

    /// Parses a `TPM2B_PUBLIC`: the same behind its length.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn parse_sized(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Self::parse(Reader::all(bytes, "TPM2B_PUBLIC", |r| r.sized("publicArea"))?)
    }

    /// The bytes of the `TPMT_PUBLIC`, as received.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The name (Part 1, 16): the name algorithm and the hash of the bytes received.
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        let mut name = hash_id(self.name_algorithm).to_be_bytes().to_vec();
        name.extend_from_slice(self.name_algorithm.digest(&[self.bytes]).as_slice());
        name
    }

    /// The public key.
    ///
    /// # Errors
    /// [`KeyError::Kind`] for symmetric objects, [`KeyError::Malformed`] if the numbers are no key of
    /// the size and curve named.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        match &self.parameters {
            Parameters::Ecc { curve, x, y, .. } => {
                PublicKey::ec(*curve, x, y).map_err(|_| KeyError::Malformed)
            }
            Parameters::Rsa { bits, exponent, modulus, .. } => {
                let exponent = if *exponent == 0 { 65537 } else { *exponent };
                let key = PublicKey::rsa(modulus, &exponent.to_be_bytes());
                let key = key.map_err(|_| KeyError::Malformed)?;
                if key.rsa_bits() == Some(usize::from(*bits)) { Ok(key) } else { Err(KeyError::Malformed) }
            }
            Parameters::KeyedHash { .. } | Parameters::SymCipher { .. } => Err(KeyError::Kind),
        }
    }

    /// The scheme fixed in an asymmetric key.
    #[must_use]
    pub const fn scheme(&self) -> Option<Scheme> {
        match self.parameters {
            Parameters::Ecc { scheme, .. } | Parameters::Rsa { scheme, .. } => Some(scheme),
            Parameters::KeyedHash { .. } | Parameters::SymCipher { .. } => None,
        }
    }

    /// The symmetric algorithm of a key that protects others.
    #[must_use]
    pub const fn symmetric(&self) -> Option<Symmetric> {
        match self.parameters {
            Parameters::Ecc { symmetric, .. } | Parameters::Rsa { symmetric, .. } => symmetric,
            Parameters::KeyedHash { .. } | Parameters::SymCipher { .. } => None,
        }
    }

    /// Refuses names by SHA-1, under which two public areas can be made to share a name.
    pub(crate) fn check_name_algorithm(&self) -> Result<(), KeyError> {
        match self.name_algorithm {
            HashAlgorithm::Sha1 => {
                Err(KeyError::WeakHash { what: "name algorithm", found: HashAlgorithm::Sha1 })
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Parameters<'a> {
    fn parse(r: &mut Reader<'a>, kind: u16) -> Result<Self, ParseError> {
        match kind {
            ALG_RSA => Ok(Self::Rsa {
                symmetric: symmetric(r)?,
                scheme: rsa_scheme(r)?,
                bits: r.u16_be("keyBits")?,
                exponent: r.u32_be("exponent")?,
                modulus: r.sized("unique")?,
            }),
            ALG_ECC => {
                let (symmetric, scheme) = (symmetric(r)?, ecc_scheme(r)?);
                let curve = known_curve(r.u16_be("curveID")?)?;
                if r.u16_be("kdf")? != ALG_NULL {
                    r.u16_be("kdf hash")?;
                }
                Ok(Self::Ecc { symmetric, scheme, curve, x: r.sized("x")?, y: r.sized("y")? })
            }
            ALG_KEYEDHASH => {
                match r.u16_be("scheme")? {
                    ALG_NULL => {}
                    ALG_HMAC => {
                        r.u16_be("scheme hash")?;
                    }
                    ALG_XOR => {
                        r.u16_be("scheme hash")?;
                        r.u16_be("scheme kdf")?;
                    }
                    found => return Err(ParseError::UnknownAlgorithm { field: "scheme", found }),
                }
                Ok(Self::KeyedHash { unique: r.sized("unique")? })
            }
            ALG_SYMCIPHER => {
                symmetric(r)?;
                Ok(Self::SymCipher { unique: r.sized("unique")? })
            }
            found => Err(ParseError::UnknownAlgorithm { field: "type", found }),
        }
    }
}

fn symmetric(r: &mut Reader<'_>) -> Result<Option<Symmetric>, ParseError> {
    match r.u16_be("symmetric")? {
        ALG_NULL => Ok(None),
        algorithm => {
            let key_bits = r.u16_be("symmetric keyBits")?;
            Ok(Some(Symmetric { algorithm, key_bits, mode: r.u16_be("symmetric mode")? }))
        }
    }
}

fn rsa_scheme(r: &mut Reader<'_>) -> Result<Scheme, ParseError> {
    match r.u16_be("scheme")? {
        ALG_NULL => Ok(Scheme::Null),
        ALG_RSASSA => Ok(Scheme::RsaSsa(known_hash("scheme hash", r.u16_be("scheme hash")?)?)),
        ALG_RSAPSS => Ok(Scheme::RsaPss(known_hash("scheme hash", r.u16_be("scheme hash")?)?)),
        ALG_RSAES => Ok(Scheme::Other),
        ALG_OAEP => {
            r.u16_be("scheme hash")?;
            Ok(Scheme::Other)
        }
        found => Err(ParseError::UnknownAlgorithm { field: "scheme", found }),
    }
}

fn ecc_scheme(r: &mut Reader<'_>) -> Result<Scheme, ParseError> {
    match r.u16_be("scheme")? {
        ALG_NULL => Ok(Scheme::Null),
        ALG_ECDSA => Ok(Scheme::Ecdsa(known_hash("scheme hash", r.u16_be("scheme hash")?)?)),
        ALG_ECDH | ALG_SM2 | ALG_ECSCHNORR => {
            r.u16_be("scheme hash")?;
            Ok(Scheme::Other)
        }
        ALG_ECDAA => {
            r.u16_be("scheme hash")?;
            r.u16_be("scheme count")?;
            Ok(Scheme::Other)
        }
        found => Err(ParseError::UnknownAlgorithm { field: "scheme", found }),
    }
}

/// `TPMA_OBJECT` (Part 2, 8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes(u32);

impl Attributes {
    fn parse(bits: u32) -> Result<Self, ParseError> {
        if bits & !Self::KNOWN != 0 {
            return Err(ParseError::InvalidValue { field: "objectAttributes", found: bits });
        }
        Ok(Self(bits))
    }

    /// All bits, as the policy claim `obj_attr` has them.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether every bit of `bits` is set.
    #[must_use]
    pub const fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }

    pub(crate) fn require(self, required: &[(u32, &'static str)]) -> Result<(), KeyError> {
        match required.iter().find(|(bit, _)| !self.has(*bit)) {
            Some((_, attribute)) => Err(KeyError::Attribute { attribute, required: true }),
            None => Ok(()),
        }
    }

    pub(crate) fn forbid(self, bit: u32, attribute: &'static str) -> Result<(), KeyError> {
        if self.has(bit) { Err(KeyError::Attribute { attribute, required: false }) } else { Ok(()) }
    }

    /// The object never leaves its TPM.
    pub const FIXED_TPM: u32 = 0x2;
    /// The object never leaves its parent.
    pub const FIXED_PARENT: u32 = 0x10;
    /// The TPM made the secret part.
    pub const SENSITIVE_DATA_ORIGIN: u32 = 0x20;
    /// The key only handles data of the TPM's own making.
    pub const RESTRICTED: u32 = 0x1_0000;
    /// The key decrypts.
    pub const DECRYPT: u32 = 0x2_0000;
    /// The key signs.
    pub const SIGN: u32 = 0x4_0000;
    /// Those of version 1.38, and FIRMWARELIMITED and SVNLIMITED of 1.83.
    const KNOWN: u32 = 0x000f_0ff6;
}

/// What any key must have whose secret only its TPM knows.
pub(crate) const TPM_BOUND: &[(u32, &str)] = &[
    (Attributes::FIXED_TPM, "fixedTPM"),
    (Attributes::FIXED_PARENT, "fixedParent"),
    (Attributes::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A restricted RSASSA-SHA256 signing key with this modulus of 2048 bits.
    pub(crate) fn rsa_attestation_key(attributes: u32, scheme: &[u8], modulus: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 0x0b];
        bytes.extend(attributes.to_be_bytes());
        bytes.extend([0, 0, 0, 0x10]);
        bytes.extend(scheme);
        bytes.extend([8, 0, 0, 0, 0, 0]);
        bytes.extend(u16::try_from(modulus.len()).unwrap().to_be_bytes());
        bytes.extend(modulus);
        bytes
    }

    pub(crate) const RSASSA_SHA256: &[u8] = &[0, 0x14, 0, 0x0b];
    pub(crate) const AK_ATTRIBUTES: u32 = 0x0005_0072;

    #[test]
    fn rsa_public_areas() {
        let bytes = rsa_attestation_key(AK_ATTRIBUTES, RSASSA_SHA256, &[0xff; 256]);
        let area = PublicArea::parse(&bytes).unwrap();
        assert_eq!(area.scheme(), Some(Scheme::RsaSsa(HashAlgorithm::Sha256)));
        assert_eq!(area.public_key().unwrap().rsa_bits(), Some(2048));
        assert_eq!(area.name()[..2], [0, 0x0b]);
        assert_eq!(area.name()[2..], crypto::sha256(&bytes));
        let sized = [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat();
        assert_eq!(PublicArea::parse_sized(&sized), Ok(area));
        for length in 0..bytes.len() {
            assert!(PublicArea::parse(&bytes[..length]).is_err());
        }
        let short = rsa_attestation_key(AK_ATTRIBUTES, RSASSA_SHA256, &[0x7f; 256]);
        assert_eq!(PublicArea::parse(&short).unwrap().public_key(), Err(KeyError::Malformed));
        let reserved = rsa_attestation_key(0x8000_0000, RSASSA_SHA256, &[0xff; 256]);
        assert!(matches!(
            PublicArea::parse(&reserved),
            Err(ParseError::InvalidValue { field: "objectAttributes", .. })
        ));
        for (scheme, expected) in [
            (&[0, 0x10][..], Scheme::Null),
            (&[0, 0x15], Scheme::Other),
            (&[0, 0x17, 0, 0x0b], Scheme::Other),
            (&[0, 0x16, 0, 0x0c], Scheme::RsaPss(HashAlgorithm::Sha384)),
        ] {
            let bytes = rsa_attestation_key(AK_ATTRIBUTES, scheme, &[0xff; 256]);
            assert_eq!(PublicArea::parse(&bytes).unwrap().scheme(), Some(expected));
        }
        assert!(
            PublicArea::parse(&rsa_attestation_key(AK_ATTRIBUTES, &[0, 0x18, 0, 0x0b], &[0xff; 256]))
                .is_err()
        );
    }

    #[test]
    fn other_kinds() {
        let key = crypto::SigningKey::generate(crypto::SigningAlgorithm::Es256).unwrap();
        let spki = key.public_key_der().unwrap();
        let (x, y) = spki[spki.len() - 64..].split_at(32);
        let mut bytes = vec![0, 0x23, 0, 0x0b, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10];
        for coordinate in [x, y] {
            bytes.extend([0, 32]);
            bytes.extend(coordinate);
        }
        let area = PublicArea::parse(&bytes).unwrap();
        assert_eq!(area.scheme(), Some(Scheme::Ecdsa(HashAlgorithm::Sha256)));
        assert_eq!(area.public_key().unwrap().curve(), Some(Curve::P256));
        assert_eq!(area.symmetric(), None);

        let hmac = [0, 8, 0, 0x0b, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0x0b, 0, 1, 7];
        let area = PublicArea::parse(&hmac).unwrap();
        assert_eq!(area.public_key(), Err(KeyError::Kind));
        assert_eq!(area.scheme(), None);
        let xor = [0, 8, 0, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0, 0x0b, 0, 0x22, 0, 0];
        assert!(PublicArea::parse(&xor).is_ok());
        let cipher = [0, 0x25, 0, 0x04, 0, 0, 0, 0, 0, 0, 0, 6, 0, 128, 0, 0x43, 0, 1, 7];
        let area = PublicArea::parse(&cipher).unwrap();
        assert!(matches!(area.check_name_algorithm(), Err(KeyError::WeakHash { .. })));
        assert!(PublicArea::parse(&[0, 9, 0, 0x0b, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
