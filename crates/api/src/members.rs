//! The properties of a JSON object, whose names match without regard to case.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::RequestError;
use crate::transport;

/// Clients spell one property `quote`, `Quote`, `initTimeData` or `inittimeData`.
pub(crate) struct Members {
    by_lower_case_name: BTreeMap<String, Value>,
}

impl Members {
    pub(crate) fn new(object: Map<String, Value>) -> Result<Self, RequestError> {
        let mut spelled: BTreeMap<String, String> = BTreeMap::new();
        let mut by_lower_case_name = BTreeMap::new();
        for (name, value) in object {
            let lower = name.to_ascii_lowercase();
            if let Some(first) = spelled.get(&lower) {
                return Err(RequestError::Repeated { first: shortened(first), second: shortened(&name) });
            }
            by_lower_case_name.insert(lower.clone(), value);
            spelled.insert(lower, name);
        }
        Ok(Self { by_lower_case_name })
    }

    /// Takes a property out; an explicit `null` is an absent one.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.by_lower_case_name.remove(&name.to_ascii_lowercase()).filter(|value| !value.is_null())
    }

    /// Takes a property that is a string.
    pub(crate) fn take_string(
        &mut self,
        name: &str,
        property: &'static str,
    ) -> Result<Option<String>, RequestError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                Err(RequestError::WrongType { property, expected: "a string", found: kind(&other) })
            }
        }
    }

    /// Takes a binary property: a string of base64. An empty string is an absent property.
    pub(crate) fn take_bytes(
        &mut self,
        name: &str,
        property: &'static str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, RequestError> {
        let Some(text) = self.take_string(name, property)?.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        // Before anything is decoded: every four characters are at most three bytes.
        let estimate = (text.len() / 4).saturating_mul(3);
        if estimate > limit.saturating_add(3) {
            return Err(RequestError::TooLong { property, bytes: estimate, limit });
        }
        let bytes = transport::decode(&text).map_err(|error| RequestError::Base64 { property, error })?;
        if bytes.len() > limit {
            return Err(RequestError::TooLong { property, bytes: bytes.len(), limit });
        }
        Ok(Some(bytes))
    }
}

/// What a value is, for an error message.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The first characters of something the sender chose, for an error message.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
