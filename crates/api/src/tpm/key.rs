//! Keys on the wire: JSON Web Keys (RFC 7517, RFC 7518 §6), and what binds them to a TPM.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use token::{base64url, json};

use super::error::TpmMessageError;
use crate::transport;

/// A JSON Web Key as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk<'a> {
    /// Its text, byte for byte: hashes cover it.
    pub text: &'a str,
    /// The public numbers, big-endian.
    pub numbers: JwkNumbers,
}

/// The public numbers of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwkNumbers {
    /// An elliptic-curve point.
    Ec {
        /// Its curve.
        curve: EcCurve,
        /// Padded to the size of the field, as RFC 7518 §6.2.1.2 wants it.
        x: Vec<u8>,
        /// As `x`.
        y: Vec<u8>,
    },
    /// An RSA key.
    Rsa {
        /// The member `n`.
        modulus: Vec<u8>,
        /// The member `e`.
        exponent: Vec<u8>,
    },
}

/// A curve of RFC 7518 §6.2.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EcCurve {
    /// P-256.
    P256,
    /// P-384.
    P384,
}

/// A key that is to be attested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key<'a> {
    /// The key.
    pub jwk: Jwk<'a>,
    /// What binds it.
    pub info: KeyInfo,
}

/// What binds a key to the TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyInfo {
    /// Nothing.
    None,
    /// That it signs the request; the first version of the protocol has no more.
    Possession,
    /// `tpm_quote`: the nonce of the current quote covers the key's text, with SHA-256.
    Quote,
    /// `tpm_certify`: the TPM certified the key.
    Certify {
        /// `TPMT_PUBLIC`.
        public: Vec<u8>,
        /// `TPMS_ATTEST`.
        certification: Vec<u8>,
        /// `TPMT_SIGNATURE`.
        signature: Vec<u8>,
    },
}

impl<'a> Jwk<'a> {
    /// Reads the text of the member `member`.
    pub(super) fn parse(raw: &'a RawValue, member: &'static str) -> Result<Self, TpmMessageError> {
        let text = raw.get();
        if text.len() > MAX_JWK_BYTES {
            return Err(TpmMessageError::TooLong { what: "text of a key", limit: MAX_JWK_BYTES });
        }
        let key = json::parse_object(text.as_bytes())
            .map_err(|error| TpmMessageError::Json { what: member, reason: error.to_string() })?;
        let bad = |reason| TpmMessageError::Key { member, reason };
        if PRIVATE_MEMBERS.iter().any(|name| key.contains_key(*name)) {
            return Err(bad("it has private members; send public ones only, and replace this key"));
        }
        let text_of = |name| key.get(name).and_then(Value::as_str);
        let number = |name| {
            let bytes = text_of(name).and_then(|text| base64url::decode(text).ok());
            bytes.filter(|bytes| !bytes.is_empty()).ok_or(bad("a number of it is missing or not base64url"))
        };
        let numbers = match text_of("kty") {
            Some("RSA") => JwkNumbers::Rsa { modulus: number("n")?, exponent: number("e")? },
            Some("EC") => {
                let (curve, size) = match text_of("crv") {
                    Some("P-256") => (EcCurve::P256, 32),
                    Some("P-384") => (EcCurve::P384, 48),
                    _ => return Err(bad("its curve is not `P-256` or `P-384`")),
                };
                let (x, y) = (number("x")?, number("y")?);
                if x.len() != size || y.len() != size {
                    return Err(bad("its coordinates do not have the length of the curve's field"));
                }
                JwkNumbers::Ec { curve, x, y }
            }
            _ => return Err(bad("its `kty` is not `RSA` or `EC`")),
        };
        Ok(Self { text, numbers })
    }
}

impl<'a> Key<'a> {
    pub(super) fn parse(raw: RawKey<'a>, member: &'static str) -> Result<Self, TpmMessageError> {
        let info = match raw.info {
            None | Some(RawInfo { tpm_quote: None, tpm_certify: None }) => KeyInfo::None,
            Some(RawInfo { tpm_quote: Some(quote), tpm_certify: None }) if quote.hash_alg == "sha-256" => {
                KeyInfo::Quote
            }
            Some(RawInfo { tpm_quote: Some(quote), tpm_certify: None }) => {
                let found = format!("`{}`", quote.hash_alg.chars().take(64).collect::<String>());
                return Err(TpmMessageError::Unknown { member: "hash_alg", found, send: "`sha-256`" });
            }
            Some(RawInfo { tpm_quote: None, tpm_certify: Some(certify) }) => KeyInfo::Certify {
                public: bytes("public", &certify.public)?,
                certification: bytes("certification", &certify.certification)?,
                signature: bytes("signature", &certify.signature)?,
            },
            Some(RawInfo { tpm_quote: Some(_), tpm_certify: Some(_) }) => {
                let found = "both `tpm_quote` and `tpm_certify`".to_owned();
                return Err(TpmMessageError::Unknown { member: "info", found, send: "one of them" });
            }
        };
        Ok(Self { jwk: Jwk::parse(raw.jwk, member)?, info })
    }
}

/// Decodes a member.
pub(super) fn bytes(member: &'static str, text: &str) -> Result<Vec<u8>, TpmMessageError> {
    transport::decode(text).map_err(|error| TpmMessageError::Base64 { member, error })
}

#[derive(Deserialize)]
pub(super) struct RawKey<'a> {
    #[serde(borrow)]
    jwk: &'a RawValue,
    info: Option<RawInfo>,
}

/// Further bindings have no published form; what is not understood must not be taken for nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInfo {
    tpm_quote: Option<RawQuoteInfo>,
    tpm_certify: Option<RawCertify>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQuoteInfo {
    hash_alg: String,
}

#[derive(Deserialize)]
struct RawCertify {
    public: String,
    certification: String,
    signature: String,
}

/// A key of 16384 bits has 4 KiB, whatever else stands beside its numbers.
const MAX_JWK_BYTES: usize = 16 * 1024;
/// RFC 7518 §6.2.2, §6.3.2 and §6.4.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "dp", "dq", "k", "oth", "p", "q", "qi"];
