//! What analysis finds wrong in a policy text, for people and for programs.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::claim::Kind;
use crate::error::QueryError;
use crate::outcome::Section;
use crate::policy::Version;
use crate::span::Span;

/// Everything that keeps a text from being a policy, in the order of the text; never empty.
///
/// Displays in the layout that clients of Azure Attestation know from its parser.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(crate) const fn new(list: Vec<Diagnostic>) -> Self {
        Self { list }
    }

    /// The single findings.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { list: vec![diagnostic] }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policy Parser Exception Thrown: ")?;
        for (index, diagnostic) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The broken rule.
    pub problem: Problem,
    /// Where.
    pub span: Span,
    /// The offending piece of text, shortened; `<EOF>` at the end.
    pub symbol: String,
    /// The grammar rules around it, outermost first, as in `policy > versionInfo`.
    pub grammar_rule: String,
    /// What could have stood there, each as in the grammar of the reference; empty when that is no help.
    pub expected: Vec<String>,
    /// What to do about it, when that can be guessed.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Whether this is only a warning: the policy is accepted all the same.
    #[must_use]
    pub const fn is_warning(&self) -> bool {
        matches!(
            self.problem,
            Problem::IssueInAuthorization
                | Problem::ReservedClaim { .. }
                | Problem::UnknownClaim { .. }
                | Problem::UnmatchableName { .. }
        )
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, span, symbol, grammar_rule, expected: _, hint } = self;
        writeln!(f, "Offending symbol: '{symbol}'")?;
        writeln!(f, "Line: '{}', Column: '{}'", span.line, span.column)?;
        write!(f, "Failure message: '{problem}")?;
        if let Some(hint) = hint {
            write!(f, " ({hint})")?;
        }
        writeln!(f, "'")?;
        write!(f, "Failing rule: '{grammar_rule}'")
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Diagnostic", 8)?;
        out.serialize_field("code", self.problem.code())?;
        out.serialize_field("severity", if self.is_warning() { "warning" } else { "error" })?;
        out.serialize_field("message", &self.problem.to_string())?;
        out.serialize_field("span", &self.span)?;
        out.serialize_field("symbol", &self.symbol)?;
        out.serialize_field("grammarRule", &self.grammar_rule)?;
        out.serialize_field("expected", &self.expected)?;
        out.serialize_field("hint", &self.hint)?;
        out.end()
    }
}

