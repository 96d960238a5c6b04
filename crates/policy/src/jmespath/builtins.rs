//! The functions of JMESPath, and `equals_ignore_case`.
//!
//! Whole numbers stay whole: `sum`, `abs`, `ceil`, `floor` and, where it comes out even, `avg` yield
//! integers for integers.

use std::cmp::Ordering;

use super::Argument;
use super::search::{apply, array};
use crate::budget::Budget;
use crate::error::{Fault, QueryError};
use crate::json::{Json, Member, Number};

/// A function that queries can call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    Abs,
    Avg,
    Ceil,
    Contains,
    EndsWith,
    EqualsIgnoreCase,
    Floor,
    Join,
    Keys,
    Length,
    Map,
    Max,
    MaxBy,
    Merge,
    Min,
    MinBy,
    NotNull,
    Reverse,
    Sort,
    SortBy,
    StartsWith,
    Sum,
    ToArray,
    ToNumber,
    ToString,
    Type,
    Values,
}

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arity {
    Exactly(usize),
    AtLeast(usize),
}

const TABLE: [(&str, Builtin, Arity); 27] = [
    ("abs", Builtin::Abs, Arity::Exactly(1)),
    ("avg", Builtin::Avg, Arity::Exactly(1)),
    ("ceil", Builtin::Ceil, Arity::Exactly(1)),
    ("contains", Builtin::Contains, Arity::Exactly(2)),
    ("ends_with", Builtin::EndsWith, Arity::Exactly(2)),
    ("equals_ignore_case", Builtin::EqualsIgnoreCase, Arity::Exactly(2)),
    ("floor", Builtin::Floor, Arity::Exactly(1)),
    ("join", Builtin::Join, Arity::Exactly(2)),
    ("keys", Builtin::Keys, Arity::Exactly(1)),
    ("length", Builtin::Length, Arity::Exactly(1)),
    ("map", Builtin::Map, Arity::Exactly(2)),
    ("max", Builtin::Max, Arity::Exactly(1)),
    ("max_by", Builtin::MaxBy, Arity::Exactly(2)),
    ("merge", Builtin::Merge, Arity::AtLeast(1)),
    ("min", Builtin::Min, Arity::Exactly(1)),
    ("min_by", Builtin::MinBy, Arity::Exactly(2)),
    ("not_null", Builtin::NotNull, Arity::AtLeast(1)),
    ("reverse", Builtin::Reverse, Arity::Exactly(1)),
    ("sort", Builtin::Sort, Arity::Exactly(1)),
    ("sort_by", Builtin::SortBy, Arity::Exactly(2)),
    ("starts_with", Builtin::StartsWith, Arity::Exactly(2)),
    ("sum", Builtin::Sum, Arity::Exactly(1)),
    ("to_array", Builtin::ToArray, Arity::Exactly(1)),
    ("to_number", Builtin::ToNumber, Arity::Exactly(1)),
    ("to_string", Builtin::ToString, Arity::Exactly(1)),
    ("type", Builtin::Type, Arity::Exactly(1)),
    ("values", Builtin::Values, Arity::Exactly(1)),
];

impl Builtin {
    pub(super) fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|(entry, ..)| *entry == name).map(|(_, builtin, _)| *builtin)
    }

    fn entry(self) -> (&'static str, Arity) {
        TABLE
            .iter()
            .find(|(_, builtin, _)| *builtin == self)
            .map_or(("", Arity::AtLeast(0)), |(name, _, arity)| (*name, *arity))
    }

    pub(super) fn name(self) -> &'static str {
        self.entry().0
    }

    pub(super) fn arity(self) -> Arity {
        self.entry().1
    }

    /// Which argument, counted from 0, is an expression reference.
    pub(super) const fn reference(self) -> Option<usize> {
        match self {
            Self::Map => Some(0),
            Self::MaxBy | Self::MinBy | Self::SortBy => Some(1),
            _ => None,
        }
    }

    /// Evaluates the arguments and calls the function.
    pub(super) fn call(
        self,
        arguments: &[Argument],
        current: &Json,
        budget: &mut Budget,
    ) -> Result<Json, Fault> {
        let mut values = Vec::with_capacity(arguments.len());
        let mut reference = None;
        for argument in arguments {
            match argument {
                Argument::Value(node) => values.push(apply(node, current, budget)?),
                Argument::Reference(node) => {
                    reference = Some(node);
                    values.push(Json::Null);
                }
            }
        }
        let call = Call { builtin: self, values: &values };
        if let Some(reference) = reference {
            let position = if self == Self::Map { 2 } else { 1 };
            let elements = call.array(position)?;
            let mut keys = Vec::with_capacity(elements.len());
            for element in elements {
                keys.push(apply(reference, element, budget)?);
            }
            return call.by(elements, keys, budget);
        }
        call.evaluate(budget)
    }
}

