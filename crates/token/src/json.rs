//! A strict JSON reader (RFC 8259) for text that decides something: token parts and the runtime
//! data that becomes claims.
//!
//! It differs from `serde_json`'s reader of `Value` in what it refuses and in what it keeps:
//!
//! - a member name that repeats in one object is refused (RFC 8259 §4 leaves its meaning open, so
//!   two readers of one signed text could see two different values);
//! - nesting and the number of values are bounded;
//! - numbers keep their spelling (`1E5` stays `1E5`), so that a re-serialised document carries what
//!   was sent;
//! - no member name is special: `serde_json`, with the features this workspace uses, reads an object
//!   whose only member is named `$serde_json::private::Number` as a number.

use serde_json::{Map, Number, Value};

/// Deepest nesting accepted. Real tokens and key sets nest five deep; the bound keeps recursion far
/// from the end of any stack.
pub const MAX_DEPTH: usize = 64;

/// Most values (scalars, arrays and objects together) accepted in one document. A one-character
/// value costs some 60 bytes in memory, so this bounds a document at about 4 MiB beyond its text;
/// the largest real one (a key set with certificate chains) has about a hundred.
pub const MAX_VALUES: usize = 65_536;

/// The bounds of one document.
#[derive(Clone, Copy)]
struct Limits {
    depth: usize,
    values: usize,
}

const DOCUMENT: Limits = Limits { depth: MAX_DEPTH, values: MAX_VALUES };

/// Those of a token's claims, among which stand documents of the largest size: runtime and init-time data.
/// What is accepted there can be read here.
const CLAIMS: Limits = Limits { depth: MAX_DEPTH + 2, values: 3 * MAX_VALUES };

/// Why a text is not an acceptable JSON document. Offsets are in bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A member name stands twice in one object.
    #[error("the member name `{name}` repeats in one object at byte {offset}: send it once")]
    DuplicateName {
        /// The name.
        name: String,
        /// Where its second occurrence starts.
        offset: usize,
    },
    /// A `\` in a string is not followed by an escape of RFC 8259 §7, or half of a surrogate pair.
    #[error("a string has a bad escape at byte {offset}")]
    InvalidEscape {
        /// Where the escape starts.
        offset: usize,
    },
    /// Something starts like a number and is none of RFC 8259 §6.
    #[error("a number is malformed at byte {offset}")]
    InvalidNumber {
        /// Where it is malformed.
        offset: usize,
    },
    /// The text is not UTF-8.
    #[error("the text is not UTF-8 from byte {offset} on")]
    InvalidUtf8 {
        /// Where the first bad byte stands.
        offset: usize,
    },
    /// The document is valid JSON, but its outermost value is not an object.
    #[error("the outermost value is not an object: send a JSON object `{{...}}`")]
    NotObject,
    /// Arrays and objects nest too deeply.
    #[error("values nest deeper than {limit} levels at byte {offset}")]
    TooDeep {
        /// The most levels accepted.
        limit: usize,
        /// Where the level too many starts.
        offset: usize,
    },
    /// There are too many values.
    #[error("the document has more than {limit} values")]
    TooManyValues {
        /// The most values accepted.
        limit: usize,
    },
    /// Something stands where the grammar wants something else.
    #[error("expected {expected} at byte {offset}")]
    Unexpected {
        /// What the grammar wants.
        expected: &'static str,
        /// Where.
        offset: usize,
    },
}

/// How many bytes from the start stand for themselves in a string. Strings with evidence are long, so whole blocks are
/// looked at first, in a form that compilers make vector instructions of.
fn plain_length(bytes: &[u8]) -> usize {
    let special = |byte: u8| u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
    let (blocks, _) = bytes.as_chunks::<64>();
    let is_plain = |block: &&[u8; 64]| block.iter().fold(0, |found, byte| found | special(*byte)) == 0;
    let skipped = blocks.iter().take_while(is_plain).count().saturating_mul(64);
    let rest = bytes.get(skipped..).unwrap_or_default();
    skipped.saturating_add(rest.iter().take_while(|byte| special(**byte) == 0).count())
}

/// Reads one JSON object and nothing after it but white space.
///
/// # Errors
/// [`JsonError`], for the first broken rule in reading order.
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    object(parse(text)?)
}

/// Reads the claims of a token.
pub(crate) fn parse_claims(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    object(parse_within(text, CLAIMS)?)
}

fn object(value: Value) -> Result<Map<String, Value>, JsonError> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotObject),
    }
}

/// Reads one JSON value of any kind and nothing after it but white space.
///
/// # Errors
/// As [`parse_object`], without [`JsonError::NotObject`].
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    parse_within(text, DOCUMENT)
}

