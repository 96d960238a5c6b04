//! JMESPath (jmespath.org), with the function `equals_ignore_case` that published policies use.
//!
//! The `jmespath` crate parses; its parser and its tree recurse without bound, so the text is measured
//! first. Its interpreter has no budget, rounds integers to floats and reads numbers wrongly when
//! `serde_json` keeps them exactly, so the tree is turned into a [`Query`] of our own, which is searched on
//! the step budget of the evaluation.

mod builtins;
mod compile;
mod search;
#[cfg(test)]
mod tests;

pub(crate) use builtins::Builtin;

use crate::ast::Operator;
use crate::json::Json;
use std::sync::Arc;

/// A compiled query.
#[derive(Debug)]
pub(crate) struct Query {
    root: Node,
}

/// The steps of a query. Each is applied to a current value.
#[derive(Debug)]
enum Node {
    /// `a && b && …`: the first value that is not truthy, or the last one.
    All(Vec<Node>),
    /// `a || b || …`: the first truthy value, or the last one.
    Any(Vec<Node>),
    Call(Builtin, Vec<Argument>),
    /// Each node is applied to the result of the one before: `a.b`, `a[0]`, `a | b`.
    Chain(Vec<Node>),
    Compare(Operator, Box<Node>, Box<Node>),
    /// The second node if the first one is truthy, or else null: the inside of `[?…]`.
    Condition(Box<Node>, Box<Node>),
    Current,
    Field(Arc<str>),
    Flatten(Box<Node>),
    Hash(Vec<(Arc<str>, Node)>),
    Index(i32),
    List(Vec<Node>),
    Literal(Json),
    Not(Box<Node>),
    /// Applies the second node to each element that the first one yields, and drops nulls.
    Projection(Box<Node>, Box<Node>),
    Slice {
        start: Option<i32>,
        stop: Option<i32>,
        step: i32,
    },
    /// The members of an object, without their names.
    Values(Box<Node>),
}

/// An argument of a JMESPath function.
#[derive(Debug)]
enum Argument {
    /// Evaluated before the call.
    Value(Node),
    /// `&expression`, evaluated by the function.
    Reference(Node),
}
