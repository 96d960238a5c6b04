//! One layout for all policies: the same tokens and comments, white space by rule.
//!
//! - A section's name, `{` and `};` stand on lines of their own, its rules are indented by four blanks.
//! - A rule stands on one line of at most [`WIDTH`] characters, or else has a line for each condition.
//! - Comments stay behind the token they follow on a line, or on lines of their own. Between rules one empty line
//!   stays where there was any.

use crate::diagnostic::Diagnostics;
use crate::lexer::{Lexer, TokenKind};
use crate::limits::Limits;
use crate::parser;
use crate::span::{Lines, Range};

/// Characters of a line before a rule is broken; strings are never broken.
const WIDTH: usize = 100;

/// Indentation of rules.
const RULE: usize = 4;
/// Indentation of what a broken rule goes on with.
const CONTINUED: usize = 8;

/// Lays a policy text out anew. Its meaning is the same, its hash is not; laid out twice it is the same text.
///
/// # Errors
/// The first syntax error. Findings of analysis do not matter here.
pub fn format(text: &str) -> Result<String, Diagnostics> {
    parser::parse(text, &Lines::new(text), &Limits::DEFAULT).map_err(|error| Diagnostics::from(*error))?;
    let pieces = pieces(text);
    let mut writer = Writer { out: String::with_capacity(text.len()), fresh: true };
    let mut rest = pieces.as_slice();
    let mut in_section = false;
    while let Some(piece) = rest.first() {
        let length = match piece.text {
            "" | "{" | "}" => 1,
            // A statement ends with its semicolon, the head of a section before its brace.
            _ => rest.iter().position(|piece| matches!(piece.text, ";" | "{")).map_or(rest.len(), |at| {
                at + usize::from(rest.get(at).is_some_and(|piece| piece.text == ";"))
            }),
        };
        let (statement, others) = rest.split_at_checked(length.max(1)).unwrap_or((rest, &[]));
        rest = others;
        match piece.text {
            "" => writer.comments(piece, 0, true),
            "{" => {
                writer.statement(statement, 0);
                writer.fresh = true;
                in_section = true;
            }
            "}" => {
                // Comments before the brace belong to the rules.
                writer.comments(piece, RULE, true);
                writer.line(0);
                writer.out.push('}');
                in_section = false;
            }
            ";" => writer.statement(statement, 0),
            _ if in_section => writer.rule(statement),
            _ => writer.statement(statement, 0),
        }
    }
    writer.end_line();
    Ok(writer.out)
}

/// The tokens of a piece of policy text, one a line.
pub(crate) fn tokens(text: &str) -> String {
    pieces(text).iter().map(|piece| piece.text).collect::<Vec<_>>().join("\n")
}

/// A token with what stands between it and the one before.
struct Piece<'t> {
    /// As written; empty at the end of the text.
    text: &'t str,
    comments: Vec<Comment<'t>>,
    /// An empty line directly before it.
    blank: bool,
}

struct Comment<'t> {
    text: &'t str,
    /// On the line of the token before.
    trailing: bool,
    /// An empty line directly before it.
    blank: bool,
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut lexer = Lexer::new(text);
    let mut pieces = Vec::new();
    let mut end = 0;
    // The text has just been parsed, so there is no error before its end.
    while let Ok(token) = lexer.next() {
        let Range { start, end: next } = token.range;
        let gap = text.get(end..start).unwrap_or_default();
        let (comments, blank) = gap_of(gap.trim_start_matches('\u{feff}'), end > 0);
        pieces.push(Piece { text: text.get(start..next).unwrap_or_default(), comments, blank });
        end = next;
        if token.kind == TokenKind::End {
            break;
        }
    }
    pieces
}

