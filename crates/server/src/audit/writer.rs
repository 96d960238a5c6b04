//! The thread that writes: it numbers events, chains them and commits what has gathered at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
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

/// Torn lines kept of one file. Each is of a crash; many more would be of something else.
const MAX_TORN: u32 = 1000;

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
    /// Whether a batch that failed may have left bytes after `length`.
    left_over: bool,
    /// Bytes of `file` that are whole lines on the disk.
    length: u64,
    head: AuditHead,
    /// Where `file` is.
    path: PathBuf,
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
        let directory = directory.to_owned();
        Ok(Self { directory, file, left_over: false, length: whole, head, path, found, store })
    }

    /// Writes until nobody can record anything any more.
    pub(super) fn run(&mut self, queue: &Receiver<Entry>, counters: &Counters) {
        if !self.found.is_empty() {
            tracing::error!(found = ?self.found, "the audit log is not as it was left; run `vouchsafe audit verify`");
            self.say_found();
        }
        while let Some(mut batch) = gather(queue) {
            self.say_found();
            let notes = batch.iter().filter(|entry| entry.committed.is_none()).count();
            counters.notes.fetch_sub(notes, Ordering::Relaxed);
            let lost = counters.dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                batch.insert(0, dropped(lost));
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
        let lost = counters.dropped.swap(0, Ordering::Relaxed);
        if lost > 0
            && let Err(error) = self.commit(&[dropped(lost)])
        {
            tracing::error!(%error, lost, "events were dropped, and the audit log does not say so");
        }
    }

    /// Says in the log what was found at the start, if that was not said yet.
    fn say_found(&mut self) {
        let found: Vec<_> = self.found.iter().map(|operation| noted(operation.clone())).collect();
        if !found.is_empty() && self.commit(&found).is_ok() {
            self.found.clear();
        }
    }

    /// Appends all of a batch, or none of it, and then says where the chain ends.
    fn commit(&mut self, batch: &[Entry]) -> Result<(), CommitError> {
        if self.length > ROTATE_BYTES {
            let path = self.directory.join(file_name(&self.head.writer, self.head.seq.saturating_add(1)));
            let file = options().open(&path)?;
            // A failed attempt leaves an empty one. Lines of others stay what they are.
            if file.metadata()?.len() > 0 {
                return Err(
                    io::Error::new(io::ErrorKind::AlreadyExists, "the next file has lines already").into()
                );
            }
            File::open(&self.directory)?.sync_all()?;
            (self.file, self.path, self.length, self.left_over) = (file, path, 0, false);
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
            self.left_over = true;
            return Err(error.into());
        }
        self.length = self.length.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.head = head;
        // Should this fail, the lines stand, and the next batch confirms them with its own.
        Ok(self.store.advance_audit_head(&self.head)?)
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let (file, there) = (self.file.metadata()?, fs::metadata(&self.path)?);
        // A file that was moved away, removed or replaced takes no more events, although the open one would.
        if (file.dev(), file.ino()) != (there.dev(), there.ino()) {
            return Err(io::Error::other(
                "the file was replaced; restart the service to go on without its lines",
            ));
        }
        // Nothing of a batch that failed may be followed by another line.
        if self.left_over && file.len() > self.length {
            self.file.set_len(self.length)?;
        } else if file.len() != self.length {
            return Err(io::Error::other(
                "another program has written to the file; restart the service to go on",
            ));
        }
        self.left_over = false;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(text)?;
        self.file.sync_data()
    }
}

/// An event that the log says of itself.
fn noted(operation: String) -> Entry {
    Entry { event: Event { operation, outcome: "noted", ..Event::default() }, committed: None }
}

fn dropped(lost: u64) -> Entry {
    let mut entry = noted("events dropped".to_owned());
    entry.event.dropped = Some(lost);
    entry
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
        let aside = set_aside(path, torn)?;
        file.set_len(length)?;
        file.sync_all()?;
        let bytes = torn.len();
        found
            .push(format!("log healed: {bytes} bytes of a line torn by a crash were set aside as `{aside}`"));
    }
    Ok(length)
}

/// Keeps `torn` in a file of its own beside the log, and returns its name.
fn set_aside(path: &Path, torn: &[u8]) -> io::Result<String> {
    for number in 0..MAX_TORN {
        let extension = if number == 0 { "torn".to_owned() } else { format!("{number}.torn") };
        let aside = path.with_extension(extension);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(mut file) => {
                file.write_all(torn)?;
                file.sync_all()?;
                return Ok(aside.file_name().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
    }
    Err(io::Error::other(format!(
        "there are {MAX_TORN} torn lines of it already; move the `.torn` files away"
    )))
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

#[cfg(test)]
mod tests {
    use super::super::verify::verify;
    use super::*;
    use crate::store::FILE;
    use crate::test_support::scratch;

    /// As on a disk that is full and then has room again.
    #[test]
    fn what_a_failed_batch_has_left_is_followed_by_nothing() {
        let data_dir = scratch("audit_left_over");
        fs::create_dir_all(&data_dir).unwrap();
        let store = Arc::new(Store::open(&data_dir.join(FILE)).unwrap());
        let mut writer = Writer::open(&data_dir.join(super::super::DIRECTORY), store).unwrap();
        writer.commit(&[noted("one".to_owned())]).unwrap();
        let writable = std::mem::replace(&mut writer.file, File::open(&writer.path).unwrap());
        assert!(matches!(writer.commit(&[noted("two".to_owned())]), Err(CommitError::Io(_))));
        writer.file = writable;
        writer
            .file
            .write_all(b"{\"seq\":2,\"at\":\"half of a line that is longer than the one that follows it\"\n")
            .unwrap();
        writer.commit(&[noted("two".to_owned())]).unwrap();
        let report = verify(&data_dir, &[]).unwrap();
        assert_eq!((report.chains[0].lines, report.problems), (2, Vec::new()));
        let text = fs::read_to_string(&writer.path).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
