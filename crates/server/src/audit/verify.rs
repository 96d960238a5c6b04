//! Checks a log: every line follows the one before it, and each writer's lines end where the database says.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::DIRECTORY;
use super::line::{Link, NO_LINE};
use super::writer::{all_files, files};
use crate::store::audit::{AuditHead, audit_heads};
use crate::store::{self, StoreError};

/// Longest line; an event has about a KiB.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// Problems that are told; what follows the first ones adds nothing.
const MAX_PROBLEMS: usize = 64;

/// Why a log cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is a directory for a log, and no service has written to it.
    #[error("`{}` has no log: no service has begun one", directory.display())]
    Empty {
        /// The directory.
        directory: PathBuf,
    },
    /// A file or the directory cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database, which has the ends of the chains, cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a log says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each writer's chain.
    pub chains: Vec<Chain>,
    /// What is wrong, in the order of the lines; the log is whole if there is nothing.
    pub problems: Vec<Problem>,
}

/// The lines of one writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// Its name, in every line and in the names of its files.
    pub writer: String,
    /// Number of the last line that is there.
    pub lines: u64,
    /// SHA-256 of that line, in hexadecimal: note it elsewhere to notice a log that was written anew.
    pub sha256: String,
    /// Lines that the database does not confirm yet: a few at most while a service runs or after a crash.
    pub unconfirmed: u64,
}

/// What is wrong with a log, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, or the directory.
    pub file: PathBuf,
    /// The line in it, from 1; 0 if it is the file as a whole.
    pub line: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// A head noted earlier: what `vouchsafe audit verify` printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotedHead {
    /// The writer.
    pub writer: String,
    /// Number of a line.
    pub seq: u64,
    /// SHA-256 of that line, in lower-case hexadecimal.
    pub sha256: String,
}

/// Checks the log of the data directory at `data_dir`, and that it goes through the heads of `noted`. A service
/// may be writing to it meanwhile.
///
/// # Errors
/// [`VerifyError`], for a directory without log or a file that cannot be read.
pub fn verify(data_dir: &Path, noted: &[NotedHead]) -> Result<Report, VerifyError> {
    let directory = data_dir.join(DIRECTORY);
    let unreadable = |source| VerifyError::Io { path: directory.clone(), source };
    std::fs::metadata(&directory).map_err(unreadable)?;
    // The ends before the lines: what is written meanwhile comes after them.
    let heads = audit_heads(&data_dir.join(store::FILE))?;
    let mut report = Report { chains: Vec::new(), problems: Vec::new() };
    for head in &heads {
        let files = files(&directory, &head.writer).map_err(unreadable)?;
        let mut walk = Walk::new(head, noted, &mut report.problems);
        for (index, (first, path)) in files.iter().enumerate() {
            let is_last = index.saturating_add(1) == files.len();
            walk.file(*first, path, is_last)
                .map_err(|source| VerifyError::Io { path: path.clone(), source })?;
        }
        let last = files.last().map_or(&directory, |(_, path)| path);
        let chain = walk.end(last);
        report.chains.push(chain);
    }
    let known = |writer: &str| heads.iter().any(|head| head.writer == writer);
    let mut foreign = all_files(&directory).map_err(unreadable)?;
    foreign.retain(|(writer, ..)| !known(writer));
    foreign.sort();
    if heads.is_empty() && foreign.is_empty() {
        return Err(VerifyError::Empty { directory });
    }
    for (_, _, path) in foreign {
        problem(&mut report.problems, path, 0, "the database knows no such writer");
    }
    if !noted.iter().all(|noted| known(&noted.writer)) {
        let what = "the writer that was noted is unknown: the log is another one";
        problem(&mut report.problems, directory, 0, what);
    }
    Ok(report)
}

fn problem(problems: &mut Vec<Problem>, file: PathBuf, line: u64, what: &'static str) {
    if problems.len() < MAX_PROBLEMS {
        problems.push(Problem { file, line, what });
    }
}

/// A walk along the lines of one writer.
struct Walk<'a> {
    at: AuditHead,
    head: &'a AuditHead,
    noted: Vec<&'a NotedHead>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Walk<'a> {
    fn new(head: &'a AuditHead, noted: &'a [NotedHead], problems: &'a mut Vec<Problem>) -> Self {
        let at = AuditHead { writer: head.writer.clone(), seq: 0, sha256: NO_LINE.to_owned() };
        let noted = noted.iter().filter(|noted| noted.writer == head.writer).collect();
        Self { at, head, noted, problems }
    }

    fn file(&mut self, first: u64, path: &Path, is_last: bool) -> io::Result<()> {
        let mut reader = BufReader::new(File::open(path)?);
        if Some(first) != self.at.seq.checked_add(1) {
            self.report(
                path,
                0,
                "the file does not begin where the one before ended: lines are missing between",
            );
            // The jump is told; lines are compared with their own file's begin from here.
            self.at.seq = first.saturating_sub(1);
            self.at.sha256.clear();
        }
        for number in 1_u64.. {
            let mut line = Vec::new();
            reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                break;
            }
            let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
            let Some(line) = line.strip_suffix(b"\n") else {
                // A service is writing it, or a crash has torn it. Nobody was told that it is recorded.
                if length == MAX_LINE_BYTES || self.at.seq < self.head.seq || !is_last {
                    self.report(path, number, "the line does not end");
                }
                break;
            };
            self.line(path, number, line);
        }
        Ok(())
    }

    fn line(&mut self, path: &Path, number: u64, line: &[u8]) {
        let sha256 = hex::encode(crypto::sha256(line));
        let link = match Link::parse(line) {
            Ok(link) => link,
            Err(what) => {
                self.report(path, number, what);
                return;
            }
        };
        if link.writer != self.at.writer {
            self.report(path, number, "the line is another writer's");
        } else if Some(link.seq) != self.at.seq.checked_add(1) {
            self.report(
                path,
                number,
                "the line has not the number that follows: lines were taken out, put in or moved",
            );
        } else if link.prev != self.at.sha256 && !self.at.sha256.is_empty() {
            self.report(path, number, "the line before this one is not the one that was written");
        }
        // On from this line, so that one gap is one problem.
        (self.at.seq, self.at.sha256) = (link.seq, sha256);
        if self.at.seq == self.head.seq && self.at.sha256 != self.head.sha256 {
            self.report(path, number, "the line is not the one that the database names as the last");
        }
        if self.noted.iter().any(|noted| noted.seq == self.at.seq && noted.sha256 != self.at.sha256) {
            self.report(path, number, "the line is not the one that was noted: the log was written anew");
        }
    }

    fn end(mut self, last: &Path) -> Chain {
        if self.at.seq < self.head.seq {
            self.report(last, 0, "lines are missing at the end of the log");
        }
        if self.noted.iter().any(|noted| noted.seq > self.at.seq) {
            self.report(last, 0, "the log ends before the head that was noted");
        }
        let unconfirmed = self.at.seq.saturating_sub(self.head.seq);
        Chain { writer: self.at.writer, lines: self.at.seq, sha256: self.at.sha256, unconfirmed }
    }

    fn report(&mut self, file: &Path, line: u64, what: &'static str) {
        problem(self.problems, file.to_owned(), line, what);
    }
}
