//! How far the audit log goes: the end of the chain of each of its writers.
//!
//! The lines are files beside the database. The end stands here so that a log whose end was cut off, or that
//! was removed or replaced as a whole, does not pass for a complete one.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::{BUSY_TIMEOUT, Store, StoreError};

/// The migration that makes the table.
pub(super) const TABLES: &str = "
    CREATE TABLE audit_head (
        writer TEXT PRIMARY KEY,    -- random, never used again
        seq    INTEGER NOT NULL,    -- number of the last line; 0 before the first
        sha256 TEXT NOT NULL        -- of that line, in hexadecimal; zeros before the first
    ) STRICT;
    CREATE TRIGGER audit_head_kept BEFORE DELETE ON audit_head
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_head_advances BEFORE UPDATE ON audit_head
        WHEN NEW.writer <> OLD.writer OR NEW.seq <= OLD.seq
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
";

/// The end of a writer's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditHead {
    pub(crate) writer: String,
    pub(crate) seq: u64,
    /// SHA-256 of the line of that number, in hexadecimal.
    pub(crate) sha256: String,
}

impl Store {
    /// The end of this database's chain, which is `new` if none was begun.
    pub(crate) fn audit_head(&self, new: &AuditHead) -> Result<AuditHead, StoreError> {
        self.with(|connection| {
            let sql = "SELECT writer, seq, sha256 FROM audit_head ORDER BY rowid LIMIT 1";
            if let Some(head) = connection.prepare_cached(sql)?.query_row([], audit_head).optional()? {
                return Ok(head);
            }
            connection.execute(
                "INSERT INTO audit_head (writer, seq, sha256) VALUES (?1, ?2, ?3)",
                params![new.writer, signed(new.seq), new.sha256],
            )?;
            Ok(new.clone())
        })
    }

    /// Moves the end of a chain forward; it is on the disk when this returns.
    pub(crate) fn advance_audit_head(&self, head: &AuditHead) -> Result<(), StoreError> {
        self.with(|connection| {
            let moved = connection
                .prepare_cached("UPDATE audit_head SET seq = ?2, sha256 = ?3 WHERE writer = ?1")?
                .execute(params![head.writer, signed(head.seq), head.sha256])?;
            // Another database has been put in the place of the one that the chain was begun in.
            if moved == 1 { Ok(()) } else { Err(rusqlite::Error::QueryReturnedNoRows) }
        })
    }
}

/// The ends of all chains in the database at `path`, which is not changed and may be in use.
pub(crate) fn audit_heads(path: &Path) -> Result<Vec<AuditHead>, StoreError> {
    let read = || -> rusqlite::Result<Vec<AuditHead>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let sql = "SELECT writer, seq, sha256 FROM audit_head ORDER BY rowid";
        connection.prepare(sql)?.query_map([], audit_head)?.collect()
    };
    read().map_err(|source| StoreError::Database { path: path.to_owned(), source })
}

fn audit_head(row: &Row<'_>) -> rusqlite::Result<AuditHead> {
    let seq: i64 = row.get(1)?;
    Ok(AuditHead { writer: row.get(0)?, seq: u64::try_from(seq).unwrap_or_default(), sha256: row.get(2)? })
}

fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::FILE;
    use super::*;
    use crate::test_support::scratch;

    #[test]
    fn a_head_moves_forward_only() {
        let directory = scratch("store_audit");
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(FILE);
        let head = |writer: &str, seq, sha256: &str| AuditHead {
            writer: writer.to_owned(),
            seq,
            sha256: sha256.to_owned(),
        };
        {
            let store = Store::open(&path).unwrap();
            assert_eq!(store.audit_head(&head("a", 0, "0")).unwrap(), head("a", 0, "0"));
            store.advance_audit_head(&head("a", 2, "2")).unwrap();
            assert_eq!(audit_heads(&path).unwrap(), [head("a", 2, "2")], "while it is in use");
        }
        let store = Store::open(&path).unwrap();
        assert_eq!(store.audit_head(&head("b", 0, "0")).unwrap(), head("a", 2, "2"));
        for refused in [head("a", 2, "3"), head("a", 1, "1"), head("b", 3, "3")] {
            assert!(matches!(store.advance_audit_head(&refused), Err(StoreError::Database { .. })));
        }
        let raw = Connection::open(&path).unwrap();
        assert!(raw.execute("DELETE FROM audit_head", []).is_err());
        assert!(audit_heads(&directory.join("none.db")).is_err());
    }
}