/// A call with its arguments evaluated. Positions count from 1.
struct Call<'c> {
    builtin: Builtin,
    values: &'c [Json],
}

impl<'c> Call<'c> {
    fn evaluate(&self, budget: &mut Budget) -> Result<Json, Fault> {
        Ok(match self.builtin {
            Builtin::Abs => Json::Number(match self.number(1)? {
                Number::Integer(value) => Number::Integer(value.saturating_abs()),
                Number::Float(value) => Number::Float(value.abs()),
            }),
            Builtin::Ceil => whole(self.number(1)?, f64::ceil),
            Builtin::Floor => whole(self.number(1)?, f64::floor),
            Builtin::Sum => Json::Number(self.sum(budget)?),
            Builtin::Avg => self.average(budget)?,
            Builtin::Contains => self.contains(budget)?,
            Builtin::StartsWith => {
                let (text, part) = self.texts(budget)?;
                Json::Boolean(text.starts_with(part))
            }
            Builtin::EndsWith => {
                let (text, part) = self.texts(budget)?;
                Json::Boolean(text.ends_with(part))
            }
            // A member that is missing equals nothing; refusing it would fail whole policies.
            Builtin::EqualsIgnoreCase => match (self.value(1), self.value(2)) {
                (Json::Text(a), Json::Text(b)) => {
                    budget.charge_text(a.len())?;
                    Json::Boolean(a.eq_ignore_ascii_case(b))
                }
                _ => Json::Boolean(false),
            },
            Builtin::Join => self.join(budget)?,
            Builtin::Keys => {
                let members = self.object(1)?;
                budget.charge(members.len())?;
                array(members.iter().map(|(name, _)| Json::Text(name.clone())).collect())
            }
            Builtin::Values => {
                let members = self.object(1)?;
                budget.charge(members.len())?;
                array(members.iter().map(|(_, value)| value.clone()).collect())
            }
            Builtin::Length => self.length(budget)?,
            Builtin::Merge => {
                let mut merged = Vec::new();
                for position in 1..=self.values.len() {
                    let members = self.object(position)?;
                    budget.charge(members.len())?;
                    merged.extend_from_slice(members);
                }
                Json::object(merged)
            }
            Builtin::NotNull => {
                self.values.iter().find(|value| !matches!(value, Json::Null)).cloned().unwrap_or(Json::Null)
            }
            Builtin::Reverse => match self.value(1) {
                Json::Array(elements) => {
                    budget.charge(elements.len())?;
                    array(elements.iter().rev().cloned().collect())
                }
                Json::Text(text) => {
                    budget.charge(text.len() / 4)?;
                    Json::Text(text.chars().rev().collect::<String>().into())
                }
                _ => return Err(self.mistyped(1, "an array or a string")),
            },
            Builtin::Sort | Builtin::Max | Builtin::Min => {
                let elements = self.array(1)?;
                if !alike(elements) {
                    return Err(self.mistyped(1, "an array of numbers or of strings"));
                }
                return self.by(elements, elements.to_vec(), budget);
            }
            Builtin::ToArray => match self.value(1) {
                Json::Array(elements) => Json::Array(elements.clone()),
                other => array(vec![other.clone()]),
            },
            Builtin::ToNumber => match self.value(1) {
                Json::Number(number) => Json::Number(*number),
                Json::Text(text) => match Json::read(text, budget) {
                    Ok(Json::Number(number)) => Json::Number(number),
                    Err(crate::json::ReadError::Fault(fault)) => return Err(fault),
                    _ => Json::Null,
                },
                _ => Json::Null,
            },
            Builtin::ToString => match self.value(1) {
                Json::Text(text) => Json::Text(text.clone()),
                other => {
                    let mut text = String::new();
                    other.print(&mut text, budget, "JmesPath")?;
                    Json::Text(text.into())
                }
            },
            Builtin::Type => Json::Text(self.value(1).type_name().into()),
            // They have a reference and do not come here.
            Builtin::Map | Builtin::MaxBy | Builtin::MinBy | Builtin::SortBy => Json::Null,
        })
    }

