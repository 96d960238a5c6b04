//! What the sender of TPM evidence can do wrong, one enum per stage. A variant is a broken rule.

use crypto::HashAlgorithm;

use super::certificate::CertificateError;
use crate::read::ReadError;
use crate::verdict::{Check, CheckValue, Explain, rules};

/// The bytes are not the TPM structure they were sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A structure that a TPM makes starts with `FF 54 43 47`; this one does not.
    #[error("the attestation starts with {found:08x} instead of TPM_GENERATED_VALUE (ff544347)")]
    Magic {
        /// What it starts with.
        found: u32,
    },
    /// A list names the same bank twice, or a bank or PCR is given two values.
    #[error("{what} twice")]
    Duplicate {
        /// What stands there twice.
        what: &'static str,
    },
    /// A value that its type does not have.
    #[error("`{field}` is {found:#x}, which its type does not have")]
    InvalidValue {
        /// The field.
        field: &'static str,
        /// The value found.
        found: u32,
    },
    /// A field reaches past the end, or bytes are left over.
    #[error(transparent)]
    Shape(#[from] ReadError),
    /// More of something than a TPM has.
    #[error("{found} {what}, more than the {limit} accepted")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// The most accepted.
        limit: usize,
    },
    /// An algorithm or curve that is not supported.
    #[error("`{field}` names the unknown or unsupported algorithm {found:#06x}")]
    UnknownAlgorithm {
        /// The field.
        field: &'static str,
        /// The id found.
        found: u16,
    },
    /// An attestation of a type that is not supported.
    #[error("an attestation of the unsupported type {found:#06x}")]
    UnknownAttestationType {
        /// The structure tag found.
        found: u16,
    },
}

impl Explain for ParseError {
    fn check(&self) -> Check {
        Check::failed(rules::TPM_STRUCTURE, "a TPM 2.0 structure", self.to_string())
    }
}

/// A key that must not sign quotes or be certified: what its public area says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An attribute that the key must or must not have.
    #[error("the key {} the attribute `{attribute}`", if *required { "lacks" } else { "must not have" })]
    Attribute {
        /// The attribute of `TPMA_OBJECT`.
        attribute: &'static str,
        /// Whether the key must have it.
        required: bool,
    },
    /// Kind, curve or size of the key is not accepted.
    #[error("a key of this kind, curve or size is not accepted; use RSA from 2048 bits, P-256 or P-384")]
    Kind,
    /// Public key numbers that are no key.
    #[error("the public area holds no valid public key")]
    Malformed,
    /// The public area and the certificate or key it came with hold different keys.
    #[error("the public area and the certificate hold different keys")]
    Mismatch,
    /// The name or signatures of the key rest on a weak hash function.
    #[error("the key's {what} is {found}; SHA-256 or stronger is accepted")]
    WeakHash {
        /// Name algorithm or signing scheme.
        what: &'static str,
        /// What it is.
        found: HashAlgorithm,
    },
    /// The key does not fix its signing scheme to one that is accepted.
    #[error("the key's signing scheme is not one of RSASSA, RSAPSS and ECDSA")]
    Scheme,
    /// The key protects others, and not with an algorithm that is accepted.
    #[error("the key's symmetric algorithm is not AES in CFB mode with 128 or 256 bits")]
    Symmetric,
    /// Nobody vouches for the key: neither a certificate nor the operator.
    #[error("the key is neither trusted by the operator nor certified by a trusted issuer")]
    Untrusted,
}

impl Explain for KeyError {
    fn check(&self) -> Check {
        match self {
            Self::Untrusted => {
                Check::failed(rules::TPM_KEY_TRUST, "a trusted or certified key", "an unknown key")
            }
            Self::Mismatch => Check::failed(rules::TPM_KEY_TRUST, "the certified key", "another public area"),
            _ => Check::failed(
                rules::TPM_KEY_ATTRIBUTES,
                "a restricted signing key fixed to the TPM",
                self.to_string(),
            ),
        }
    }
}

