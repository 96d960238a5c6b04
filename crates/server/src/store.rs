//! The database: what must outlive the process and is not a key.
//!
//! One SQLite file (WAL, one writer), opened by the server and, beside it, by the commands that import
//! endorsements. What it returns is as untrusted as what comes from the network: callers verify it
//! again. Rows that belong to a provider are keyed by its opaque id (`management`); endorsements and
//! watermarks are facts about the vendor and belong to none.

pub(crate) mod audit;
pub(crate) mod management;
pub(crate) mod tpm_challenges;
pub(crate) mod tpm_machines;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use time::OffsetDateTime;

/// Name of the database in the data directory.
pub const FILE: &str = "vouchsafe.db";

/// Each entry takes the database from the version of its index to the next.
const MIGRATIONS: [&str; 6] = [
    ENDORSEMENT_TABLES,
    management::TABLES,
    audit::TABLES,
    tpm_challenges::TABLES,
    tpm_machines::TABLES,
    tpm_machines::INDEX,
];

const ENDORSEMENT_TABLES: &str = "
    CREATE TABLE endorsement (
        item         TEXT PRIMARY KEY,   -- as `endorsements::Item` writes itself
        body         BLOB NOT NULL,      -- as received
        issuer_chain BLOB NOT NULL,      -- PEM; empty where the item has none
        source       TEXT NOT NULL,      -- a URL or a path, for people
        fetched_at   INTEGER NOT NULL    -- seconds since 1970
    ) STRICT;
    CREATE TABLE watermark (
        item    TEXT PRIMARY KEY,
        number  INTEGER NOT NULL,
        seen_at INTEGER NOT NULL
    ) STRICT;
";

/// How long a write waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the database could not be used. Ours, or the operator's disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("the database `{}` cannot be used: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database was written by a newer version of this program.
    #[error(
        "the database `{}` has version {found} and this program knows {known}; use a newer program",
        path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        found: usize,
        /// Newest version known here.
        known: usize,
    },
}

/// An endorsement as received, unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEndorsement {
    /// The document or CRL.
    pub body: Vec<u8>,
    /// PEM certificates of its signer; empty where the item has none.
    pub issuer_chain: Vec<u8>,
    /// Where it came from.
    pub source: String,
    /// When.
    pub fetched_at: OffsetDateTime,
}

/// The names of the providers that the database at `path` knows, which another process may have open.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn provider_names(path: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::Database { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    let mut statement = connection.prepare("SELECT name FROM provider ORDER BY rowid").map_err(failed)?;
    let names = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect);
    names.map_err(failed)
}

/// An open database.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl Store {
    /// Opens the database at `path`, creating and migrating it as needed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Database { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
        let version = transaction.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
        let version = usize::try_from(version.map_err(failed)?).unwrap_or(usize::MAX);
        let Some(pending) = MIGRATIONS.get(version..) else {
            return Err(StoreError::TooNew {
                path: path.to_owned(),
                found: version,
                known: MIGRATIONS.len(),
            });
        };
        for migration in pending {
            transaction.execute_batch(migration).map_err(failed)?;
        }
        let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        transaction.pragma_update(None, "user_version", newest).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(Self { connection: Mutex::new(connection), path: path.to_owned() })
    }

    /// The endorsement kept under `item`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn endorsement(&self, item: &str) -> Result<Option<StoredEndorsement>, StoreError> {
        self.with(|connection| {
            connection
                .prepare_cached(
                    "SELECT body, issuer_chain, source, fetched_at FROM endorsement WHERE item = ?1",
                )?
                .query_row([item], stored)
                .optional()
        })
    }

    /// Every endorsement kept, by item.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn endorsements(&self) -> Result<Vec<(String, StoredEndorsement)>, StoreError> {
        self.with(|connection| {
            let sql = "SELECT body, issuer_chain, source, fetched_at, item FROM endorsement ORDER BY item";
            connection.prepare_cached(sql)?.query_map([], |row| Ok((row.get(4)?, stored(row)?)))?.collect()
        })
    }

    /// Keeps an endorsement in the place of an older one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save_endorsement(&self, item: &str, endorsement: &StoredEndorsement) -> Result<(), StoreError> {
        self.with(|connection| {
            connection
                .prepare_cached(
                    "INSERT INTO endorsement (item, body, issuer_chain, source, fetched_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (item) DO UPDATE SET body = ?2, issuer_chain = ?3, source = ?4, fetched_at = ?5",
                )?
                .execute(params![
                    item,
                    endorsement.body,
                    endorsement.issuer_chain,
                    endorsement.source,
                    endorsement.fetched_at.unix_timestamp()
                ])
                .map(drop)
        })
    }

    /// The highest number seen of `item`: an evaluation data number or a CRL number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn watermark(&self, item: &str) -> Result<Option<u64>, StoreError> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT number FROM watermark WHERE item = ?1")?
                .query_row([item], |row| row.get::<_, i64>(0))
                .optional()
                .map(|number| number.map(|number| u64::try_from(number).unwrap_or_default()))
        })
    }

    /// Raises the highest number seen of `item`; a lower one changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn raise_watermark(&self, item: &str, number: u64, now: OffsetDateTime) -> Result<(), StoreError> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.with(|connection| {
            connection
                .prepare_cached(
                    "INSERT INTO watermark (item, number, seen_at) VALUES (?1, ?2, ?3)
                     ON CONFLICT (item) DO UPDATE SET number = ?2, seen_at = ?3 WHERE number < ?2",
                )?
                .execute(params![item, number, now.unix_timestamp()])
                .map(drop)
        })
    }

    fn with<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        run(&connection).map_err(|source| StoreError::Database { path: self.path.clone(), source })
    }
}

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredEndorsement> {
    let seconds: i64 = row.get(3)?;
    Ok(StoredEndorsement {
        body: row.get(0)?,
        issuer_chain: row.get(1)?,
        source: row.get(2)?,
        fetched_at: OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH),
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::test_support::scratch;

    fn path(name: &str) -> PathBuf {
        let scratch = scratch(name);
        std::fs::create_dir_all(&scratch).unwrap();
        scratch.join(FILE)
    }

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    #[test]
    fn what_is_saved_is_there_after_a_restart() {
        let path = path("store_restart");
        let saved = StoredEndorsement {
            body: b"body".to_vec(),
            issuer_chain: Vec::new(),
            source: "https://pcs.example".to_owned(),
            fetched_at: NOW,
        };
        {
            let store = Store::open(&path).unwrap();
            store
                .save_endorsement("a", &StoredEndorsement { body: b"older".to_vec(), ..saved.clone() })
                .unwrap();
            store.save_endorsement("a", &saved).unwrap();
            store.raise_watermark("a", 17, NOW).unwrap();
            store.raise_watermark("a", 16, NOW).unwrap();
        }
        let store = Store::open(&path).unwrap();
        assert_eq!(store.endorsement("a").unwrap(), Some(saved.clone()));
        assert_eq!(store.endorsement("b").unwrap(), None);
        assert_eq!(store.endorsements().unwrap(), [("a".to_owned(), saved)]);
        assert_eq!(store.watermark("a").unwrap(), Some(17));
        assert_eq!(store.watermark("b").unwrap(), None);
    }

    #[test]
    fn a_newer_or_damaged_database_is_refused() {
        let path = path("store_newer");
        drop(Store::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::TooNew { found: 99, known: 6, .. })));
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Database { .. })));
    }
}
