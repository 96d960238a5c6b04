//! Query text to [`Query`]: measured, parsed by the `jmespath` crate, turned into our own form.

use jmespath::ast::{Ast, Comparator};
use jmespath::{ErrorReason, Variable};
use std::sync::Arc;

use super::builtins::{Arity, Builtin};
use super::{Argument, Node, Query};
use crate::ast::Operator;
use crate::budget::Budget;
use crate::error::{JsonError, QueryError};
use crate::json::{Json, ReadError};
use crate::limits::Limits;
use crate::parser::shortened;

impl Query {
    /// Compiles `text`.
    pub(crate) fn compile(text: &str, limits: &Limits) -> Result<Self, QueryError> {
        measure(text, limits)?;
        let tree = jmespath::parse(text).map_err(|error| {
            let reason = match error.reason {
                ErrorReason::Parse(reason) => reason,
                ErrorReason::Runtime(reason) => reason.to_string(),
            };
            let at = text.get(..error.offset).map_or(error.offset, |before| before.chars().count());
            QueryError::Syntax { at, reason: shortened(&in_plain_words(&reason)) }
        })?;
        let mut compiler = Compiler { limits };
        let compiled = compiler.node(tree, 0)?;
        if compiled.growth > limits.query_nesting {
            return Err(QueryError::TooDeep { limit: limits.query_nesting });
        }
        Ok(Self { root: compiled.node })
    }
}

/// Refuses text on which the parser, or the walk over its tree, would recurse too deeply.
///
/// The parser recurses for brackets, for `!` and `&`, and for each projection within one operand; the tree
/// leans left by one level for each operator.
fn measure(text: &str, limits: &Limits) -> Result<(), QueryError> {
    if text.len() > limits.query_size_bytes {
        return Err(QueryError::TooLarge { limit: limits.query_size_bytes });
    }
    /// Levels that the present bracket has opened: until the next operator, and until the next comma.
    #[derive(Default)]
    struct Level {
        operand: usize,
        reference: usize,
    }
    let mut outer: Vec<Level> = Vec::new();
    let mut here = Level::default();
    let mut depth = 0_usize;
    let mut operators = 0_usize;
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\'' | b'"' | b'`' => {
                while let Some(quoted) = bytes.next() {
                    match quoted {
                        b'\\' => drop(bytes.next()),
                        _ if quoted == byte => break,
                        _ => {}
                    }
                }
                continue;
            }
            b'(' | b'[' | b'{' => {
                outer.push(std::mem::take(&mut here));
                depth += 1;
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1 + here.operand + here.reference);
                here = outer.pop().unwrap_or_default();
                // It may have been a projection, whose right side is parsed one level down.
                here.operand += 1;
                depth += 1;
            }
            b'*' => {
                here.operand += 1;
                depth += 1;
            }
            b'!' if bytes.peek() != Some(&b'=') => {
                here.operand += 1;
                depth += 1;
            }
            b'&' if bytes.peek() != Some(&b'&') => {
                here.reference += 1;
                depth += 1;
            }
            b'|' | b'&' | b'=' | b'!' | b'<' | b'>' => {
                bytes.next_if(|next| matches!(next, b'|' | b'&' | b'='));
                depth -= here.operand;
                here.operand = 0;
            }
            b',' => {
                depth -= here.operand + here.reference;
                here = Level::default();
            }
            b'.' | b':' => {}
            _ => continue,
        }
        operators += 1;
        if depth > limits.query_nesting {
            return Err(QueryError::TooDeep { limit: limits.query_nesting });
        }
        if operators > limits.query_operators {
            return Err(QueryError::TooManyOperators { limit: limits.query_operators });
        }
    }
    Ok(())
}

struct Compiler<'l> {
    limits: &'l Limits,
}

/// A node and by how many levels its result may nest deeper than its input.
struct Compiled {
    node: Node,
    growth: usize,
}