    /// What the functions do that order or map elements by a key.
    fn by(&self, elements: &[Json], keys: Vec<Json>, budget: &mut Budget) -> Result<Json, Fault> {
        if self.builtin == Builtin::Map {
            return Ok(array(keys));
        }
        if !alike(&keys) {
            return Err(QueryError::MixedTypes { function: self.builtin.name() }.into());
        }
        let comparisons = match self.builtin {
            Builtin::Sort | Builtin::SortBy => keys.len().checked_ilog2().map_or(0, |log| log + 1),
            _ => 1,
        };
        charge_comparisons(&keys, comparisons, budget)?;
        let mut paired: Vec<(&Json, &Json)> = keys.iter().zip(elements).collect();
        let picked = match self.builtin {
            Builtin::Max | Builtin::MaxBy => {
                // Of equal ones the first.
                paired
                    .iter()
                    .copied()
                    .reduce(|best, next| if order(next.0, best.0).is_gt() { next } else { best })
            }
            Builtin::Min | Builtin::MinBy => paired
                .iter()
                .copied()
                .reduce(|best, next| if order(next.0, best.0).is_lt() { next } else { best }),
            _ => {
                paired.sort_by(|a, b| order(a.0, b.0));
                return Ok(array(paired.into_iter().map(|(_, element)| element.clone()).collect()));
            }
        };
        Ok(picked.map_or(Json::Null, |(_, element)| element.clone()))
    }

    fn sum(&self, budget: &mut Budget) -> Result<Number, Fault> {
        let elements = self.array(1)?;
        budget.charge(elements.len())?;
        let mut integers = 0_i128;
        let mut floats = 0.0_f64;
        let mut whole = true;
        for element in elements {
            let Json::Number(number) = element else { return Err(self.mistyped(1, "an array of numbers")) };
            match number {
                Number::Integer(value) => integers = integers.saturating_add(*value),
                Number::Float(value) => {
                    whole = false;
                    floats += value;
                }
            }
        }
        if whole {
            return Ok(Number::Integer(integers));
        }
        let sum = floats + Number::Integer(integers).to_float();
        if sum.is_finite() { Ok(Number::Float(sum)) } else { Err(self.not_finite()) }
    }

    fn average(&self, budget: &mut Budget) -> Result<Json, Fault> {
        let sum = self.sum(budget)?;
        let count = i128::try_from(self.array(1)?.len()).unwrap_or(i128::MAX);
        Ok(match sum {
            _ if count == 0 => Json::Null,
            Number::Integer(sum) if sum % count == 0 => Json::Number(Number::Integer(sum / count)),
            sum => Json::Number(Number::Float(sum.to_float() / Number::Integer(count).to_float())),
        })
    }

    fn contains(&self, budget: &mut Budget) -> Result<Json, Fault> {
        let needle = self.value(2);
        Ok(Json::Boolean(match self.value(1) {
            Json::Array(elements) => {
                for element in elements.iter() {
                    if element.equals(needle, budget)? {
                        return Ok(Json::Boolean(true));
                    }
                }
                false
            }
            Json::Text(text) => {
                budget.charge_text(text.len())?;
                matches!(needle, Json::Text(part) if text.contains(&**part))
            }
            _ => return Err(self.mistyped(1, "an array or a string")),
        }))
    }

