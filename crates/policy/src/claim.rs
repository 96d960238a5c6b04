//! Claims: what the evaluator is given and what it hands out.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

/// One statement about the attester: a name, a value and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The claim's name, compared case-sensitively.
    pub claim_type: Cow<'static, str>,
    /// Its value.
    pub value: Value,
    /// Who made the claim.
    pub issuer: Issuer,
}

impl Claim {
    /// A claim that the service derived from verified evidence.
    #[must_use]
    pub fn service(claim_type: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self { claim_type: claim_type.into(), value: value.into(), issuer: Issuer::AttestationService }
    }

    /// A claim that the client sent along; nothing vouches for it.
    #[must_use]
    pub fn custom(claim_type: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self { claim_type: claim_type.into(), value: value.into(), issuer: Issuer::CustomClaim }
    }
}

/// The value of a claim or property.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number. Literals and JSON numbers are limited to the 64-bit range (signed or unsigned).
    Integer(i128),
    /// UTF-8 text.
    String(String),
}

impl Value {
    /// Which of the three kinds this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) => Kind::Integer,
            Self::String(_) => Kind::String,
        }
    }

    /// The JSON form a token carries: an integer stays an integer.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Boolean(value) => serde_json::Value::Bool(*value),
            Self::Integer(value) => serde_json::Number::from_i128(*value)
                .map_or_else(|| serde_json::Value::String(value.to_string()), serde_json::Value::Number),
            Self::String(value) => serde_json::Value::String(value.clone()),
        }
    }
}

/// As in policy text: strings quoted, integers and booleans not.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::String(value) => write!(f, "\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

macro_rules! from_integers {
    ($($integer:ty),*) => { $(
        impl From<$integer> for Value {
            fn from(value: $integer) -> Self {
                Self::Integer(i128::from(value))
            }
        }
    )* };
}

from_integers!(u8, u16, u32, u64, i32, i64);

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

/// The kinds of value, by the names that `valueType` has in the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// `"Boolean"`
    Boolean,
    /// `"Integer"`
    Integer,
    /// `"String"`
    String,
}

impl Kind {
    /// The spelling of the language.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "Boolean",
            Self::Integer => "Integer",
            Self::String => "String",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Boolean, Self::Integer, Self::String].into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who made a claim, by the names that `issuer` has in the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Issuer {
    /// The running policy, by `add`, `issue` or `issueproperty`.
    AttestationPolicy,
    /// The service, from verified evidence.
    AttestationService,
    /// The client, unvouched.
    CustomClaim,
}

impl Issuer {
    /// All of them, as the language spells them.
    pub(crate) const NAMES: [&'static str; 3] = ["AttestationService", "AttestationPolicy", "CustomClaim"];

    /// The spelling of the language.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttestationPolicy => "AttestationPolicy",
            Self::AttestationService => "AttestationService",
            Self::CustomClaim => "CustomClaim",
        }
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