/// The rules that a policy text can break. The last four are warnings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The action has no place in this section.
    #[error("action `{action}` is not allowed in {section}")]
    ActionNotAllowed {
        /// The action.
        action: &'static str,
        /// The section.
        section: Section,
    },
    /// A function got too few or too many arguments.
    #[error("function `{function}` takes {expected} argument(s), found {found}")]
    ArgumentCount {
        /// The function.
        function: &'static str,
        /// Its number of arguments.
        expected: usize,
        /// Those written.
        found: usize,
    },
    /// A function got an argument of a kind it never takes.
    #[error("argument {position} of `{function}` must be {expected}, found {found}")]
    ArgumentKind {
        /// The function.
        function: &'static str,
        /// Which argument, counted from 1.
        position: usize,
        /// The kind it takes.
        expected: Kind,
        /// The kind written.
        found: Kind,
    },
    /// Function calls nest too deeply.
    #[error("function calls nest deeper than {limit} levels")]
    CallsTooDeep {
        /// The limit.
        limit: usize,
    },
    /// Two conditions of a rule have the same identifier.
    #[error("identifier `{name}` is defined twice in this rule")]
    DuplicateIdentifier {
        /// The identifier.
        name: String,
    },
    /// A function argument or claim name that must not be empty is.
    #[error("{what} must not be empty")]
    Empty {
        /// What it is.
        what: &'static str,
    },
    /// An action has an argument that the language does not give it.
    #[error("`{property}` cannot be set by an action")]
    ForbiddenArgument {
        /// The argument.
        property: &'static str,
    },
    /// An integer literal outside the 64-bit range.
    #[error("integer `{literal}` is outside the 64-bit range")]
    IntegerOutOfRange {
        /// The literal, shortened.
        literal: String,
    },
    /// An action lacks an argument.
    #[error("action `{action}` needs `{property}=`")]
    MissingArgument {
        /// The action.
        action: &'static str,
        /// The argument.
        property: &'static str,
    },
    /// A construct of a later version of the language.
    #[error("{construct} needs version {needed} of the language, this policy declares {declared}")]
    NeedsVersion {
        /// The construct.
        construct: &'static str,
        /// The first version that has it.
        needed: Version,
        /// The version of the policy.
        declared: Version,
    },
    /// An identifier of a `!` condition is used, which matches no claim when the rule goes on.
    #[error("identifier `{name}` belongs to a `!` condition and never names a claim")]
    NegatedIdentifier {
        /// The identifier.
        name: String,
    },
    /// The bytes are not UTF-8.
    #[error("policy is not valid UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// An ordering operator where values have no order.
    #[error("operator `{operator}` compares integers only")]
    OperatorNotAllowed {
        /// The operator.
        operator: &'static str,
    },
    /// A known property gets a value that it cannot have.
    #[error("property `{property}` must be {expected}")]
    PropertyValue {
        /// The property.
        property: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A property that holds text is compared with or set to something else.
    #[error("`{property}` is a string, found {found}")]
    PropertyKind {
        /// `type`, `issuer` or `valueType`.
        property: &'static str,
        /// The kind written.
        found: Kind,
    },
    /// A JMESPath query that cannot run.
    #[error("invalid JMESPath query: {0}")]
    Query(#[from] QueryError),
    /// An argument of an action is given twice.
    #[error("`{property}=` is given twice")]
    RepeatedArgument {
        /// The argument.
        property: &'static str,
    },
    /// The text is too long.
    #[error("policy has {size_bytes} bytes, more than {limit}")]
    TextTooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many rules.
    #[error("policy has more than {limit} rules")]
    TooManyRules {
        /// The limit.
        limit: usize,
    },
    /// A character that starts no token.
    #[error("token recognition error at: '{found}'")]
    UnexpectedCharacter {
        /// The character.
        found: char,
    },
    /// A token that the grammar does not have here.
    #[error("mismatched input '{found}' expecting {}", alternatives(.expected))]
    UnexpectedToken {
        /// The token's text, shortened.
        found: String,
        /// What could have stood there.
        expected: Vec<String>,
    },
    /// A backslash in a string before something else than `"` or `\`.
    #[error("unknown escape `\\{escape}` in a string")]
    UnknownEscape {
        /// The character after the backslash.
        escape: char,
    },
    /// A call of a function that does not exist.
    #[error("unknown function `{name}`")]
    UnknownFunction {
        /// The name.
        name: String,
    },
    /// An identifier that no earlier condition of the rule defines.
    #[error("identifier `{name}` is not defined by an earlier condition of this rule")]
    UnknownIdentifier {
        /// The identifier.
        name: String,
    },
    /// A version that no language has.
    #[error("version {found} of the policy language is not supported")]
    UnsupportedVersion {
        /// The version.
        found: String,
    },
    /// A string without its closing quote on the same line.
    #[error("string has no closing quote on its line")]
    UnterminatedString,
    /// `valueType=` is no name of a kind, or of another kind than the value has.
    #[error("valueType must be {expected}")]
    ValueTypeMismatch {
        /// What it may be.
        expected: &'static str,
    },
    /// Warning: `issue` among the authorization rules.
    #[error("`issue` in authorizationrules adds the claim for later rules, but not to the token")]
    IssueInAuthorization,
    /// Warning: the policy issues a claim that the service itself sets.
    #[error("claim `{name}` is set by the service, whose value the token will carry")]
    ReservedClaim {
        /// The claim.
        name: String,
    },
    /// Warning: a condition names a claim that neither evidence nor policy provides.
    #[error("no claim is called `{name}`")]
    UnknownClaim {
        /// The name.
        name: String,
    },
    /// Warning: a condition compares `issuer` or `valueType` with a name that does not exist.
    #[error("`{property}` is never \"{name}\"")]
    UnmatchableName {
        /// `issuer` or `valueType`.
        property: &'static str,
        /// The name.
        name: String,
    },
}

impl Problem {
    /// Every [code](Self::code), sorted.
    pub const CODES: [&str; 31] = [
        "action-not-allowed",
        "argument-count",
        "argument-kind",
        "calls-too-deep",
        "duplicate-identifier",
        "empty",
        "forbidden-argument",
        "integer-out-of-range",
        "issue-in-authorization",
        "missing-argument",
        "needs-version",
        "negated-identifier",
        "not-utf8",
        "operator-not-allowed",
        "property-kind",
        "property-value",
        "query",
        "repeated-argument",
        "reserved-claim",
        "text-too-large",
        "too-many-rules",
        "unexpected-character",
        "unexpected-token",
        "unknown-claim",
        "unknown-escape",
        "unknown-function",
        "unknown-identifier",
        "unmatchable-name",
        "unsupported-version",
        "unterminated-string",
        "value-type-mismatch",
    ];

    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ActionNotAllowed { .. } => "action-not-allowed",
            Self::ArgumentCount { .. } => "argument-count",
            Self::ArgumentKind { .. } => "argument-kind",
            Self::CallsTooDeep { .. } => "calls-too-deep",
            Self::DuplicateIdentifier { .. } => "duplicate-identifier",
            Self::Empty { .. } => "empty",
            Self::ForbiddenArgument { .. } => "forbidden-argument",
            Self::IntegerOutOfRange { .. } => "integer-out-of-range",
            Self::IssueInAuthorization => "issue-in-authorization",
            Self::MissingArgument { .. } => "missing-argument",
            Self::NeedsVersion { .. } => "needs-version",
            Self::NegatedIdentifier { .. } => "negated-identifier",
            Self::NotUtf8 { .. } => "not-utf8",
            Self::OperatorNotAllowed { .. } => "operator-not-allowed",
            Self::PropertyKind { .. } => "property-kind",
            Self::PropertyValue { .. } => "property-value",
            Self::Query(_) => "query",
            Self::RepeatedArgument { .. } => "repeated-argument",
            Self::ReservedClaim { .. } => "reserved-claim",
            Self::TextTooLarge { .. } => "text-too-large",
            Self::TooManyRules { .. } => "too-many-rules",
            Self::UnexpectedCharacter { .. } => "unexpected-character",
            Self::UnexpectedToken { .. } => "unexpected-token",
            Self::UnknownClaim { .. } => "unknown-claim",
            Self::UnknownEscape { .. } => "unknown-escape",
            Self::UnknownFunction { .. } => "unknown-function",
            Self::UnknownIdentifier { .. } => "unknown-identifier",
            Self::UnmatchableName { .. } => "unmatchable-name",
            Self::UnsupportedVersion { .. } => "unsupported-version",
            Self::UnterminatedString => "unterminated-string",
            Self::ValueTypeMismatch { .. } => "value-type-mismatch",
        }
    }
}

/// As ANTLR writes it: `';'`, or `{';', '}'}`.
fn alternatives(expected: &[String]) -> String {
    match expected {
        [one] => one.clone(),
        several => format!("{{{}}}", several.join(", ")),
    }
}
