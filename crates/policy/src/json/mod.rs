//! JSON inside claims (RFC 8259): bounded reading, exact integers, compact printing.
//!
//! Numbers without fraction and exponent stay integers of the 64-bit range (signed or unsigned); beyond it
//! they are refused, since two different ones could be taken for equal. Of members with the same name the
//! last one counts. Objects keep their members sorted by name, and print so.

mod read;
#[cfg(test)]
mod tests;

pub(crate) use read::ReadError;

use std::cmp::Ordering;
use std::sync::Arc;

use crate::budget::Budget;
use crate::error::Fault;

/// A JSON value; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Array(Arc<Vec<Json>>),
    Boolean(bool),
    Null,
    Number(Number),
    Object(Arc<[Member]>),
    Text(Arc<str>),
}

/// A member of an object. Objects have theirs sorted by name, each name once.
pub(crate) type Member = (Arc<str>, Json);

/// A number, whole ones exact. A float is always finite.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Float(f64),
    Integer(i128),
}

impl Json {
    /// An object of `members`, of which the last one of each name counts.
    pub(crate) fn object(mut members: Vec<Member>) -> Self {
        // The sort keeps the order of members with the same name.
        members.sort_by(|a, b| a.0.cmp(&b.0));
        members.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                std::mem::swap(next, kept);
            }
            same
        });
        Self::Object(members.into())
    }

    /// The member called `name`, if this is an object that has it.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        let place = members.binary_search_by(|(member, _)| (**member).cmp(name)).ok()?;
        members.get(place).map(|(_, value)| value)
    }

    /// Appends the compact text of the value to `out`.
    pub(crate) fn print(
        &self,
        out: &mut String,
        budget: &mut Budget,
        function: &'static str,
    ) -> Result<(), Fault> {
        let before = out.len();
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(true) => out.push_str("true"),
            Self::Boolean(false) => out.push_str("false"),
            Self::Number(number) => out.push_str(&number.to_text()),
            Self::Text(text) => print_text(text, out),
            Self::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.print(out, budget, function)?;
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    print_text(name, out);
                    out.push(':');
                    value.print(out, budget, function)?;
                }
                out.push('}');
            }
        }
        let limit = budget.limits.result_size_bytes;
        if out.len() > limit {
            return Err(Fault::ResultTooLarge { function, limit });
        }
        budget.charge(1)?;
        match self {
            // Their parts are paid for already.
            Self::Array(_) | Self::Object(_) => Ok(()),
            _ => budget.charge_text(out.len() - before),
        }
    }

    /// Deep equality; 1 and 1.0 are equal, values of different types never.
    pub(crate) fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, Fault> {
        budget.charge(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a.order(b) == Ordering::Equal,
            (Self::Text(a), Self::Text(b)) => {
                a.len() == b.len() && {
                    budget.charge_text(a.len())?;
                    a == b
                }
            }
            (Self::Array(a), Self::Array(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Object(a), Self::Object(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for ((a_name, a), (b_name, b)) in a.iter().zip(b.iter()) {
                    budget.charge_text(a_name.len())?;
                    if a_name != b_name || !a.equals(b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => false,
        })
    }

    /// The type's name in JMESPath.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Array(_) => "array",
            Self::Boolean(_) => "boolean",
            Self::Null => "null",
            Self::Number(_) => "number",
            Self::Object(_) => "object",
            Self::Text(_) => "string",
        }
    }
}

impl Number {
    /// Exact, also between an integer and a float.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Self::Integer(a), Self::Float(b)) => integer_to_float(*a, *b),
            (Self::Float(a), Self::Integer(b)) => integer_to_float(*b, *a).reverse(),
        }
    }

    /// The nearest float.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "rounding is what is asked for")]
    pub(crate) const fn to_float(self) -> f64 {
        match self {
            Self::Float(value) => value,
            Self::Integer(value) => value as f64,
        }
    }

    /// As JSON: a float always shows a fraction or an exponent.
    pub(crate) fn to_text(self) -> String {
        match self {
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => format!("{value:?}"),
        }
    }
}

/// Compares without rounding either side.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "whole and within the range of i128"
)]
fn integer_to_float(integer: i128, float: f64) -> Ordering {
    // 2^126, beyond every integer that is read.
    const FAR: f64 = 85_070_591_730_234_615_865_843_651_857_942_052_864.0;
    if float >= FAR {
        return Ordering::Less;
    }
    if float <= -FAR {
        return Ordering::Greater;
    }
    let whole = float.trunc();
    integer.cmp(&(whole as i128)).then_with(|| whole.partial_cmp(&float).unwrap_or(Ordering::Equal))
}

fn print_text(text: &str, out: &mut String) {
    out.push('"');
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let escaped = serde_json::Value::String(text.to_owned()).to_string();
        out.push_str(escaped.get(1..escaped.len() - 1).unwrap_or_default());
    } else {
        out.push_str(text);
    }
    out.push('"');
}