fn parse_within(text: &[u8], limits: Limits) -> Result<Value, JsonError> {
    let text =
        std::str::from_utf8(text).map_err(|error| JsonError::InvalidUtf8 { offset: error.valid_up_to() })?;
    let mut parser = Parser { text, limits, at: 0, values: 0 };
    parser.skip_white_space();
    let value = parser.value(0)?;
    parser.skip_white_space();
    if parser.at < text.len() {
        return Err(parser.unexpected("the end of the text"));
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    limits: Limits,
    at: usize,
    values: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.values = self.values.saturating_add(1);
        if self.values > self.limits.values {
            return Err(JsonError::TooManyValues { limit: self.limits.values });
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Value::Number(self.number()?)),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.descend(depth)?;
        let mut members = Map::new();
        if self.take_after_white_space(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_white_space();
            let offset = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a member name in double quotes"));
            }
            let name = self.string()?;
            if !self.take_after_white_space(b':') {
                return Err(self.unexpected("`:`"));
            }
            if members.contains_key(&name) {
                return Err(JsonError::DuplicateName { name, offset });
            }
            self.skip_white_space();
            let value = self.value(depth.saturating_add(1))?;
            members.insert(name, value);
            if self.take_after_white_space(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.descend(depth)?;
        let mut values = Vec::new();
        if self.take_after_white_space(b']') {
            return Ok(Value::Array(values));
        }
        loop {
            self.skip_white_space();
            values.push(self.value(depth.saturating_add(1))?);
            if self.take_after_white_space(b']') {
                return Ok(Value::Array(values));
            }
            if !self.take(b',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    /// Takes the opening bracket of an array or object that stands `depth` levels deep.
    fn descend(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= self.limits.depth {
            return Err(JsonError::TooDeep { limit: self.limits.depth, offset: self.at });
        }
        self.at = self.at.saturating_add(1);
        Ok(())
    }

    fn literal(&mut self, word: &'static str, value: Value) -> Result<Value, JsonError> {
        if self.rest().starts_with(word) {
            self.at = self.at.saturating_add(word.len());
            return Ok(value);
        }
        Err(self.unexpected("a value"))
    }

    fn number(&mut self) -> Result<Number, JsonError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let spelling = self.text.get(start..self.at).unwrap_or_default();
        Ok(Number::from_string_unchecked(spelling.to_owned()))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return Err(JsonError::InvalidNumber { offset: self.at });
        }
        self.at = self.at.saturating_add(count);
        Ok(())
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at = self.at.saturating_add(1);
        let mut out = String::new();
        loop {
            let plain = plain_length(self.rest().as_bytes());
            let end = self.at.saturating_add(plain);
            out.push_str(self.text.get(self.at..end).unwrap_or_default());
            self.at = end;
            match self.peek() {
                Some(b'"') => {
                    self.at = self.at.saturating_add(1);
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.unexpected("an escape instead of a control character")),
                None => return Err(self.unexpected("the closing quote of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let bad = JsonError::InvalidEscape { offset: self.at };
        let kind = self.text.as_bytes().get(self.at.saturating_add(1)).copied();
        self.at = self.at.saturating_add(2);
        let plain = match kind {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let high = self.hex4().ok_or_else(|| bad.clone())?;
                if !(0xd800..0xe000).contains(&high) {
                    return char::from_u32(high).ok_or(bad);
                }
                if !(self.take(b'\\') && self.take(b'u')) {
                    return Err(bad);
                }
                let low = self.hex4().ok_or_else(|| bad.clone())?;
                let pair = [high, low].map(|unit| u16::try_from(unit).unwrap_or_default());
                return match char::decode_utf16(pair).next() {
                    Some(Ok(character)) => Ok(character),
                    _ => Err(bad),
                };
            }
            _ => return Err(bad),
        };
        Ok(plain)
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at.checked_add(4)?)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at = self.at.saturating_add(4);
        u32::from_str_radix(digits, 16).ok()
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at = self.at.saturating_add(1);
        }
    }

    fn take_after_white_space(&mut self, wanted: u8) -> bool {
        self.skip_white_space();
        self.take(wanted)
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at = self.at.saturating_add(1);
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// What has not been read. The position always stands on a character boundary: it moves over
    /// ASCII bytes one at a time and over the rest only in whole runs that end before one.
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn unexpected(&self, expected: &'static str) -> JsonError {
        JsonError::Unexpected { expected, offset: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_plain_run_is_found_wherever_it_stands() {
        for at in 0..200 {
            for special in ['"', '\\', '\u{1f}', '\0'] {
                let text = format!("{}{special}{}", "\u{7f} ~".repeat(70).get(..at).unwrap(), "x".repeat(80));
                assert_eq!(plain_length(text.as_bytes()), at, "{special:?}");
            }
            assert_eq!(plain_length("x".repeat(at).as_bytes()), at);
        }
        assert_eq!(plain_length("é€😀".repeat(30).as_bytes()), 270);
    }
}