    fn join(&self, budget: &mut Budget) -> Result<Json, Fault> {
        let glue = self.text(1)?;
        let elements = self.array(2)?;
        let mut joined = String::new();
        for (index, element) in elements.iter().enumerate() {
            let Json::Text(text) = element else { return Err(self.mistyped(2, "an array of strings")) };
            budget.charge(1)?;
            budget.charge_text(text.len() + glue.len())?;
            if index > 0 {
                joined.push_str(glue);
            }
            joined.push_str(text);
            let limit = budget.limits.result_size_bytes;
            if joined.len() > limit {
                return Err(Fault::ResultTooLarge { function: "JmesPath", limit });
            }
        }
        Ok(Json::Text(joined.into()))
    }

    fn length(&self, budget: &mut Budget) -> Result<Json, Fault> {
        let length = match self.value(1) {
            Json::Array(elements) => elements.len(),
            Json::Object(members) => members.len(),
            Json::Text(text) => {
                budget.charge_text(text.len())?;
                text.chars().count()
            }
            _ => return Err(self.mistyped(1, "an array, an object or a string")),
        };
        Ok(Json::Number(Number::Integer(i128::try_from(length).unwrap_or(i128::MAX))))
    }

    fn value(&self, position: usize) -> &'c Json {
        // The compiler has counted the arguments.
        self.values.get(position - 1).unwrap_or(&Json::Null)
    }

    fn number(&self, position: usize) -> Result<Number, Fault> {
        match self.value(position) {
            Json::Number(number) => Ok(*number),
            _ => Err(self.mistyped(position, "a number")),
        }
    }

    fn text(&self, position: usize) -> Result<&'c str, Fault> {
        match self.value(position) {
            Json::Text(text) => Ok(text),
            _ => Err(self.mistyped(position, "a string")),
        }
    }

    fn texts(&self, budget: &mut Budget) -> Result<(&'c str, &'c str), Fault> {
        let (text, part) = (self.text(1)?, self.text(2)?);
        budget.charge_text(part.len())?;
        Ok((text, part))
    }

    fn array(&self, position: usize) -> Result<&'c [Json], Fault> {
        match self.value(position) {
            Json::Array(elements) => Ok(elements),
            _ => Err(self.mistyped(position, "an array")),
        }
    }

    fn object(&self, position: usize) -> Result<&'c [Member], Fault> {
        match self.value(position) {
            Json::Object(members) => Ok(members),
            _ => Err(self.mistyped(position, "an object")),
        }
    }

    fn mistyped(&self, position: usize, expected: &'static str) -> Fault {
        let found = match self.value(position) {
            Json::Array(_) if expected != "a number" && expected.starts_with("an array of") => {
                "an array of others"
            }
            other => other.type_name(),
        };
        QueryError::ArgumentType { function: self.builtin.name(), position, expected, found }.into()
    }

    fn not_finite(&self) -> Fault {
        QueryError::NotFinite { function: self.builtin.name() }.into()
    }
}

/// Whether all are numbers or all are strings.
fn alike(values: &[Json]) -> bool {
    values.iter().all(|value| matches!(value, Json::Number(_)))
        || values.iter().all(|value| matches!(value, Json::Text(_)))
}

/// The order of two numbers or two strings.
fn order(a: &Json, b: &Json) -> Ordering {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.order(b),
        (Json::Text(a), Json::Text(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

/// Takes off what comparing each of `keys` so many times may cost.
fn charge_comparisons(keys: &[Json], times: u32, budget: &mut Budget) -> Result<(), Fault> {
    for key in keys {
        let size = match key {
            Json::Text(text) => text.len(),
            _ => 0,
        };
        for _ in 0..times {
            budget.charge(1)?;
            budget.charge_text(size)?;
        }
    }
    Ok(())
}

/// Rounds to a whole number, which is an integer if it is in the range of the language.
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "whole and within the range")]
fn whole(number: Number, round: fn(f64) -> f64) -> Json {
    // 2^63
    const FAR: f64 = 9_223_372_036_854_775_808.0;
    Json::Number(match number {
        Number::Integer(value) => Number::Integer(value),
        Number::Float(value) if value.abs() < FAR => Number::Integer(round(value) as i128),
        Number::Float(value) => Number::Float(round(value)),
    })
}