/// The quote or certification is not genuine, or not about what was sent with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The certificate of the attestation key, or one of its issuers.
    #[error("attestation key certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// A certification is about another object.
    #[error("the certification is about another object than the public area sent with it")]
    CertifiedName {
        /// The name of the public area.
        expected: Vec<u8>,
        /// The name certified.
        found: Vec<u8>,
    },
    /// The quote covers no PCR at all.
    #[error("the quote covers no PCR")]
    EmptySelection,
    /// Attributes and algorithms of the key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// PCR values were sent that the quote does not cover: nothing vouches for them.
    #[error("PCR {index} of the {bank} bank was sent, but the quote does not cover it")]
    NotQuoted {
        /// The bank.
        bank: HashAlgorithm,
        /// The PCR.
        index: u8,
    },
    /// The quote covers fewer PCRs than are required.
    #[error("the quote does not cover PCR {} in a bank of SHA-256 or stronger", list(missing))]
    NotCovered {
        /// The PCRs required and not covered.
        missing: Vec<u8>,
    },
    /// The qualifying data are not the nonce that was issued.
    #[error("the qualifying data are not the nonce expected")]
    Nonce {
        /// What was expected.
        expected: Vec<u8>,
        /// What the TPM signed.
        found: Vec<u8>,
    },
    /// Another attestation was sent in place of the one expected.
    #[error("an attestation of type {found} instead of {expected}")]
    Type {
        /// The type needed.
        expected: &'static str,
        /// The type found.
        found: &'static str,
    },
    /// A structure does not parse.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The PCR values sent are not those quoted.
    #[error("the digest over the PCR values sent is not the one quoted")]
    PcrDigest {
        /// The digest over the values sent.
        expected: Vec<u8>,
        /// The digest quoted.
        found: Vec<u8>,
    },
    /// A PCR that the quote covers was not sent.
    #[error("the quote covers PCR {index} of the {bank} bank, but its value was not sent")]
    PcrMissing {
        /// The bank.
        bank: HashAlgorithm,
        /// The PCR.
        index: u8,
    },
    /// The key did not sign these bytes.
    #[error("the signature of the {what} does not verify with the attestation key")]
    Signature {
        /// Quote or certification.
        what: &'static str,
    },
    /// The signature was made with another scheme than the key's.
    #[error("the signature's scheme is not the one of the key")]
    SignatureScheme,
    /// Clock or counters of a later quote are behind those of an earlier one.
    #[error("`{counter}` went back from {before} to {after}")]
    WentBack {
        /// `clock`, `resetCount` or `restartCount`.
        counter: &'static str,
        /// Its earlier value.
        before: u64,
        /// Its later value.
        after: u64,
    },
}

impl Explain for VerifyError {
    fn check(&self) -> Check {
        match self {
            Self::Certificate(error) => error.check(),
            Self::CertifiedName { expected, found } => {
                Check::failed(rules::TPM_CERTIFY_NAME, expected.as_slice(), found.as_slice())
            }
            Self::EmptySelection => {
                Check::failed(rules::TPM_QUOTE_COVERAGE, "at least one PCR", CheckValue::None)
            }
            Self::Key(error) => error.check(),
            Self::Parse(error) => error.check(),
            Self::NotQuoted { .. } => {
                Check::failed(rules::TPM_QUOTE_SELECTION, "only quoted PCRs", self.to_string())
            }
            Self::PcrMissing { .. } => {
                Check::failed(rules::TPM_QUOTE_SELECTION, "every quoted PCR", self.to_string())
            }
            Self::NotCovered { missing } => Check::failed(
                rules::TPM_QUOTE_COVERAGE,
                "every required PCR",
                format!("without PCR {}", list(missing)),
            ),
            Self::Nonce { expected, found } => {
                Check::failed(rules::TPM_QUOTE_NONCE, expected.as_slice(), found.as_slice())
            }
            Self::Type { expected, found } => Check::failed(rules::TPM_QUOTE_TYPE, *expected, *found),
            Self::PcrDigest { expected, found } => {
                Check::failed(rules::TPM_QUOTE_PCR_DIGEST, found.as_slice(), expected.as_slice())
            }
            Self::Signature { .. } => Check::failed(rules::TPM_QUOTE_SIGNATURE, "valid", "invalid"),
            Self::SignatureScheme => {
                Check::failed(rules::TPM_QUOTE_SIGNATURE, "the key's scheme", "another scheme")
            }
            Self::WentBack { before, after, .. } => {
                Check::failed(rules::TPM_QUOTE_CLOCK, format!("at least {before}"), after.to_string())
            }
        }
    }
}

fn list(indices: &[u8]) -> String {
    indices.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}
