//! What of a line makes the chain.

use serde_json::Value;

use crate::store::audit::AuditHead;

/// What the first line names as the one before it.
pub(super) const NO_LINE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A line's place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// SHA-256 of the line before, in hexadecimal.
    pub(super) prev: String,
    pub(super) seq: u64,
    pub(super) writer: String,
}

impl Link {
    /// Reads a line without its end.
    pub(super) fn parse(line: &[u8]) -> Result<Self, &'static str> {
        const NO_EVENT: &str = "the line is no event";
        let fields = token::json::parse_object(line).map_err(|_| NO_EVENT)?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(NO_EVENT);
        let seq = fields.get("seq").and_then(Value::as_u64).ok_or(NO_EVENT)?;
        Ok(Self { prev: text("prev")?, seq, writer: text("writer")? })
    }

    /// Whether it is the line after the one that `head` names.
    pub(super) fn follows(&self, head: &AuditHead) -> bool {
        self.writer == head.writer && Some(self.seq) == head.seq.checked_add(1) && self.prev == head.sha256
    }
}
