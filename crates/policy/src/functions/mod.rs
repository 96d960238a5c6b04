//! The functions of version 1.2: names, signatures, and a file for each family.

pub(crate) mod boolean;
pub(crate) mod json_value;
pub(crate) mod query;
pub(crate) mod sets;
pub(crate) mod text;

use crate::claim::Kind;

/// A function of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    AppendString,
    ContainsOnlyValue,
    IsSubsetOf,
    JmesPath,
    JsonToClaimValue,
    NegateBool,
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// Any number of values of any kinds.
    Set,
    /// One value of any kind.
    Single,
    /// One value of this kind.
    Of(Kind),
    /// One string that is not empty.
    Text,
}

impl Function {
    pub(crate) const ALL: [Self; 6] = [
        Self::AppendString,
        Self::ContainsOnlyValue,
        Self::IsSubsetOf,
        Self::JmesPath,
        Self::JsonToClaimValue,
        Self::NegateBool,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AppendString => "AppendString",
            Self::ContainsOnlyValue => "ContainsOnlyValue",
            Self::IsSubsetOf => "IsSubsetOf",
            Self::JmesPath => "JmesPath",
            Self::JsonToClaimValue => "JsonToClaimValue",
            Self::NegateBool => "NegateBool",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    pub(crate) const fn parameters(self) -> &'static [Parameter] {
        match self {
            Self::AppendString => &[Parameter::Of(Kind::String), Parameter::Of(Kind::String)],
            Self::ContainsOnlyValue => &[Parameter::Set, Parameter::Single],
            Self::IsSubsetOf => &[Parameter::Set, Parameter::Set],
            Self::JmesPath => &[Parameter::Text, Parameter::Text],
            Self::JsonToClaimValue => &[Parameter::Of(Kind::String)],
            Self::NegateBool => &[Parameter::Of(Kind::Boolean)],
        }
    }

    /// The kind of its result, where it is always the same.
    pub(crate) const fn result(self) -> Option<Kind> {
        match self {
            Self::AppendString | Self::JmesPath => Some(Kind::String),
            Self::ContainsOnlyValue | Self::IsSubsetOf | Self::NegateBool => Some(Kind::Boolean),
            Self::JsonToClaimValue => None,
        }
    }
}
