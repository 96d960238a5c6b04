//! The one verdict type of the product: what was checked, in order, with expected and actual value,
//! up to and including the first failure. Errors, the command line, audit and console all show it.
//!
//! Every check has a stable id and names the section of the vendor's document that asks for it; the
//! table of them is [`rules`]. A [`Check`] explains, it proves nothing: what proves that a check
//! passed is the value that only the check can make (`VerifiedPck`, `Endorsements`, `VerifiedReport`,
//! `BoundReport`).

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub mod rules;

pub use rules::Rule;

/// The checks made on one piece of evidence, in order, ending with the first that failed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Verdict {
    checks: Vec<Check>,
}

impl Verdict {
    /// A verdict without checks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with_capacity(checks: usize) -> Self {
        Self { checks: Vec::with_capacity(checks) }
    }

    /// The checks, in the order they were made.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Whether at least one check was made and none failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.first_failure().is_none()
    }

    /// The check that failed, if one did; it is the last one.
    #[must_use]
    pub fn first_failure(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.outcome == Outcome::Failed)
    }

    /// The check with this id, if it was made.
    #[must_use]
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.id == id)
    }

    /// Adds a check.
    pub fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Adds checks made elsewhere, in their order.
    pub fn extend(&mut self, checks: &[Check]) {
        self.checks.extend_from_slice(checks);
    }
}

/// One check: what was asked, what was found, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable, dotted, e.g. `sgx.quote.signature`.
    pub id: &'static str,
    /// Whether it passed, failed, or only notes a fact.
    pub outcome: Outcome,
    /// What had to be found.
    pub expected: CheckValue,
    /// What was found.
    pub actual: CheckValue,
    /// The section of the document that asks for the check.
    #[serde(rename = "source")]
    pub section: &'static str,
}

impl Check {
    /// A check whose expectation was met.
    #[must_use]
    pub fn passed(rule: Rule, expected: impl Into<CheckValue>, actual: impl Into<CheckValue>) -> Self {
        Self::new(rule, Outcome::Passed, expected.into(), actual.into())
    }

    /// A check whose expectation was not met.
    #[must_use]
    pub fn failed(rule: Rule, expected: impl Into<CheckValue>, actual: impl Into<CheckValue>) -> Self {
        Self::new(rule, Outcome::Failed, expected.into(), actual.into())
    }

    /// A fact that decides nothing here: the debug flag, the TCB status, its date and advisories.
    #[must_use]
    pub fn noted(rule: Rule, actual: impl Into<CheckValue>) -> Self {
        Self::new(rule, Outcome::Noted, CheckValue::None, actual.into())
    }

    fn new(rule: Rule, outcome: Outcome, expected: CheckValue, actual: CheckValue) -> Self {
        Self { id: rule.id, outcome, expected, actual, section: rule.section }
    }
}

/// `sgx.quote.signature failed: expected valid, found invalid`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Noted => write!(f, "{} noted: {}", self.id, self.actual),
            Outcome::Passed => write!(f, "{} passed: {}", self.id, self.actual),
            Outcome::Failed => {
                write!(f, "{} failed: expected {}, found {}", self.id, self.expected, self.actual)
            }
        }
    }
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The expectation was not met; no check follows.
    Failed,
    /// A fact that decides nothing here.
    Noted,
    /// The expectation was met.
    Passed,
}

/// A value that a check compares. Cheap to make: none but long texts, lists and bytes are on the heap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckValue {
    /// Nothing was expected, or nothing was there.
    None,
    /// A flag.
    Bool(bool),
    /// A number.
    Integer(i64),
    /// Text.
    Text(Cow<'static, str>),
    /// Bytes, shown in lower-case hexadecimal in their order in memory.
    Hex(HexBytes),
    /// A point in time, shown in RFC 3339 form, UTC.
    Time(OffsetDateTime),
    /// Several values.
    List(Vec<CheckValue>),
}

impl CheckValue {
    /// Bytes, shown in lower-case hexadecimal.
    #[must_use]
    pub fn hex(bytes: &[u8]) -> Self {
        Self::Hex(HexBytes::new(bytes))
    }
}

