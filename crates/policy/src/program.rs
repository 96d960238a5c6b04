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
    pub(crate) symbols: Symbols,
    /// Whether a condition looks at claims of any type.
    pub(crate) looks_at_all: bool,
    pub(crate) configuration: Vec<Rule>,
    pub(crate) authorization: Vec<Rule>,
    pub(crate) issuance: Vec<Rule>,
}

/// A claim type that conditions ask for, by its place in [`Symbols`].
pub(crate) type Symbol = usize;

/// Every claim type that a condition asks for by `type == "…"`, in the order of their lengths.
///
/// Each incoming claim is looked up here, and names of one length are few: most lookups compare one name or none.
#[derive(Debug)]
pub(crate) struct Symbols {
    names: Vec<Arc<str>>,
    /// Where the names of each length begin, and where the last ones end.
    starts: Box<[usize; LONG + 2]>,
}

/// Names of this length and longer ones share a place.
const LONG: usize = 128;

impl Symbols {
    pub(crate) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
        names.sort_by(|a, b| (a.len().min(LONG), a).cmp(&(b.len().min(LONG), b)));
        names.dedup();
        let start = |length| names.partition_point(|name| name.len().min(LONG) < length);
        let starts = Box::new(std::array::from_fn(start));
        Self { names, starts }
    }

    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<Symbol> {
        let length = name.len().min(LONG);
        let (start, end) = (*self.starts.get(length)?, *self.starts.get(length + 1)?);
        let names = self.names.get(start..end)?;
        match names {
            [] => None,
            [only] => (**only == *name).then_some(start),
            several => several.binary_search_by(|known| (**known).cmp(name)).ok().map(|place| start + place),
        }
    }

    pub(crate) fn get(&self, symbol: Symbol) -> Option<&str> {
        self.names.get(symbol).map(|name| &**name)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_found_whatever_their_length() {
        let long: Vec<String> = (0..300).map(|length| "x".repeat(length)).collect();
        let names =
            ["b", "a", "a", "ab", "", "c"].into_iter().chain(long.iter().map(String::as_str).skip(200));
        let symbols = Symbols::new(names);
        assert_eq!(symbols.len(), 105);
        for name in ["a", "b", "c", "ab", "", &long[200], &long[299]] {
            assert_eq!(symbols.find(name).and_then(|symbol| symbols.get(symbol)), Some(name));
        }
        for name in ["d", "aa", &long[199], &"x".repeat(300), &"y".repeat(250)] {
            assert_eq!(symbols.find(name), None);
        }
        assert_eq!(Symbols::new([]).find(""), None);
    }
}
