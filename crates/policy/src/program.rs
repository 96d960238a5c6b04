//! The compiled form of a policy: names resolved, constant queries compiled, literals ready to compare.

use std::sync::Arc;

use crate::ast::{Operator, Property};
use crate::claim::Kind;
use crate::functions::Function;
use crate::jmespath::Query;
use crate::outcome::RuleRef;
use crate::policy::Version;

#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) version: Version,
    /// Every claim type that a condition asks for by `type == "…"`, sorted. Its place is its [`Symbol`].
    pub(crate) symbols: Vec<Arc<str>>,
    pub(crate) configuration: Vec<Rule>,
    pub(crate) authorization: Vec<Rule>,
    pub(crate) issuance: Vec<Rule>,
}

/// A claim type that conditions ask for, by its place in [`Program::symbols`].
pub(crate) type Symbol = usize;

impl Program {
    pub(crate) fn symbol(&self, claim_type: &str) -> Option<Symbol> {
        self.symbols.binary_search_by(|symbol| (**symbol).cmp(claim_type)).ok()
    }
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) action: Action,
    pub(crate) at: RuleRef,
}

#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) negated: bool,
    /// The claim type asked for, when the condition says `type == "…"`.
    pub(crate) symbol: Option<Symbol>,
    /// What else it asks for.
    pub(crate) tests: Vec<Test>,
    /// Whether all its claims are needed later in the rule, and not just whether there is one.
    pub(crate) bound: bool,
}

#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) property: Property,
    pub(crate) operator: Operator,
    pub(crate) operand: Expression,
}

#[derive(Debug)]
pub(crate) enum Expression {
    Literal(Literal),
    /// A property of the claims of the rule's condition with this index.
    Property(usize, Property),
    Call(Function, Vec<Expression>),
    /// `JmesPath` with a constant query.
    Search(Box<Expression>, Query),
}

#[derive(Debug)]
pub(crate) enum Literal {
    Boolean(bool),
    Integer(i128),
    Text(Arc<str>),
}

#[derive(Debug)]
pub(crate) enum Action {
    Deny,
    Make(Destination, Recipe),
    Permit,
}

/// Where new claims go besides the incoming set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Incoming,
    Properties,
    Token,
}

/// How new claims are made.
#[derive(Debug)]
pub(crate) enum Recipe {
    /// As copies of the claims of the rule's condition with this index.
    Copy(usize),
    New {
        claim_type: Expression,
        value: Expression,
        value_type: Option<Kind>,
    },
}
