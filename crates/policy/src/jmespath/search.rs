//! Searching: a query applied to a value, on a budget.

use std::sync::Arc;

use super::{Node, Query};
use crate::ast::Operator;
use crate::budget::Budget;
use crate::error::Fault;
use crate::json::Json;

impl Query {
    /// Applies the query to `value`.
    pub(crate) fn search(&self, value: &Json, budget: &mut Budget) -> Result<Json, Fault> {
        apply(&self.root, value, budget)
    }
}

/// The recursion follows the query, whose nesting the compiler has bounded.
pub(super) fn apply(node: &Node, current: &Json, budget: &mut Budget) -> Result<Json, Fault> {
    budget.charge(1)?;
    Ok(match node {
        Node::Current => current.clone(),
        Node::Field(name) => current.member(name).cloned().unwrap_or(Json::Null),
        Node::Index(index) => match current {
            Json::Array(elements) => element(elements, *index).cloned().unwrap_or(Json::Null),
            _ => Json::Null,
        },
        Node::Slice { start, stop, step } => match current {
            Json::Array(elements) => array(slice(elements, *start, *stop, *step, budget)?),
            _ => Json::Null,
        },
        Node::Literal(value) => value.clone(),
        Node::Chain(nodes) => {
            let mut value = current.clone();
            for node in nodes {
                value = apply(node, &value, budget)?;
            }
            value
        }
        Node::Any(nodes) => first(nodes, current, true, budget)?,
        Node::All(nodes) => first(nodes, current, false, budget)?,
        Node::Not(node) => Json::Boolean(!truthy(&apply(node, current, budget)?)),
        Node::Compare(operator, left, right) => {
            let left = apply(left, current, budget)?;
            let right = apply(right, current, budget)?;
            compare(*operator, &left, &right, budget)?
        }
        Node::Condition(predicate, then) => {
            if truthy(&apply(predicate, current, budget)?) {
                apply(then, current, budget)?
            } else {
                Json::Null
            }
        }
        Node::Projection(source, each) => match apply(source, current, budget)? {
            Json::Array(elements) => {
                let mut results = Vec::new();
                for element in elements.iter() {
                    let result = apply(each, element, budget)?;
                    if !matches!(result, Json::Null) {
                        results.push(result);
                    }
                }
                array(results)
            }
            _ => Json::Null,
        },
        Node::Flatten(node) => match apply(node, current, budget)? {
            Json::Array(elements) => {
                let mut flat = Vec::new();
                for element in elements.iter() {
                    if let Json::Array(inner) = element {
                        budget.charge(inner.len())?;
                        flat.extend(inner.iter().cloned());
                    } else {
                        budget.charge(1)?;
                        flat.push(element.clone());
                    }
                }
                array(flat)
            }
            _ => Json::Null,
        },
        Node::Values(node) => match apply(node, current, budget)? {
            Json::Object(members) => {
                budget.charge(members.len())?;
                array(members.iter().map(|(_, value)| value.clone()).collect())
            }
            _ => Json::Null,
        },
        Node::List(_) | Node::Hash(_) if matches!(current, Json::Null) => Json::Null,
        Node::List(nodes) => {
            let elements = nodes.iter().map(|node| apply(node, current, budget));
            array(elements.collect::<Result<_, _>>()?)
        }
        Node::Hash(members) => {
            let members =
                members.iter().map(|(name, node)| Ok((name.clone(), apply(node, current, budget)?)));
            Json::object(members.collect::<Result<_, Fault>>()?)
        }
        Node::Call(builtin, arguments) => builtin.call(arguments, current, budget)?,
    })
}

pub(super) fn array(elements: Vec<Json>) -> Json {
    Json::Array(Arc::new(elements))
}

/// False, null and everything empty are not truthy; every number is.
pub(super) fn truthy(value: &Json) -> bool {
    match value {
        Json::Array(elements) => !elements.is_empty(),
        Json::Boolean(value) => *value,
        Json::Null => false,
        Json::Number(_) => true,
        Json::Object(members) => !members.is_empty(),
        Json::Text(text) => !text.is_empty(),
    }
}

/// The first value that is truthy, or is not, as `wanted` says; else the last one.
fn first(nodes: &[Node], current: &Json, wanted: bool, budget: &mut Budget) -> Result<Json, Fault> {
    let mut value = Json::Null;
    for node in nodes {
        value = apply(node, current, budget)?;
        if truthy(&value) == wanted {
            break;
        }
    }
    Ok(value)
}

/// Only numbers have an order; comparing others by it yields null.
fn compare(operator: Operator, left: &Json, right: &Json, budget: &mut Budget) -> Result<Json, Fault> {
    Ok(Json::Boolean(match operator {
        Operator::Equal => left.equals(right, budget)?,
        Operator::NotEqual => !left.equals(right, budget)?,
        _ => {
            let (Json::Number(left), Json::Number(right)) = (left, right) else { return Ok(Json::Null) };
            let order = left.order(right);
            match operator {
                Operator::Less => order.is_lt(),
                Operator::LessOrEqual => order.is_le(),
                Operator::Greater => order.is_gt(),
                _ => order.is_ge(),
            }
        }
    }))
}

/// An element by its index, which counts from the end when negative.
fn element(elements: &[Json], index: i32) -> Option<&Json> {
    let back = usize::try_from(index.unsigned_abs()).ok()?;
    if index < 0 { elements.get(elements.len().checked_sub(back)?) } else { elements.get(back) }
}

/// `[start:stop:step]` (JMESPath specification, "Slices"); `step` is not 0.
fn slice(
    elements: &[Json],
    start: Option<i32>,
    stop: Option<i32>,
    step: i32,
    budget: &mut Budget,
) -> Result<Vec<Json>, Fault> {
    let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    let (step, lowest, highest) =
        (i64::from(step), if step < 0 { -1 } else { 0 }, if step < 0 { length - 1 } else { length });
    let clamp = |end: i32| {
        let end = i64::from(end);
        if end < 0 { (end + length).max(lowest) } else { end.min(highest) }
    };
    let mut at = start.map_or(if step < 0 { length - 1 } else { 0 }, clamp);
    let stop = stop.map_or(if step < 0 { -1 } else { length }, clamp);
    let mut taken = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        budget.charge(1)?;
        if let Some(element) = usize::try_from(at).ok().and_then(|at| elements.get(at)) {
            taken.push(element.clone());
        }
        at += step;
    }
    Ok(taken)
}
