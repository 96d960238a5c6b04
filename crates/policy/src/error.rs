//! What can go wrong while a policy runs. The policy's author must act on it.

use std::fmt;

use thiserror::Error;

use crate::claim::Kind;
use crate::outcome::RuleRef;

/// An evaluation that came to no decision.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct EvalError {
    /// The rule that failed; none when the incoming claims were refused before any rule ran.
    pub rule: Option<RuleRef>,
    /// What was wrong.
    pub fault: Fault,
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "{} in {rule}", self.fault),
            None => write!(f, "{}", self.fault),
        }
    }
}

/// The ways in which a rule can fail.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// A function argument of the wrong kind.
    #[error("argument {position} of `{function}` must be {expected}, found {found}")]
    ArgumentKind {
        /// The function.
        function: &'static str,
        /// Which argument, counted from 1.
        position: usize,
        /// The kind it takes.
        expected: Kind,
        /// The kind it got.
        found: Kind,
    },
    /// A function argument that must be one value is none or several different ones.
    #[error("argument {position} of `{function}` must be a single value, found {distinct}")]
    ArgumentNotSingle {
        /// The function.
        function: &'static str,
        /// Which argument, counted from 1.
        position: usize,
        /// How many different values it has.
        distinct: usize,
    },
    /// The `type` of a new claim is not one non-empty string.
    #[error("the type of a new claim must be a single non-empty string")]
    ClaimType,
    /// An empty function argument that must not be empty.
    #[error("argument {position} of `{function}` must not be empty")]
    EmptyArgument {
        /// The function.
        function: &'static str,
        /// Which argument, counted from 1.
        position: usize,
    },
    /// Text given to a function is no JSON that it takes.
    #[error("argument 1 of `{function}`: {error}")]
    Json {
        /// The function.
        function: &'static str,
        /// What is wrong with it.
        error: JsonError,
    },
    /// JSON that has no claim value.
    #[error("`JsonToClaimValue` cannot turn {found} into a claim value")]
    NotAClaimValue {
        /// What was found.
        found: &'static str,
    },
    /// The evaluation took more steps than it may.
    #[error("policy needs more than {limit} evaluation steps")]
    OutOfSteps {
        /// The limit.
        limit: u64,
    },
    /// A known property got a value that it cannot have.
    #[error("property `{property}` must be {expected}")]
    PropertyValue {
        /// The property.
        property: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A JMESPath query that cannot run.
    #[error("JMESPath query failed: {0}")]
    Query(#[from] QueryError),
    /// A read-only claim, or what was derived from it, would reach the token.
    #[error("claim `{claim_type}` cannot be issued, its value comes from a read-only claim")]
    ReadOnly {
        /// The claim to be issued.
        claim_type: String,
    },
    /// A function result that is too long.
    #[error("result of `{function}` is larger than {limit} bytes")]
    ResultTooLarge {
        /// The function.
        function: &'static str,
        /// The limit.
        limit: usize,
    },
    /// More claims than the incoming set may have.
    #[error("more than {limit} claims")]
    TooManyClaims {
        /// The limit.
        limit: usize,
    },
    /// More claims issued than a token may have.
    #[error("more than {limit} claims issued")]
    TooManyIssuedClaims {
        /// The limit.
        limit: usize,
    },
    /// `valueType=` names another kind than the value has.
    #[error("valueType is \"{declared}\", but the value is {actual}")]
    ValueTypeMismatch {
        /// What is written.
        declared: Kind,
        /// The kind of the value.
        actual: Kind,
    },
}

impl Fault {
    /// Every [code](Self::code), sorted.
    pub const CODES: [&str; 14] = [
        "argument-kind",
        "argument-not-single",
        "claim-type",
        "empty-argument",
        "json",
        "not-a-claim-value",
        "out-of-steps",
        "property-value",
        "query",
        "read-only",
        "result-too-large",
        "too-many-claims",
        "too-many-issued-claims",
        "value-type-mismatch",
    ];

    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ArgumentKind { .. } => "argument-kind",
            Self::ArgumentNotSingle { .. } => "argument-not-single",
            Self::ClaimType => "claim-type",
            Self::EmptyArgument { .. } => "empty-argument",
            Self::Json { .. } => "json",
            Self::NotAClaimValue { .. } => "not-a-claim-value",
            Self::OutOfSteps { .. } => "out-of-steps",
            Self::PropertyValue { .. } => "property-value",
            Self::Query(_) => "query",
            Self::ReadOnly { .. } => "read-only",
            Self::ResultTooLarge { .. } => "result-too-large",
            Self::TooManyClaims { .. } => "too-many-claims",
            Self::TooManyIssuedClaims { .. } => "too-many-issued-claims",
            Self::ValueTypeMismatch { .. } => "value-type-mismatch",
        }
    }
}

/// Text that is not the JSON a function takes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JsonError {
    /// A number that neither 64-bit integers nor finite floating-point numbers hold.
    #[error("number `{literal}` is out of range")]
    NumberOutOfRange {
        /// The number, shortened.
        literal: String,
    },
    /// Not JSON (RFC 8259).
    #[error("not valid JSON at line {line}, column {column}")]
    Syntax {
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// Arrays and objects nest too deeply.
    #[error("JSON nests deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
}

/// What is wrong with a JMESPath query, or with what it met.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    /// A function got too few or too many arguments.
    #[error("function `{function}` takes {expected} argument(s), found {found}")]
    ArgumentCount {
        /// The JMESPath function.
        function: &'static str,
        /// Its number of arguments (the least one, if more are allowed).
        expected: usize,
        /// Those written.
        found: usize,
    },
    /// A function met a value of a type it does not take.
    #[error("argument {position} of `{function}` must be {expected}, found {found}")]
    ArgumentType {
        /// The JMESPath function.
        function: &'static str,
        /// Which argument, counted from 1.
        position: usize,
        /// The types it takes.
        expected: &'static str,
        /// The type it met.
        found: &'static str,
    },
    /// `&expression` elsewhere than as an argument of a function that takes one.
    #[error("`&` is allowed only before an argument of `map`, `max_by`, `min_by` or `sort_by`")]
    MisplacedReference,
    /// The expression given to `max_by`, `min_by` or `sort_by` yields unlike values.
    #[error("`{function}` needs numbers only or strings only")]
    MixedTypes {
        /// The JMESPath function.
        function: &'static str,
    },
    /// A result that no JSON number holds.
    #[error("`{function}` gives no finite number")]
    NotFinite {
        /// The JMESPath function.
        function: &'static str,
    },
    /// A literal that is no usable JSON.
    #[error("literal: {0}")]
    Literal(JsonError),
    /// A slice with step 0.
    #[error("slice step must not be 0")]
    SliceStep,
    /// Not a JMESPath expression.
    #[error("{reason} at character {at}")]
    Syntax {
        /// Characters before the place.
        at: usize,
        /// What the parser says.
        reason: String,
    },
    /// Nests too deeply.
    #[error("query nests deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Too many operators.
    #[error("query has more than {limit} operators, brackets and commas")]
    TooManyOperators {
        /// The limit.
        limit: usize,
    },
    /// Too long.
    #[error("query is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A function that JMESPath does not have.
    #[error("unknown function `{name}`")]
    UnknownFunction {
        /// The name.
        name: String,
    },
}
