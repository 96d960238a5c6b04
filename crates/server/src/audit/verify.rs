//! Checks a log: every line follows the one before it, and the head is where the log ends.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::DIRECTORY;
use super::writer::{HEAD_FILE, Head, NO_LINE, files};

/// Longest line; an event has about a KiB.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// What a log says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Lines that follow each other.
    pub lines: u64,
    /// SHA-256 of the last of them, in hexadecimal: note it elsewhere to notice a log that was written anew.
    pub head: String,
    /// The first thing wrong; nothing after it was looked at.
    pub problem: Option<Problem>,
}

/// What is wrong with a log, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1; 0 if it is the file as a whole.
    pub line: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// Checks the log of the data directory at `data_dir`, and that it goes through `expected`, a number and
/// the SHA-256 of the line of that number, noted earlier.
///
/// # Errors
/// The system's, for a directory without log or a file that cannot be read.
pub fn verify(data_dir: &Path, expected: Option<(u64, &str)>) -> io::Result<Report> {
    let directory = data_dir.join(DIRECTORY);
    let mut chain = Chain { seq: 0, sha256: NO_LINE.to_owned(), noted: None, expected };
    let head_path = directory.join(HEAD_FILE);
    let files = files(&directory)?;
    let head = match fs::read(&head_path) {
        Ok(text) => serde_json::from_slice::<Head>(&text).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    chain.noted = head.clone();
    let problem = chain.files(&files)?;
    let at_end = |what| Problem { file: head_path.clone(), line: 0, what };
    let problem = problem.or_else(|| match &head {
        None if chain.seq > 0 => Some(at_end("the head is missing or damaged")),
        Some(head) if head.seq > chain.seq => Some(at_end("lines are missing at the end of the log")),
        _ => None,
    });
    let problem = problem.or_else(|| {
        expected
            .filter(|(seq, _)| *seq > chain.seq)
            .map(|_| at_end("the log ends before the head that was noted"))
    });
    Ok(Report { lines: chain.seq, head: chain.sha256, problem })
}

struct Chain<'a> {
    seq: u64,
    sha256: String,
    noted: Option<Head>,
    expected: Option<(u64, &'a str)>,
}

impl Chain<'_> {
    fn files(&mut self, files: &[PathBuf]) -> io::Result<Option<Problem>> {
        for file in files {
            let mut reader = BufReader::new(File::open(file)?);
            let mut number = 0_u64;
            loop {
                let mut line = Vec::new();
                reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
                if line.is_empty() {
                    break;
                }
                number = number.saturating_add(1);
                if let Err(what) = self.follow(&line) {
                    return Ok(Some(Problem { file: file.clone(), line: number, what }));
                }
            }
        }
        Ok(None)
    }

    fn follow(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let line = line.strip_suffix(b"\n").ok_or("the line does not end")?;
        let fields = token::json::parse_object(line).map_err(|_| "the line is no event")?;
        if fields.get("seq").and_then(Value::as_u64) != Some(self.seq.saturating_add(1)) {
            return Err("the line has not the number that follows: lines were taken out, put in or moved");
        }
        if fields.get("prev").and_then(Value::as_str) != Some(&self.sha256) {
            return Err("the line before this one is not the one that was written");
        }
        self.seq = self.seq.saturating_add(1);
        self.sha256 = hex::encode(crypto::sha256(line));
        if self.noted.as_ref().is_some_and(|head| head.seq == self.seq && head.sha256 != self.sha256) {
            return Err("the line is not the one that the head names");
        }
        if self.expected.is_some_and(|(seq, sha256)| seq == self.seq && sha256 != self.sha256) {
            return Err("the line is not the one that was noted: the log was written anew");
        }
        Ok(())
    }
}