impl Compiler<'_> {
    fn node(&mut self, tree: Ast, depth: usize) -> Result<Compiled, QueryError> {
        if depth > self.limits.query_nesting {
            return Err(QueryError::TooDeep { limit: self.limits.query_nesting });
        }
        let below = depth + 1;
        let plain = |node| Ok(Compiled { node, growth: 0 });
        match tree {
            Ast::Identity { .. } => plain(Node::Current),
            Ast::Field { name, .. } => plain(Node::Field(name.into())),
            Ast::Index { idx, .. } => plain(Node::Index(idx)),
            Ast::Slice { step: 0, .. } => Err(QueryError::SliceStep),
            Ast::Slice { start, stop, step, .. } => plain(Node::Slice { start, stop, step }),
            Ast::Literal { value, .. } => self.literal(&value),
            tree @ (Ast::Subexpr { .. } | Ast::Or { .. } | Ast::And { .. }) => self.run(tree, below),
            Ast::Comparison { comparator, lhs, rhs, .. } => {
                let left = self.node(*lhs, below)?;
                let right = self.node(*rhs, below)?;
                Ok(Compiled {
                    growth: left.growth.max(right.growth),
                    node: Node::Compare(operator(&comparator), Box::new(left.node), Box::new(right.node)),
                })
            }
            Ast::Not { node, .. } => self.wrap(*node, below, Node::Not),
            Ast::Flatten { node, .. } => self.wrap(*node, below, Node::Flatten),
            Ast::ObjectValues { node, .. } => self.wrap(*node, below, Node::Values),
            Ast::Condition { predicate, then, .. } => self.pair(*predicate, *then, below, Node::Condition),
            Ast::Projection { lhs, rhs, .. } => self.pair(*lhs, *rhs, below, Node::Projection),
            Ast::MultiList { elements, .. } => {
                let (nodes, growth) = self.all(elements, below)?;
                Ok(Compiled { node: Node::List(nodes), growth: growth + 1 })
            }
            Ast::MultiHash { elements, .. } => {
                let mut members = Vec::with_capacity(elements.len());
                let mut growth = 0;
                for element in elements {
                    let value = self.node(element.value, below)?;
                    growth = growth.max(value.growth);
                    members.push((element.key.into(), value.node));
                }
                Ok(Compiled { node: Node::Hash(members), growth: growth + 1 })
            }
            Ast::Function { name, args, .. } => self.call(&name, args, below),
            Ast::Expref { .. } => Err(QueryError::MisplacedReference),
        }
    }

    /// A run of the same operator leans left in the parser's tree; here it is a list.
    fn run(&mut self, tree: Ast, depth: usize) -> Result<Compiled, QueryError> {
        let make: fn(Vec<Node>) -> Node = match &tree {
            Ast::Or { .. } => Node::Any,
            Ast::And { .. } => Node::All,
            _ => Node::Chain,
        };
        let kind = std::mem::discriminant(&tree);
        let mut backwards = Vec::new();
        let mut rest = tree;
        loop {
            let same = std::mem::discriminant(&rest) == kind;
            match rest {
                Ast::Subexpr { lhs, rhs, .. } | Ast::Or { lhs, rhs, .. } | Ast::And { lhs, rhs, .. }
                    if same =>
                {
                    backwards.push(*rhs);
                    rest = *lhs;
                }
                other => {
                    backwards.push(other);
                    break;
                }
            }
        }
        backwards.reverse();
        let mut growth = 0_usize;
        let mut nodes = Vec::with_capacity(backwards.len());
        for tree in backwards {
            let compiled = self.node(tree, depth)?;
            growth += compiled.growth;
            nodes.push(compiled.node);
        }
        Ok(Compiled { node: make(nodes), growth })
    }

    fn wrap(&mut self, tree: Ast, depth: usize, make: fn(Box<Node>) -> Node) -> Result<Compiled, QueryError> {
        let inner = self.node(tree, depth)?;
        Ok(Compiled { node: make(Box::new(inner.node)), growth: inner.growth })
    }

    fn pair(
        &mut self,
        first: Ast,
        second: Ast,
        depth: usize,
        make: fn(Box<Node>, Box<Node>) -> Node,
    ) -> Result<Compiled, QueryError> {
        let first = self.node(first, depth)?;
        let second = self.node(second, depth)?;
        Ok(Compiled {
            growth: first.growth + second.growth,
            node: make(Box::new(first.node), Box::new(second.node)),
        })
    }

    fn all(&mut self, trees: Vec<Ast>, depth: usize) -> Result<(Vec<Node>, usize), QueryError> {
        let mut growth = 0;
        let mut nodes = Vec::with_capacity(trees.len());
        for tree in trees {
            let compiled = self.node(tree, depth)?;
            growth = growth.max(compiled.growth);
            nodes.push(compiled.node);
        }
        Ok((nodes, growth))
    }

    fn call(&mut self, name: &str, trees: Vec<Ast>, depth: usize) -> Result<Compiled, QueryError> {
        let builtin =
            Builtin::named(name).ok_or_else(|| QueryError::UnknownFunction { name: shortened(name) })?;
        let (expected, fits) = match builtin.arity() {
            Arity::Exactly(count) => (count, trees.len() == count),
            Arity::AtLeast(count) => (count, trees.len() >= count),
        };
        if !fits {
            return Err(QueryError::ArgumentCount { function: builtin.name(), expected, found: trees.len() });
        }
        // `to_array` wraps its argument, `map` applies its reference to it; one level covers both.
        let mut growth = usize::from(builtin == Builtin::ToArray);
        let mut arguments = Vec::with_capacity(trees.len());
        for (index, tree) in trees.into_iter().enumerate() {
            let wants_reference = builtin.reference() == Some(index);
            let argument = match tree {
                Ast::Expref { ast, .. } if wants_reference => {
                    let compiled = self.node(*ast, depth)?;
                    growth += compiled.growth;
                    Argument::Reference(compiled.node)
                }
                tree if wants_reference => {
                    return Err(QueryError::ArgumentType {
                        function: builtin.name(),
                        position: index + 1,
                        expected: "an expression written `&…`",
                        found: if matches!(tree, Ast::Literal { .. }) { "a literal" } else { "a value" },
                    });
                }
                tree => {
                    let compiled = self.node(tree, depth)?;
                    growth += compiled.growth;
                    Argument::Value(compiled.node)
                }
            };
            arguments.push(argument);
        }
        Ok(Compiled { node: Node::Call(builtin, arguments), growth })
    }

    /// Literals are read again by our own rules: the crate's reading loses how numbers were written.
    fn literal(&mut self, value: &Variable) -> Result<Compiled, QueryError> {
        let json = self.json(value, 0)?;
        Ok(Compiled { growth: nesting(&json), node: Node::Literal(json) })
    }

    fn json(&self, value: &Variable, depth: usize) -> Result<Json, QueryError> {
        let limit = self.limits.json_nesting;
        if depth > limit {
            return Err(QueryError::Literal(JsonError::TooDeep { limit }));
        }
        Ok(match value {
            // Raw strings and expressions; the latter are no literals.
            Variable::Null | Variable::Expref(_) => Json::Null,
            Variable::Bool(value) => Json::Boolean(*value),
            Variable::String(value) => Json::Text(value.as_str().into()),
            Variable::Number(number) => self.number(&number.to_string())?,
            Variable::Array(elements) => Json::Array(Arc::new(
                elements.iter().map(|element| self.json(element, depth + 1)).collect::<Result<_, _>>()?,
            )),
            Variable::Object(members) => {
                // With exact numbers on, `serde_json` hands a number over as an object of this one member.
                if let Some(literal) = members.get("$serde_json::private::Number")
                    && let Variable::String(literal) = &**literal
                {
                    return self.number(literal);
                }
                Json::object(
                    members
                        .iter()
                        .map(|(name, value)| Ok((name.as_str().into(), self.json(value, depth + 1)?)))
                        .collect::<Result<_, QueryError>>()?,
                )
            }
        })
    }

    fn number(&self, literal: &str) -> Result<Json, QueryError> {
        match Json::read(literal, &mut Budget::new(*self.limits)) {
            Ok(number) => Ok(number),
            Err(ReadError::Text(error)) => Err(QueryError::Literal(error)),
            Err(ReadError::Fault(_)) => {
                Err(QueryError::Literal(JsonError::NumberOutOfRange { literal: shortened(literal) }))
            }
        }
    }
}

/// The parser's reason without the names that its tokens have inside it.
fn in_plain_words(reason: &str) -> String {
    match reason.split(" -- ").next().unwrap_or_default() {
        "Unexpected nud token" => "expected an expression".to_owned(),
        "Unexpected led token" => "expected an operator".to_owned(),
        other => {
            let mut characters = other.chars();
            characters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(characters).collect()
        }
    }
}

const fn operator(comparator: &Comparator) -> Operator {
    match comparator {
        Comparator::Equal => Operator::Equal,
        Comparator::NotEqual => Operator::NotEqual,
        Comparator::LessThan => Operator::Less,
        Comparator::LessThanEqual => Operator::LessOrEqual,
        Comparator::GreaterThan => Operator::Greater,
        Comparator::GreaterThanEqual => Operator::GreaterOrEqual,
    }
}

/// Levels of arrays and objects in a literal, which the compiler has bounded.
fn nesting(json: &Json) -> usize {
    match json {
        Json::Array(elements) => 1 + elements.iter().map(nesting).max().unwrap_or(0),
        Json::Object(members) => 1 + members.iter().map(|(_, value)| nesting(value)).max().unwrap_or(0),
        _ => 0,
    }
}
