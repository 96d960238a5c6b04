//! JSON inside claims (RFC 8259): bounded reading, exact integers, compact printing.
//!
//! Numbers without fraction and exponent stay integers of the 64-bit range (signed or unsigned); beyond it
//! they are refused, since two different ones could be taken for equal. Of members with the same name the
//! last one counts. Objects keep their members sorted by name, and print so.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::budget::Budget;
use crate::error::{Fault, JsonError};
use crate::parser::shortened;

/// A JSON value; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Array(Arc<Vec<Json>>),
    Boolean(bool),
    Null,
    Number(Number),
    Object(Arc<BTreeMap<Arc<str>, Json>>),
    Text(Arc<str>),
}

/// A number, whole ones exact. A float is always finite.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Float(f64),
    Integer(i128),
}

/// Why JSON could not be read: the text, or the budget.
#[derive(Debug)]
pub(crate) enum ReadError {
    Fault(Fault),
    Text(JsonError),
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<JsonError> for ReadError {
    fn from(error: JsonError) -> Self {
        Self::Text(error)
    }
}

impl Json {
    /// Reads a whole JSON text.
    pub(crate) fn read(text: &str, budget: &mut Budget) -> Result<Self, ReadError> {
        budget.charge_text(text.len())?;
        let mut reader = Reader { text, at: 0, depth: 0, budget };
        let value = reader.value()?;
        reader.skip_blanks();
        if reader.at < text.len() {
            return Err(reader.syntax().into());
        }
        Ok(value)
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

struct Reader<'r> {
    text: &'r str,
    at: usize,
    depth: usize,
    budget: &'r mut Budget,
}

impl<'r> Reader<'r> {
    fn value(&mut self) -> Result<Json, ReadError> {
        self.budget.charge(1)?;
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Json::Number(self.number()?)),
            _ => {
                for (word, value) in
                    [("null", Json::Null), ("true", Json::Boolean(true)), ("false", Json::Boolean(false))]
                {
                    if self.rest().starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.syntax().into())
            }
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json, ReadError>) -> Result<Json, ReadError> {
        let limit = self.budget.limits.json_nesting;
        if self.depth >= limit {
            return Err(JsonError::TooDeep { limit }.into());
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Json, ReadError> {
        let mut elements = Vec::new();
        if !self.take(b']') {
            loop {
                elements.push(self.value()?);
                if self.take(b']') {
                    break;
                }
                self.need(b',')?;
            }
        }
        Ok(Json::Array(Arc::new(elements)))
    }

    fn object(&mut self) -> Result<Json, ReadError> {
        let mut members = BTreeMap::new();
        if !self.take(b'}') {
            loop {
                self.skip_blanks();
                let name = self.string()?;
                self.need(b':')?;
                let value = self.value()?;
                members.insert(name, value);
                if self.take(b'}') {
                    break;
                }
                self.need(b',')?;
            }
        }
        Ok(Json::Object(Arc::new(members)))
    }

    fn string(&mut self) -> Result<Arc<str>, JsonError> {
        let start = self.at;
        let body = self.rest().strip_prefix('"').ok_or_else(|| self.syntax())?;
        let mut escaped = false;
        let mut bytes = body.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.at = start + 1 + at + 1;
                    if !escaped {
                        return Ok(body.get(..at).unwrap_or_default().into());
                    }
                    let quoted = self.text.get(start..self.at).unwrap_or_default();
                    return serde_json::from_str::<String>(quoted).map(Into::into).map_err(|_| {
                        self.at = start;
                        self.syntax()
                    });
                }
                b'\\' => {
                    escaped = true;
                    bytes.next();
                }
                0..=0x1f => break,
                _ => {}
            }
        }
        Err(self.syntax())
    }

