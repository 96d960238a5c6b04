//! The syntax tree: what is written, with the place of everything.

use std::borrow::Cow;

use crate::functions::Function;
use crate::policy::Version;
use crate::span::Range;

pub(crate) struct Policy<'t> {
    pub(crate) version: Version,
    pub(crate) configuration: Vec<Rule<'t>>,
    pub(crate) authorization: Vec<Rule<'t>>,
    pub(crate) issuance: Vec<Rule<'t>>,
}

pub(crate) struct Rule<'t> {
    pub(crate) conditions: Vec<Condition<'t>>,
    pub(crate) action: Action<'t>,
    pub(crate) range: Range,
}

pub(crate) struct Condition<'t> {
    pub(crate) negated: bool,
    pub(crate) identifier: Option<Name<'t>>,
    pub(crate) tests: Vec<Test<'t>>,
    pub(crate) range: Range,
}

/// A rule variable where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Name<'t> {
    pub(crate) text: &'t str,
    pub(crate) range: Range,
}

/// `property operator operand`
pub(crate) struct Test<'t> {
    pub(crate) property: Property,
    pub(crate) operator: Operator,
    pub(crate) operator_range: Range,
    pub(crate) operand: Expression<'t>,
}

pub(crate) struct Action<'t> {
    pub(crate) verb: Verb,
    pub(crate) verb_range: Range,
    pub(crate) argument: Argument<'t>,
}

pub(crate) enum Argument<'t> {
    /// `permit()` and `deny()`
    None,
    /// `claim = id`
    Copy(Name<'t>),
    /// `type = …, value = …`
    Assignments(Vec<Assignment<'t>>),
}

pub(crate) struct Assignment<'t> {
    pub(crate) property: Property,
    pub(crate) range: Range,
    pub(crate) value: Expression<'t>,
}

pub(crate) struct Expression<'t> {
    pub(crate) kind: ExpressionKind<'t>,
    pub(crate) range: Range,
}

pub(crate) enum ExpressionKind<'t> {
    Boolean(bool),
    Integer(i128),
    Text(Cow<'t, str>),
    /// `id.property`
    Property(Name<'t>, Property),
    Call(Function, Vec<Expression<'t>>),
}

/// The four properties of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    Issuer,
    Type,
    Value,
    ValueType,
}

impl Property {
    pub(crate) const ALL: [Self; 4] = [Self::Type, Self::Value, Self::ValueType, Self::Issuer];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Type => "type",
            Self::Value => "value",
            Self::ValueType => "valueType",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    pub(crate) const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::Less, Self::LessOrEqual, Self::Greater, Self::GreaterOrEqual];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether it needs values that have an order.
    pub(crate) const fn orders(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Deny,
    Issue,
    IssueProperty,
    Permit,
}

impl Verb {
    pub(crate) const ALL: [Self; 5] = [Self::Permit, Self::Deny, Self::Add, Self::Issue, Self::IssueProperty];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Deny => "deny",
            Self::Issue => "issue",
            Self::IssueProperty => "issueproperty",
            Self::Permit => "permit",
        }
    }
}
