//! The thread that writes: it numbers events, chains them and commits what has gathered at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::line::{Link, NO_LINE};
use super::{AuditUnavailable, Counters, Entry, Event};
use crate::store::audit::AuditHead;
use crate::store::{Store, StoreError};

/// Events committed at once, at most: a bound on how long the first of them waits.
const BATCH: usize = 1024;

/// Events that nobody waits for gather this long, so that a stream of them costs a few commits a second.
const GATHER: Duration = Duration::from_millis(50);

/// A file that has grown beyond this is followed by another.
const ROTATE_BYTES: u64 = 16 * 1024 * 1024;

/// Random digits of a writer's name.
const WRITER_BYTES: usize = 8;

/// The log cannot be used. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum AuditDirError {
    /// The system refused.
    #[error("the audit log `{}` cannot be used: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no random bytes for a name.
    #[error(transparent)]
    NoRandomness(#[from] crypto::random::NoRandomness),
    /// The end of the chain cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One line of the log.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    at: String,
    writer: &'a str,
    prev: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
enum CommitError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    file: File,
    /// Bytes of `file` that are whole lines on the disk.
    length: u64,
    head: AuditHead,
    /// What was found at the start and has to be said.
    found: Vec<String>,
    store: Arc<Store>,
}

impl Writer {
    /// Opens the log. The chain goes on from the end that the database names, whatever the files hold: what was
    /// changed or cut while nobody looked stays a gap that can be seen.
    pub(super) fn open(directory: &Path, store: Arc<Store>) -> Result<Self, AuditDirError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| AuditDirError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io(directory))?;
        let writer = hex::encode(crypto::random_bytes::<WRITER_BYTES>()?);
        let mut head = store.audit_head(&AuditHead { writer, seq: 0, sha256: NO_LINE.to_owned() })?;
        let files = files(directory, &head.writer).map_err(io(directory))?;
        let mut found = Vec::new();
        let path = match files.last() {
            Some((_, path)) => path.clone(),
            None => directory.join(file_name(&head.writer, head.seq.saturating_add(1))),
        };
        let mut file = options().open(&path).map_err(io(&path))?;
        let whole = set_torn_aside(&path, &mut file, &mut found).map_err(io(&path))?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(io(directory))?;
        let recorded = head.seq;
        let (damaged, unconfirmed) = follow(&files, &mut head).map_err(io(directory))?;
        if damaged {
            found.push("log damaged: it does not end as it was left".to_owned());
        }
        if unconfirmed > 0 {
            found.push(format!(
                "log longer: {unconfirmed} lines after line {recorded}, as a crash leaves them"
            ));
        }
        Ok(Self { directory: directory.to_owned(), file, length: whole, head, found, store })
    }

    /// Writes until nobody can record anything any more.
    pub(super) fn run(&mut self, queue: &Receiver<Entry>, counters: &Counters) {
        let found = std::mem::take(&mut self.found);
        let noted = |operation: String| Event { operation, outcome: "noted", ..Event::default() };
        if !found.is_empty() {
            tracing::error!(?found, "the audit log is not as it was left; run `vouchsafe audit verify`");
            let entry = |operation| Entry { event: noted(operation), committed: None };
            let _ = self.commit(&found.into_iter().map(entry).collect::<Vec<_>>());
        }
        while let Some(mut batch) = gather(queue) {
            let notes = batch.iter().filter(|entry| entry.committed.is_none()).count();
            counters.notes.fetch_sub(notes, Ordering::Relaxed);
            let lost = counters.dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let event = Event { dropped: Some(lost), ..noted("events dropped".to_owned()) };
                batch.insert(0, Entry { event, committed: None });
            }
            let outcome = self.commit(&batch).map_err(|error| {
                tracing::error!(%error, "the audit log cannot be written");
                let unheard = batch.iter().filter(|entry| entry.committed.is_none());
                // That which tells of lost ones is lost with them and counts as what it told of.
                let unheard = unheard.map(|entry| entry.event.dropped.unwrap_or(1)).sum::<u64>();
                counters.dropped.fetch_add(unheard, Ordering::Relaxed);
                AuditUnavailable
            });
            for committed in batch.into_iter().filter_map(|entry| entry.committed) {
                let _ = committed.send(outcome);
            }
        }
    }

    /// Appends all of a batch, or none of it, and then says where the chain ends.
    fn commit(&mut self, batch: &[Entry]) -> Result<(), CommitError> {
        if self.length > ROTATE_BYTES {
            let path = self.directory.join(file_name(&self.head.writer, self.head.seq.saturating_add(1)));
            self.file = options().open(path)?;
            File::open(&self.directory)?.sync_all()?;
            // No confirmed line has such a number: what a failed attempt has left is nothing.
            self.file.set_len(0)?;
            self.length = 0;
        }
        let mut head = self.head.clone();
        let mut text = Vec::new();
        let at = OffsetDateTime::now_utc().format(&Rfc3339).map_err(io::Error::other)?;
        for entry in batch {
            let seq = head.seq.saturating_add(1);
            let line =
                Line { seq, at: at.clone(), writer: &head.writer, prev: &head.sha256, event: &entry.event };
            let line = serde_json::to_vec(&line).map_err(io::Error::other)?;
            (head.seq, head.sha256) = (seq, hex::encode(crypto::sha256(&line)));
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        if let Err(error) = self.append(&text) {
            // Nothing of a batch that failed may be followed by another line.
            let _ = self.file.set_len(self.length);
            return Err(error.into());
        }
        self.length = self.length.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.head = head;
        // Should this fail, the lines stand, and the next batch confirms them with its own.
        Ok(self.store.advance_audit_head(&self.head)?)
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        // A directory that was moved away takes no more events, although the open file would.
        fs::metadata(&self.directory)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(text)?;
        self.file.sync_data()
    }
}