impl From<bool> for CheckValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u16> for CheckValue {
    fn from(value: u16) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u32> for CheckValue {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

/// A count or size; one past `i64::MAX` shows as `i64::MAX`.
impl From<usize> for CheckValue {
    fn from(value: usize) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<&'static str> for CheckValue {
    fn from(value: &'static str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for CheckValue {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl From<OffsetDateTime> for CheckValue {
    fn from(value: OffsetDateTime) -> Self {
        Self::Time(value)
    }
}

impl<const N: usize> From<&[u8; N]> for CheckValue {
    fn from(value: &[u8; N]) -> Self {
        Self::hex(value)
    }
}

impl From<&[u8]> for CheckValue {
    fn from(value: &[u8]) -> Self {
        Self::hex(value)
    }
}

impl From<&[String]> for CheckValue {
    fn from(values: &[String]) -> Self {
        Self::List(values.iter().map(|value| Self::from(value.clone())).collect())
    }
}

impl fmt::Display for CheckValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("nothing"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
            Self::Hex(value) => f.write_str(&hex::encode(value.as_slice())),
            Self::Time(value) => f.write_str(&value.format(&Rfc3339).map_err(|_| fmt::Error)?),
            Self::List(values) if values.is_empty() => f.write_str("none"),
            Self::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

/// Plain JSON: null, booleans, numbers, strings and arrays.
impl Serialize for CheckValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Hex(_) | Self::Time(_) => serializer.collect_str(self),
        }
    }
}

/// Bytes of a check: up to 32 of them, the size of every digest compared here, without the heap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexBytes(HexStorage);

#[derive(Debug, Clone, PartialEq, Eq)]
enum HexStorage {
    Digest([u8; 32]),
    Heap(Box<[u8]>),
    Small { bytes: [u8; 16], length: u8 },
}

impl HexBytes {
    /// Copies `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        if let Ok(digest) = <[u8; 32]>::try_from(bytes) {
            return Self(HexStorage::Digest(digest));
        }
        match u8::try_from(bytes.len()) {
            Ok(length @ ..=16) => {
                let mut small = [0; 16];
                for (to, from) in small.iter_mut().zip(bytes) {
                    *to = *from;
                }
                Self(HexStorage::Small { bytes: small, length })
            }
            _ => Self(HexStorage::Heap(bytes.into())),
        }
    }

    /// The bytes, in their order in memory.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            HexStorage::Digest(bytes) => bytes,
            HexStorage::Heap(bytes) => bytes,
            HexStorage::Small { bytes, length } => bytes.get(..usize::from(*length)).unwrap_or_default(),
        }
    }
}

/// A stage's error together with the verdict that ends in the check it broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection<E> {
    /// The broken rule.
    pub error: E,
    /// The checks made, the failed one last.
    pub verdict: Verdict,
}

impl<E: Explain> Rejection<E> {
    /// Ends `verdict` with the check that `error` broke.
    #[must_use]
    pub fn new(error: E, mut verdict: Verdict) -> Self {
        verdict.push(error.check());
        Self { error, verdict }
    }
}

impl<E: fmt::Display> fmt::Display for Rejection<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: std::error::Error> std::error::Error for Rejection<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Errors that say which check they broke.
pub trait Explain {
    /// The failed check, with expected and actual value.
    fn check(&self) -> Check;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serialises_as_a_list_of_checks() {
        let mut verdict = Verdict::new();
        verdict.push(Check::passed(rules::QUOTE_SIGNATURE, "valid", "valid"));
        verdict.push(Check::failed(rules::TCB_INFO_FMSPC, &[0, 0x90, 0x6e], &[0xff; 3]));
        let json = serde_json::to_string(&verdict).unwrap();
        assert!(
            json.starts_with(
                r#"[{"id":"sgx.quote.signature","outcome":"passed","expected":"valid","actual":"valid","source":""#
            ),
            "{json}"
        );
        assert!(json.contains(r#""expected":"00906e","actual":"ffffff""#), "{json}");
        assert!(!verdict.passed());
        assert_eq!(verdict.first_failure().map(|check| check.id), Some("dcap.tcb_info.fmspc"));
    }

    #[test]
    fn nothing_checked_is_not_passed() {
        assert!(!Verdict::new().passed());
    }

    #[test]
    fn values_read_well() {
        let time = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let list = CheckValue::List(vec![
            true.into(),
            7_u16.into(),
            CheckValue::hex(&[0xab; 40]),
            CheckValue::hex(&[0xcd; 2]),
            time.into(),
            CheckValue::None,
        ]);
        assert_eq!(
            list.to_string(),
            format!("true, 7, {}, cdcd, 2023-11-14T22:13:20Z, nothing", "ab".repeat(40))
        );
        assert_eq!(CheckValue::List(vec![]).to_string(), "none");
        assert_eq!(
            serde_json::to_string(&list).unwrap(),
            format!(r#"[true,7,"{}","cdcd","2023-11-14T22:13:20Z",null]"#, "ab".repeat(40))
        );
    }
}
