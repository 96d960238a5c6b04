//! Places in policy text.

use std::fmt;

use serde::Serialize;

/// A stretch of policy text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Line of the first character, counted from 1.
    pub line: u32,
    /// Characters before it on that line (the convention of ANTLR: the first column is 0).
    pub column: u32,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset past the last byte.
    pub end: usize,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Byte range inside the text, as tokens and syntax trees keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Range {
    /// From the start of this one to the end of `last`.
    pub(crate) const fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end }
    }
}

/// Turns byte ranges into lines and columns, at the same small cost everywhere in the text.
pub(crate) struct Lines<'t> {
    text: &'t str,
    /// Where each line starts.
    starts: Vec<usize>,
    /// Characters before each block of bytes.
    characters: Vec<usize>,
}

const BLOCK_SIZE_BYTES: usize = 256;

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut so_far = 0;
        let characters = text.as_bytes().chunks(BLOCK_SIZE_BYTES).map(|block| {
            let before = so_far;
            so_far += count(block);
            before
        });
        let characters = characters.collect();
        Self { text, starts: std::iter::once(0).chain(after_breaks).collect(), characters }
    }

    pub(crate) fn span(&self, range: Range) -> Span {
        let line = self.starts.partition_point(|start| *start <= range.start);
        let line_start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let mut column = self.before(range.start) - self.before(line_start);
        if line == 1 && range.start > 0 && self.text.starts_with('\u{feff}') {
            // A byte order mark is no character of the first line.
            column -= 1;
        }
        Span {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            start: range.start,
            end: range.end,
        }
    }

    /// Characters before a byte of the text.
    fn before(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        let block = at / BLOCK_SIZE_BYTES;
        let Some(characters) = self.characters.get(block) else {
            // The end of a text of whole blocks.
            return self.text.chars().count();
        };
        characters + count(self.text.as_bytes().get(block * BLOCK_SIZE_BYTES..at).unwrap_or_default())
    }
}

/// Characters that start in these bytes of UTF-8.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one_and_columns_from_zero() {
        let lines = Lines::new("ab\nä[c");
        let span = lines.span(Range { start: 5, end: 6 });
        assert_eq!((span.line, span.column), (2, 1));
        let first = lines.span(Range { start: 0, end: 1 });
        assert_eq!((first.line, first.column), (1, 0));
    }

    #[test]
    fn long_lines_and_byte_order_marks() {
        let text = format!("\u{feff}{}x", "ä".repeat(254));
        let lines = Lines::new(&text);
        assert_eq!(lines.span(Range { start: 3, end: 5 }).column, 0);
        assert_eq!(lines.span(Range { start: 511, end: 512 }).column, 254);
        assert_eq!(lines.span(Range { start: 512, end: 512 }).column, 255);
    }
}