    fn number(&mut self) -> Result<Number, JsonError> {
        let start = self.at;
        self.skip_if(b'-');
        if !self.skip_if(b'0') {
            self.digits()?;
        }
        let mut whole = true;
        if self.skip_if(b'.') {
            whole = false;
            self.digits()?;
        }
        if self.skip_if(b'e') || self.skip_if(b'E') {
            whole = false;
            let _ = self.skip_if(b'+') || self.skip_if(b'-');
            self.digits()?;
        }
        let literal = self.text.get(start..self.at).unwrap_or_default();
        let number = if whole {
            let in_range = i128::from(i64::MIN)..=i128::from(u64::MAX);
            literal.parse().ok().filter(|value| in_range.contains(value)).map(Number::Integer)
        } else {
            literal.parse().ok().filter(|value: &f64| value.is_finite()).map(Number::Float)
        };
        number.ok_or_else(|| JsonError::NumberOutOfRange { literal: shortened(literal) })
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.syntax()) } else { Ok(()) }
    }

    fn skip_if(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Skips `byte` after blanks, if it is there.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        self.skip_if(byte)
    }

    fn need(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(self.syntax()) }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'r str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The error of something unexpected at the present place.
    fn syntax(&self) -> JsonError {
        let before = self.text.get(..self.at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        JsonError::Syntax {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn read(text: &str) -> Result<Json, ReadError> {
        Json::read(text, &mut Budget::new(Limits::DEFAULT))
    }

    fn printed(text: &str) -> String {
        let mut out = String::new();
        read(text).unwrap().print(&mut out, &mut Budget::new(Limits::DEFAULT), "print").unwrap();
        out
    }

    #[test]
    fn prints_compactly_what_it_read() {
        let text = " { \"b\" : [ 1 , -2.50 , 1e3, true,false,null, \"a\\u00e4\\n\\\"\\\\\\ud83d\\ude00\" ] , \"a\":{ } }\n";
        assert_eq!(printed(text), "{\"a\":{},\"b\":[1,-2.5,1000.0,true,false,null,\"aä\\n\\\"\\\\😀\"]}");
        assert_eq!(printed("18446744073709551615"), "18446744073709551615");
        assert_eq!(printed("-9223372036854775808"), "-9223372036854775808");
        assert_eq!(printed("{\"a\":1,\"a\":2}"), "{\"a\":2}");
        assert_eq!(printed("-0"), "0");
    }

    #[test]
    fn what_serde_json_refuses_is_refused() {
        for text in [
            "",
            " ",
            "abc",
            "tru",
            "nul",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "1e",
            "-",
            "+1",
            "\"a",
            "\"\\x\"",
            "\"\n\"",
            "\"\\ud800\"",
            "[",
            "{",
            "1 2",
            "\u{feff}1",
            "\"\\",
            "'a'",
            "NaN",
        ] {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
            assert!(matches!(read(text), Err(ReadError::Text(JsonError::Syntax { .. }))), "{text}");
        }
    }

    #[test]
    fn the_place_of_an_error_is_told() {
        let Err(ReadError::Text(error)) = read("{\n \"ä\": x}") else { panic!("accepted") };
        assert_eq!(error, JsonError::Syntax { line: 2, column: 7 });
    }

    #[test]
    fn numbers_and_nesting_are_bounded() {
        for text in ["18446744073709551616", "-9223372036854775809", "1e999"] {
            assert!(matches!(read(text), Err(ReadError::Text(JsonError::NumberOutOfRange { .. }))), "{text}");
        }
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(64)).is_ok());
        assert!(matches!(read(&nested(65)), Err(ReadError::Text(JsonError::TooDeep { limit: 64 }))));
    }

    #[test]
    fn numbers_compare_exactly() {
        let order = |a: &str, b: &str| {
            let (Json::Number(a), Json::Number(b)) = (read(a).unwrap(), read(b).unwrap()) else { panic!() };
            a.order(&b)
        };
        assert_eq!(order("1", "1.0"), Ordering::Equal);
        assert_eq!(order("9007199254740993", "9007199254740992"), Ordering::Greater);
        assert_eq!(order("9007199254740993", "9007199254740992.0"), Ordering::Greater);
        assert_eq!(order("-3", "-2.5"), Ordering::Less);
        assert_eq!(order("-2", "-2.5"), Ordering::Greater);
        assert_eq!(order("18446744073709551615", "1e300"), Ordering::Less);
        assert_eq!(order("-1e300", "0"), Ordering::Less);
    }
}
