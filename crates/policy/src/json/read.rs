//! Reading JSON text (RFC 8259).

use std::sync::Arc;

use super::{Json, Number};
use crate::budget::Budget;
use crate::error::{Fault, JsonError};
use crate::parser::shortened;

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
        let mut members = Vec::new();
        if !self.take(b'}') {
            loop {
                // A name and a place in the list are memory too.
                self.budget.charge(2)?;
                self.skip_blanks();
                let name = self.string()?;
                self.need(b':')?;
                let value = self.value()?;
                members.push((name, value));
                if self.take(b'}') {
                    break;
                }
                self.need(b',')?;
            }
        }
        Ok(Json::object(members))
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
