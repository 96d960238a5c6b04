//! Challenges that were answered: each can be answered once.

use rusqlite::params;
use time::OffsetDateTime;

use super::{Store, StoreError};

/// The migration that makes the table.
pub(super) const TABLES: &str = "
    CREATE TABLE tpm_challenge (
        provider_id TEXT NOT NULL,
        challenge   BLOB NOT NULL,
        expires_at  INTEGER NOT NULL,   -- seconds since 1970; no answer is taken from then on
        PRIMARY KEY (provider_id, challenge)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tpm_challenge_expiry ON tpm_challenge (expires_at);
";

impl Store {
    /// Marks a challenge as answered; `false` if it was already. Forgets those that have expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn use_challenge(
        &self,
        provider_id: &str,
        challenge: &[u8],
        expires_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            transaction
                .prepare_cached("DELETE FROM tpm_challenge WHERE expires_at <= ?1")?
                .execute([now.unix_timestamp()])?;
            let inserted = transaction
                .prepare_cached(
                    "INSERT INTO tpm_challenge (provider_id, challenge, expires_at) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![provider_id, challenge, expires_at.unix_timestamp()])?;
            transaction.commit()?;
            Ok(inserted == 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::test_support::scratch;

    #[test]
    fn a_challenge_is_used_once_by_each_provider_also_after_a_restart() {
        let directory = scratch("challenges");
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(crate::store::FILE);
        let now = datetime!(2026-01-01 0:00 UTC);
        let end = now + Duration::minutes(10);
        {
            let store = Store::open(&path).unwrap();
            assert!(store.use_challenge("p1", b"c", end, now).unwrap());
            assert!(!store.use_challenge("p1", b"c", end, now).unwrap());
            assert!(store.use_challenge("p1", b"d", end, now).unwrap());
            assert!(store.use_challenge("p2", b"c", end, now).unwrap());
        }
        let store = Store::open(&path).unwrap();
        assert!(!store.use_challenge("p1", b"c", end, end - Duration::SECOND).unwrap());
        // Its context has expired by then: what is forgotten cannot be answered.
        assert!(store.use_challenge("p1", b"c", end, end).unwrap());
    }
}