/// The comments between two tokens, and whether an empty line stands behind them.
fn gap_of(gap: &str, after_token: bool) -> (Vec<Comment<'_>>, bool) {
    let mut comments = Vec::new();
    let mut empty_lines = 0;
    let last = gap.split('\n').count() - 1;
    for (place, line) in gap.split('\n').enumerate() {
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.starts_with("//") {
            let trailing = after_token && place == 0;
            comments.push(Comment { text: line, trailing, blank: empty_lines > 0 });
            empty_lines = 0;
        } else if place > 0 && place < last {
            empty_lines += 1;
        }
    }
    (comments, empty_lines > 0)
}

struct Writer {
    out: String,
    /// Nothing stands in this section or text yet, so no empty line may.
    fresh: bool,
}

impl Writer {
    fn at_line_start(&self) -> bool {
        self.out.is_empty() || self.out.ends_with('\n')
    }

    fn end_line(&mut self) {
        if !self.at_line_start() {
            self.out.push('\n');
        }
    }

    /// Starts a line.
    fn line(&mut self, indent: usize) {
        self.end_line();
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn blank_line(&mut self, wanted: bool) {
        if wanted && !self.fresh {
            self.end_line();
            self.out.push('\n');
        }
    }

    /// The comments before a piece; `between` statements empty lines stay.
    fn comments(&mut self, piece: &Piece<'_>, indent: usize, between: bool) {
        for comment in &piece.comments {
            if comment.trailing && !self.at_line_start() {
                self.out.push(' ');
            } else {
                self.blank_line(between && comment.blank);
                self.line(indent);
                self.fresh = false;
            }
            self.out.push_str(comment.text);
            self.out.push('\n');
        }
    }

    /// A statement on one line, unless comments break it.
    fn statement(&mut self, pieces: &[Piece<'_>], indent: usize) {
        let mut before = "";
        for (place, piece) in pieces.iter().enumerate() {
            let starts = place == 0 && piece.text != ";";
            self.comments(piece, indent, starts);
            if starts {
                self.blank_line(piece.blank && piece.text != "{");
                self.line(indent);
                self.fresh = false;
            } else if self.at_line_start() {
                self.line(indent);
            } else {
                self.out.push_str(space(before, piece.text));
            }
            self.out.push_str(piece.text);
            before = piece.text;
        }
    }

    fn rule(&mut self, pieces: &[Piece<'_>]) {
        let commented = pieces.iter().skip(1).any(|piece| !piece.comments.is_empty());
        if !commented && RULE + width(pieces) <= WIDTH {
            self.statement(pieces, RULE);
            return;
        }
        let mut before = "";
        for (place, piece) in pieces.iter().enumerate() {
            let indent = if place == 0 || before == "&&" { RULE } else { CONTINUED };
            self.comments(piece, indent, place == 0);
            if place == 0 {
                self.blank_line(piece.blank);
                self.line(indent);
                self.fresh = false;
            } else if self.at_line_start()
                || before == "&&"
                || (piece.text == "=>" && !self.has_room(pieces, place))
            {
                self.line(indent);
            } else {
                self.out.push_str(space(before, piece.text));
            }
            self.out.push_str(piece.text);
            before = piece.text;
        }
    }

    /// Whether the rest of a rule fits on the present line.
    fn has_room(&self, pieces: &[Piece<'_>], from: usize) -> bool {
        let line = self.out.rsplit('\n').next().unwrap_or_default();
        line.chars().count() + 1 + width(pieces.get(from..).unwrap_or_default()) <= WIDTH
    }
}

/// Characters of pieces on one line.
fn width(pieces: &[Piece<'_>]) -> usize {
    let mut before = "";
    let mut width = 0;
    for piece in pieces {
        if !before.is_empty() {
            width += space(before, piece.text).len();
        }
        width += piece.text.chars().count();
        before = piece.text;
    }
    width
}

/// What stands between two tokens on a line.
fn space(before: &str, after: &str) -> &'static str {
    match (before, after) {
        (_, "=>" | "&&") | ("=>" | "&&" | ",", _) => " ",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
