//! The audit log: one event for every management operation and every attestation verdict, append-only and
//! tamper-evident.
//!
//! Events are lines of JSON in the directory `audit` of the data directory. Each holds its writer, its number
//! and the SHA-256 of the line before it, so that a line that is changed, moved or taken out breaks the chain.
//! The database says how far the chain goes, so that lines cut off its end are missed, too, and the chain goes
//! on from there at the next start. Whoever owns the whole data directory can write a new log: to notice that,
//! note the head elsewhere and compare.
//!
//! One thread writes. Events that arrive together are committed together: one write, one `fdatasync`, one
//! transaction.

mod line;
pub mod verify;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use serde::Serialize;
use tokio::sync::oneshot;

pub use writer::AuditDirError;

use crate::config::AuditMode;
use crate::store::Store;
use writer::Writer;

/// Directory of the log in the data directory.
pub const DIRECTORY: &str = "audit";

/// Events that may wait for the disk. At a KiB each this bounds memory at some 8 MiB.
const QUEUE: usize = 8192;

/// Events among them that nobody waits for: a flood of those does not keep the others out.
const NOTES: usize = QUEUE / 2;

/// What happened. It names evidence and policies by their digests and holds none of them, and no token.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Event {
    /// Who called: subject and issuer of the access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<String>,
    /// What the issuer calls the caller, which identifies nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_version: Option<&'static str>,
    /// The type that the request is about, from its path or, in 2018, from `tee`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attestation_type: Option<&'static str>,
    /// Thumbprint of the certificate that was added or removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<String>,
    /// Whether the policy was the request's own, and the token is not signed.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) draft: bool,
    /// Events that were dropped before this one, because the disk was too slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dropped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<&'static str>,
    /// SHA-256 of the evidence as sent, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) evidence_sha256: Option<String>,
    /// Id of the check that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed_check: Option<&'static str>,
    /// The machine with a TPM that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) machine: Option<String>,
    /// Method and path, such as `PUT /policies/sgxenclave`, or what the log did itself.
    pub(crate) operation: String,
    /// `begun` before a change is made, then `succeeded`, `refused`, `failed`, or `abandoned` by its caller.
    pub(crate) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy_hash: Option<String>,
    /// Version of the policy that a change put in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy_version: Option<u64>,
    /// Opaque id of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
}

/// The log cannot be written. The operator must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub(crate) struct AuditUnavailable;

#[derive(Debug)]
struct Entry {
    committed: Option<oneshot::Sender<Result<(), AuditUnavailable>>>,
    event: Event,
}

/// What the log's thread and its users count together.
#[derive(Debug, Default)]
struct Counters {
    /// Events that were dropped, and not told of yet.
    dropped: AtomicU64,
    /// Events in the queue that nobody waits for.
    notes: AtomicUsize,
}

/// The way to the log of one data directory.
#[derive(Debug)]
pub(crate) struct AuditLog {
    attestation: AuditMode,
    counters: Arc<Counters>,
    /// None when the log is closed.
    entries: RwLock<Option<SyncSender<Entry>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl AuditLog {
    /// Opens the log in `data_dir`, sets a line aside that a crash left torn, and goes on with the chain whose end
    /// is in `store`.
    ///
    /// # Errors
    /// [`AuditDirError`].
    pub(crate) fn open(
        data_dir: &Path,
        attestation: AuditMode,
        store: Arc<Store>,
    ) -> Result<Self, AuditDirError> {
        let directory = data_dir.join(DIRECTORY);
        let mut writer = Writer::open(&directory, store)?;
        let (entries, queue) = sync_channel(QUEUE);
        let counters = Arc::<Counters>::default();
        let counted = Arc::clone(&counters);
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&queue, &counted))
            .map_err(|source| AuditDirError::Io { path: directory, source })?;
        let (entries, thread) = (RwLock::new(Some(entries)), Mutex::new(Some(thread)));
        Ok(Self { attestation, counters, entries, thread })
    }

    /// Records an event, and returns when it is on the disk.
    ///
    /// # Errors
    /// [`AuditUnavailable`]; what the event speaks of must then not be done, or not be answered.
    pub(crate) async fn record(&self, event: Event) -> Result<(), AuditUnavailable> {
        let (committed, wait) = oneshot::channel();
        if !self.send(Entry { committed: Some(committed), event }) {
            return Err(AuditUnavailable);
        }
        wait.await.unwrap_or(Err(AuditUnavailable))
    }

    /// Records an event if the disk keeps up; what is dropped is counted in the next event that is not.
    pub(crate) fn note(&self, event: Event) {
        let waiting = self.counters.notes.fetch_add(1, Ordering::Relaxed);
        if waiting >= NOTES || !self.send(Entry { committed: None, event }) {
            self.counters.notes.fetch_sub(1, Ordering::Relaxed);
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send(&self, entry: Entry) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.as_ref().is_some_and(|entries| entries.try_send(entry).is_ok())
    }

    /// Writes what was recorded, and nothing that comes later. It blocks on the disk.
    pub(crate) fn close(&self) {
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// Records the verdict of an attestation, as the configuration asks.
    ///
    /// # Errors
    /// [`AuditUnavailable`] if the configuration requires the record and it cannot be made.
    pub(crate) async fn attestation(&self, event: Event) -> Result<(), AuditUnavailable> {
        match self.attestation {
            AuditMode::BestEffort => self.note(event),
            AuditMode::Off => {}
            AuditMode::Required => return self.record(event).await,
        }
        Ok(())
    }

    /// Records an attestation that gave no answer, unless that is off.
    pub(crate) fn note_attestation(&self, event: Event) {
        if self.attestation != AuditMode::Off {
            self.note(event);
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Drop for AuditLog {
    /// Everything recorded goes to the disk before the process ends.
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
