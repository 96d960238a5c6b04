//! Policy text into tokens, one at a time.
//!
//! White space (space, tab, CR, LF) and comments (`//` to the end of the line) may stand between any two
//! tokens. A byte order mark at the very start is skipped.

use std::borrow::Cow;

use crate::diagnostic::Problem;
use crate::span::Range;

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind<'t>,
    pub(crate) range: Range,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind<'t> {
    /// The end of the text.
    End,
    /// Decimal digits, with a minus sign if any.
    Integer(&'t str),
    /// An operator or punctuation mark.
    Mark(&'static str),
    /// A string, its escapes resolved.
    Text(Cow<'t, str>),
    /// A keyword or identifier.
    Word(&'t str),
}

/// A place that starts no token.
#[derive(Debug)]
pub(crate) struct LexicalError {
    pub(crate) problem: Problem,
    pub(crate) range: Range,
    pub(crate) hint: Option<&'static str>,
}

/// Longest first, so that `==` is not read as `=` twice.
const MARKS: [&str; 19] =
    ["=>", "&&", "==", "!=", "<=", ">=", "!", "<", ">", "=", ":", ";", ",", ".", "(", ")", "[", "]", "{"];
const CLOSING_BRACE: &str = "}";

pub(crate) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, at }
    }

    pub(crate) fn next(&mut self) -> Result<Token<'t>, LexicalError> {
        self.skip_blanks();
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(self.token(TokenKind::End, start));
        };
        if first == '"' {
            return self.string(start);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let word = prefix(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            self.at += word.len();
            return Ok(self.token(TokenKind::Word(word), start));
        }
        let unsigned = rest.strip_prefix('-').unwrap_or(rest);
        if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
            let digits = prefix(unsigned, |c| c.is_ascii_digit());
            let length = rest.len() - unsigned.len() + digits.len();
            self.at += length;
            return Ok(self.token(TokenKind::Integer(rest.get(..length).unwrap_or(digits)), start));
        }
        let marks = MARKS.into_iter().chain(std::iter::once(CLOSING_BRACE));
        for mark in marks {
            if rest.starts_with(mark) {
                self.at += mark.len();
                return Ok(self.token(TokenKind::Mark(mark), start));
            }
        }
        Err(self.unexpected(first, start))
    }

    /// The text not yet read.
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    const fn token(&self, kind: TokenKind<'t>, start: usize) -> Token<'t> {
        Token { kind, range: Range { start, end: self.at } }
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            let rest = self.rest();
            if !rest.starts_with("//") {
                return;
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    /// A string, from its opening quote. `\"` and `\\` are the only escapes; it ends on its line.
    fn string(&mut self, start: usize) -> Result<Token<'t>, LexicalError> {
        let body = self.rest().get(1..).unwrap_or_default();
        let mut unescaped: Option<String> = None;
        let mut characters = body.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = start + 1 + at + 1;
                    let plain = body.get(..at).unwrap_or_default();
                    let text = unescaped.map_or(Cow::Borrowed(plain), Cow::Owned);
                    return Ok(self.token(TokenKind::Text(text), start));
                }
                '\n' | '\r' => break,
                '\\' => {
                    let so_far =
                        unescaped.get_or_insert_with(|| body.get(..at).unwrap_or_default().to_owned());
                    match characters.next() {
                        Some((_, escaped @ ('"' | '\\'))) => so_far.push(escaped),
                        Some((_, escape)) if escape != '\n' && escape != '\r' => {
                            let start = start + 1 + at;
                            return Err(LexicalError {
                                problem: Problem::UnknownEscape { escape },
                                range: Range { start, end: start + 1 + escape.len_utf8() },
                                hint: Some("write `\\\\` for a backslash"),
                            });
                        }
                        _ => break,
                    }
                }
                character => {
                    if let Some(so_far) = &mut unescaped {
                        so_far.push(character);
                    }
                }
            }
        }
        let end = body.find(['\n', '\r']).map_or(self.text.len(), |length| start + 1 + length);
        Err(LexicalError {
            problem: Problem::UnterminatedString,
            range: Range { start, end },
            hint: Some("close the string with `\"`"),
        })
    }

    fn unexpected(&self, found: char, start: usize) -> LexicalError {
        let hint = match found {
            '|' => Some("there is no or; write one rule for each alternative"),
            '&' => Some("conditions are joined by `&&`"),
            '\'' | '\u{2018}'..='\u{201f}' => Some("strings stand in straight double quotes"),
            '/' => Some("a comment starts with `//` and ends with its line"),
            _ => None,
        };
        let range = Range { start, end: start + found.len_utf8() };
        LexicalError { problem: Problem::UnexpectedCharacter { found }, range, hint }
    }
}

/// The longest prefix of characters that `belongs` accepts.
fn prefix(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let length = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<TokenKind<'_>> {
        let mut lexer = Lexer::new(text);
        let mut kinds = Vec::new();
        loop {
            match lexer.next().unwrap().kind {
                TokenKind::End => return kinds,
                kind => kinds.push(kind),
            }
        }
    }

    #[test]
    fn tokens_need_no_white_space_and_comments_are_skipped() {
        use TokenKind::{Integer, Mark, Text, Word};
        assert_eq!(
            all("\u{feff}c1:[value>=-7]//x\n=>issue(\"//\\\"\\\\ä\");// end"),
            [
                Word("c1"),
                Mark(":"),
                Mark("["),
                Word("value"),
                Mark(">="),
                Integer("-7"),
                Mark("]"),
                Mark("=>"),
                Word("issue"),
                Mark("("),
                Text("//\"\\ä".into()),
                Mark(")"),
                Mark(";"),
            ]
        );
    }

    #[test]
    fn ranges_are_bytes() {
        let mut lexer = Lexer::new("  \"ä\" }");
        let token = lexer.next().unwrap();
        assert_eq!((token.range.start, token.range.end), (2, 6));
        let token = lexer.next().unwrap();
        assert_eq!((token.kind, token.range.start), (TokenKind::Mark("}"), 7));
    }
}
