//! Intel's signed JSON (PCS API v4): `{"tcbInfo":VALUE,"signature":"HEX"}`.
//!
//! The signature is over the exact bytes of VALUE, so they are cut out without being parsed, checked,
//! and only then read. Around VALUE nothing may differ by a byte, and the signature must be in
//! lower-case hexadecimal: no two documents with the same content are accepted.

use std::collections::HashSet;
use std::fmt;

use crypto::P256PublicKey;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Why a signed document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Two TCB levels are for the same TCB.
    #[error("two TCB levels for the same TCB")]
    DuplicateLevel,
    /// Not exactly the signed value and its signature.
    #[error("not of the form {{\"{member}\":…,\"signature\":\"…\"}} without white space around its members")]
    Envelope {
        /// The member that holds the signed value.
        member: &'static str,
    },
    /// A member is missing, repeated, of another type or out of range.
    #[error("not as specified at line {line} column {column}: {problem}")]
    Json {
        /// What the JSON reader says.
        problem: String,
        /// The line, counted from 1, within the signed value.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// A member has a value that is not allowed.
    #[error("`{member}` has a value that is not allowed")]
    Member {
        /// The member.
        member: &'static str,
    },
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// Longer than any of Intel's documents.
    #[error("{length} bytes, more than the {limit} accepted")]
    TooLong {
        /// Its length.
        length: usize,
        /// The most bytes accepted.
        limit: usize,
    },
    /// A version of the document that is not supported.
    #[error("version {found} is not supported")]
    Version {
        /// The version.
        found: u32,
    },
}

impl From<serde_json::Error> for DocumentError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json { problem: error.to_string(), line: error.line(), column: error.column() }
    }
}

/// A document cut into its signed value and signature, nothing of it parsed.
#[derive(Debug)]
pub(crate) struct SignedJson<'a> {
    unverified_value: &'a [u8],
    signature: [u8; 64],
}

impl<'a> SignedJson<'a> {
    /// Cuts `document`, whose signed value is the member `member`.
    pub(crate) fn split(document: &'a [u8], member: &'static str) -> Result<Self, DocumentError> {
        if document.len() > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLong { length: document.len(), limit: MAX_DOCUMENT_BYTES });
        }
        Self::cut(document, member).ok_or(DocumentError::Envelope { member })
    }

    fn cut(document: &'a [u8], member: &str) -> Option<Self> {
        let inner = document.strip_prefix(b"{\"")?.strip_prefix(member.as_bytes())?.strip_prefix(b"\":")?;
        let (rest, hex) = inner.strip_suffix(b"\"}")?.split_last_chunk::<128>()?;
        let unverified_value = rest.strip_suffix(b",\"signature\":\"")?;
        if !hex.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut signature = [0; 64];
        hex::decode_to_slice(hex, &mut signature).ok()?;
        Some(Self { unverified_value, signature })
    }

    /// The exact bytes of the value, if `key` signed them (ECDSA P-256 with SHA-256, raw `r ‖ s`), and
    /// they are JSON in which no object has a member twice.
    pub(crate) fn verify(&self, key: &P256PublicKey) -> Result<&'a [u8], DocumentError> {
        if !self.is_signed_by(key) {
            return Err(DocumentError::Signature);
        }
        refuse_duplicate_members(self.unverified_value)?;
        Ok(self.unverified_value)
    }

    /// Whether `key` signed the value.
    pub(crate) fn is_signed_by(&self, key: &P256PublicKey) -> bool {
        key.verify_fixed(self.unverified_value, &self.signature).is_ok()
    }

    /// The value, for deciding what a file is.
    pub(crate) fn unverified_value(&self) -> &'a [u8] {
        self.unverified_value
    }
}

/// Reads JSON and refuses an object with a member twice, and nesting deeper than any of Intel's.
pub(crate) fn refuse_duplicate_members(json: &[u8]) -> Result<(), DocumentError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    NoDuplicates { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(())
}

#[derive(Clone, Copy)]
struct NoDuplicates {
    depth: u32,
}

impl NoDuplicates {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for NoDuplicates {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(member) = map.next_key::<String>()? {
            map.next_value_seed(inner)?;
            if seen.contains(&member) {
                return Err(A::Error::custom(format_args!("member `{member}` twice")));
            }
            seen.insert(member);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while sequence.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// `N` bytes in hexadecimal of either case, as in the signed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HexArray<const N: usize>(pub(crate) [u8; N]);

impl<'de, const N: usize> Deserialize<'de> for HexArray<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| D::Error::custom(format_args!("not {N} bytes in hexadecimal")))?;
        Ok(Self(bytes))
    }
}

/// A time in ISO 8601 form as Intel writes it, e.g. `2025-01-21T10:45:48Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamp(pub(crate) OffsetDateTime);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(Self)
            .map_err(|_| D::Error::custom("no time in RFC 3339 form"))
    }
}

/// Intel's largest TCB info is about 20 KB.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 512 * 1024;
/// The nesting limit of Intel's library.
const MAX_DEPTH: u32 = 32;
/// Intel's TCB infos have about 20 levels.
pub(crate) const MAX_LEVELS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn split(document: &str) -> Result<SignedJson<'_>, DocumentError> {
        SignedJson::split(document.as_bytes(), "tcbInfo")
    }

    #[test]
    fn cuts_the_exact_value() {
        let signature = "0a".repeat(64);
        let document = format!(r#"{{"tcbInfo":{{ "a" : 1 }},"signature":"{signature}"}}"#);
        let signed = split(&document).unwrap();
        assert_eq!(signed.unverified_value(), br#"{ "a" : 1 }"#);
        assert_eq!(signed.signature, [10; 64]);
        let envelope = DocumentError::Envelope { member: "tcbInfo" };
        for changed in [
            document.replace("tcbInfo", "TcbInfo"),
            document.replace("0a", "0A"),
            format!("{document}\n"),
            format!(" {document}"),
            document.replace(r#""signature":"#, r#""signature": "#),
            document.replace("signature", "signaturf"),
            document.replace(r#"0a""#, r#"0""#),
        ] {
            assert_eq!(split(&changed).unwrap_err(), envelope, "{changed}");
        }
        let long = "a".repeat(MAX_DOCUMENT_BYTES + 1);
        assert!(matches!(split(&long), Err(DocumentError::TooLong { .. })));
    }

    #[test]
    fn refuses_a_member_twice_at_any_depth_and_deep_nesting() {
        let check = |json: &str| refuse_duplicate_members(json.as_bytes());
        assert_eq!(check(r#"{"a":[{"b":1.5e3,"c":null}],"b":"","d":true,"e":-1}"#), Ok(()));
        for json in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"\u0061":2}}]"#] {
            let error = check(json).unwrap_err();
            assert!(
                matches!(&error, DocumentError::Json { problem, .. } if problem.contains("twice")),
                "{error}"
            );
        }
        assert!(check(&format!("{}{}", "[".repeat(32), "]".repeat(32))).is_ok());
        assert!(check(&format!("{}{}", "[".repeat(33), "]".repeat(33))).is_err());
        assert!(check("{} {}").is_err());
    }
}