/// What has arrived, at least one event; none when no more can come.
fn gather(queue: &Receiver<Entry>) -> Option<Vec<Entry>> {
    let first = queue.recv().ok()?;
    let until = Instant::now().checked_add(GATHER)?;
    let mut somebody_waits = first.committed.is_some();
    let mut batch = vec![first];
    while !somebody_waits && batch.len() < BATCH {
        let Ok(next) = queue.recv_timeout(until.saturating_duration_since(Instant::now())) else { break };
        somebody_waits = next.committed.is_some();
        batch.push(next);
    }
    batch.extend(queue.try_iter().take(BATCH.saturating_sub(batch.len())));
    Some(batch)
}

/// Bytes of the file that are whole lines. What follows them, of a crash in the middle of a write, is kept beside
/// the log, for who wants to see it.
fn set_torn_aside(path: &Path, file: &mut File, found: &mut Vec<String>) -> io::Result<u64> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
    let length = u64::try_from(whole).unwrap_or(u64::MAX);
    if let Some(torn) = text.get(whole..).filter(|torn| !torn.is_empty()) {
        fs::write(path.with_extension("torn"), torn)?;
        file.set_len(length)?;
        found.push("log healed: a line torn by a crash was set aside".to_owned());
    }
    Ok(length)
}

/// Moves `head` along the lines that follow it, and counts them. The line that `head` names must be there, as it
/// was written, and nothing that does not follow; else the log was damaged.
fn follow(files: &[(u64, PathBuf)], head: &mut AuditHead) -> io::Result<(bool, u64)> {
    // From the file that has the line which the head names.
    let begin = files.iter().rposition(|(first, _)| *first <= head.seq).unwrap_or(0);
    let (mut found, mut followed) = (head.seq == 0, 0_u64);
    for (_, path) in files.get(begin..).unwrap_or_default() {
        let text = fs::read(path)?;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let sha256 = hex::encode(crypto::sha256(line));
            match Link::parse(line) {
                Ok(link) if link.seq < head.seq => {}
                Ok(link) if link.seq == head.seq && sha256 == head.sha256 => found = true,
                Ok(link) if found && link.follows(head) => {
                    (head.seq, head.sha256) = (link.seq, sha256);
                    followed = followed.saturating_add(1);
                }
                _ => return Ok((true, followed)),
            }
        }
    }
    Ok((!found, followed))
}

/// The files of a writer, in the order of their lines, with the number of their first.
pub(super) fn files(directory: &Path, writer: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files: Vec<_> = all_files(directory)?
        .into_iter()
        .filter(|(of, ..)| of == writer)
        .map(|(_, seq, path)| (seq, path))
        .collect();
    files.sort();
    Ok(files)
}

/// Writer, number of the first line, and path of every file of a log.
pub(super) fn all_files(directory: &Path) -> io::Result<Vec<(String, u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jsonl"));
        if let Some((writer, seq)) = name.and_then(|name| name.split_once('-'))
            && let Ok(seq) = seq.parse()
        {
            files.push((writer.to_owned(), seq, path));
        }
    }
    Ok(files)
}

/// Named after the number of its first line, so that names sort as lines do.
pub(super) fn file_name(writer: &str, first_seq: u64) -> String {
    format!("{writer}-{first_seq:020}.jsonl")
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600);
    options
}
