//! Everything the program prints. The rules:
//!
//! - results go to standard output, everything else (errors, hints, progress) to standard error;
//! - output is for people unless `--json` is given; then it is exactly one JSON document;
//! - a reader that went away (`| head`) is not an error and does not change the exit code;
//! - text that came from outside reaches a terminal without its control characters. JSON escapes them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Prints one line of a result.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    written(write_line(&mut io::stdout().lock(), text))
}

/// Prints a text that is the result itself: exactly, unless a terminal shows it.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        return written(write_line(&mut out, printable(text).trim_end_matches('\n')));
    }
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Prints one JSON document, indented.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::failed(format!("the result cannot be written as JSON: {error}")))?;
    line(&text)
}

/// Tells the person something that is not part of the result.
pub(crate) fn note(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = write_line(&mut io::stderr().lock(), text);
}

/// Prints a failure and its hint.
pub(crate) fn failure(failure: &Failure) {
    note(&format!("error: {}", printable(&failure.message)));
    if let Some(hint) = &failure.hint {
        note(&format!("hint: {}", printable(hint)));
    }
}

/// `text` with control and direction-changing characters replaced by `\u{..}`; line ends stay.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || !is_deceptive(character) {
            out.push(character);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        }
    }
    out
}

/// A two-column table of names and values, as the commands print facts.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<(String, String)>,
}

impl Table {
    /// Adds a fact.
    pub(crate) fn row(&mut self, name: impl Into<String>, value: impl ToString) -> &mut Self {
        self.rows.push((name.into(), value.to_string()));
        self
    }

    /// Prints it, indented by two spaces.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in &self.rows {
            let row = format!("  {:<width$}  {}", printable(name), printable(value));
            line(row.trim_end())?;
        }
        Ok(())
    }
}

fn write_line(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.write_all(b"\n")?;
    to.flush()
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Control characters, and the bidirectional ones that make text read otherwise than it is (Unicode UAX #9).
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\r\nc\u{202e}d\u{e9}"), "a\\u{1b}[31mb\\u{d}\nc\\u{202e}d\u{e9}");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        assert!(written(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(written(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
