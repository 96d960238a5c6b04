//! The thread that writes: it numbers events, chains them and commits what has gathered at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{AuditUnavailable, Entry, Event};

/// Events committed at once, at most: a bound on how long the first of them waits.
const BATCH: usize = 1024;

/// A file that has grown beyond this is followed by another.
const ROTATE_BYTES: u64 = 16 * 1024 * 1024;

/// Where the chain ends.
pub(super) const HEAD_FILE: &str = "head.json";

/// What the first line names as the one before it.
pub(super) const NO_LINE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The log's directory cannot be used. The operator must act.
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
    /// The last line is none of a log.
    #[error(
        "the last line of the audit log `{}` is damaged; run `vouchsafe audit verify`, and move the directory \
         away to begin a new log",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// One line of the log.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    at: String,
    prev: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// The chain's end, in `head.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) seq: u64,
    /// SHA-256 of the line of that number, in hexadecimal.
    pub(super) sha256: String,
}

#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    file: File,
    /// Bytes of `file` that are whole lines on the disk.
    length: u64,
    head: Head,
    /// What was found at the start and has to be said.
    found: Option<&'static str>,
}

impl Writer {
    /// Opens the log, and finds the end of its chain.
    pub(super) fn open(directory: &Path) -> Result<Self, AuditDirError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| AuditDirError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io(directory))?;
        let files = files(directory).map_err(io(directory))?;
        let path = files.last().cloned().unwrap_or_else(|| directory.join(file_name(1)));
        let mut file = options().open(&path).map_err(io(&path))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io(&path))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
        let (lines, torn) = text.split_at_checked(whole).unwrap_or((&text, &[]));
        let mut found = None;
        if !torn.is_empty() {
            // A crash in the middle of a write. The bytes are kept beside the log, for who wants to see them.
            let kept = path.with_extension("torn");
            fs::write(&kept, torn).map_err(io(&kept))?;
            file.set_len(u64::try_from(whole).unwrap_or(u64::MAX)).map_err(io(&path))?;
            found = Some("log healed: a line torn by a crash was set aside");
        }
        let last = lines.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
        let head = match last {
            Some(line) => {
                let seq = seq_of(line).ok_or_else(|| AuditDirError::Damaged { path: path.clone() })?;
                Head { seq, sha256: hex::encode(crypto::sha256(line)) }
            }
            None => Head { seq: first_seq(&path).saturating_sub(1), sha256: NO_LINE.to_owned() },
        };
        let noted = fs::read(directory.join(HEAD_FILE)).ok();
        let noted = noted.and_then(|text| serde_json::from_slice::<Head>(&text).ok());
        if noted.is_some_and(|noted| noted.seq > head.seq) {
            tracing::error!("lines are missing at the end of the audit log; run `vouchsafe audit verify`");
            found = Some("log cut: lines are missing before this one");
        }
        let length = u64::try_from(whole).unwrap_or(u64::MAX);
        Ok(Self { directory: directory.to_owned(), file, length, head, found })
    }

    /// Writes until nobody can record anything any more.
    pub(super) fn run(&mut self, queue: &Receiver<Entry>, dropped: &AtomicU64) {
        if let Some(found) = self.found.take() {
            let event = Event { operation: found.to_owned(), outcome: "noted", ..Event::default() };
            let _ = self.commit(&[Entry { event, committed: None }]);
        }
        while let Ok(first) = queue.recv() {
            let mut batch = vec![first];
            batch.extend(queue.try_iter().take(BATCH));
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let event = Event {
                    dropped: Some(lost),
                    operation: "events dropped".to_owned(),
                    outcome: "noted",
                    ..Event::default()
                };
                batch.insert(0, Entry { event, committed: None });
            }
            let outcome = self.commit(&batch).map_err(|error| {
                tracing::error!(%error, "the audit log cannot be written");
                dropped.fetch_add(lost, Ordering::Relaxed);
                let unheard = batch.iter().filter(|entry| entry.committed.is_none()).count();
                dropped.fetch_add(u64::try_from(unheard).unwrap_or(u64::MAX), Ordering::Relaxed);
                AuditUnavailable
            });
            for committed in batch.into_iter().filter_map(|entry| entry.committed) {
                let _ = committed.send(outcome);
            }
        }
    }

    /// Appends all of a batch, or none of it.
    fn commit(&mut self, batch: &[Entry]) -> io::Result<()> {
        if self.length > ROTATE_BYTES {
            let path = self.directory.join(file_name(self.head.seq.saturating_add(1)));
            self.file = options().open(path)?;
            File::open(&self.directory)?.sync_all()?;
            self.length = 0;
        }
        let mut head = self.head.clone();
        let mut text = Vec::new();
        let at = OffsetDateTime::now_utc().format(&Rfc3339).map_err(io::Error::other)?;
        for entry in batch {
            let seq = head.seq.saturating_add(1);
            let line = Line { seq, at: at.clone(), prev: &head.sha256, event: &entry.event };
            let line = serde_json::to_vec(&line).map_err(io::Error::other)?;
            head = Head { seq, sha256: hex::encode(crypto::sha256(&line)) };
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        let appended = self.append(&text);
        if appended.is_err() {
            // Nothing of a batch that failed may be followed by another line.
            let _ = self.file.set_len(self.length);
            return appended;
        }
        self.length = self.length.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.head = head;
        self.note_head()
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        // A directory that was moved away takes no more events, although the open file would.
        fs::metadata(&self.directory)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(text)?;
        self.file.sync_data()
    }

    /// Says where the chain ends. The lines are on the disk before, so the head is never ahead of them.
    fn note_head(&self) -> io::Result<()> {
        let new = self.directory.join("head.json.new");
        fs::write(&new, serde_json::to_vec(&self.head).map_err(io::Error::other)?)?;
        fs::rename(&new, self.directory.join(HEAD_FILE))
    }
}

/// The files of a log, in the order of their lines.
pub(super) fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Named after the number of its first line, so that names sort as lines do.
fn file_name(first_seq: u64) -> String {
    format!("{first_seq:020}.jsonl")
}

fn first_seq(path: &Path) -> u64 {
    path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).unwrap_or(1)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600);
    options
}

/// The number of a line.
fn seq_of(line: &[u8]) -> Option<u64> {
    token::json::parse_object(line).ok()?.get("seq")?.as_u64()
}
