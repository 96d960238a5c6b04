//! Rows of policy management: providers, and the append-only histories of their policies and signers.
//!
//! The last row of a history is what is in force. Nothing is ever changed or removed (triggers refuse it),
//! so history and rollback need no tables of their own, and a reader sees the state before a write or
//! after it, also when the process is killed in between.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use time::OffsetDateTime;

use super::{Store, StoreError};

/// The migration that makes these tables.
pub(super) const TABLES: &str = "
    CREATE TABLE provider (
        id          TEXT PRIMARY KEY,       -- 32 hex digits, random, never used again
        name        TEXT NOT NULL UNIQUE,   -- an alias
        trust_model TEXT NOT NULL,          -- aad, isolated or shared; chosen once
        created_at  INTEGER NOT NULL        -- seconds since 1970
    ) STRICT;
    CREATE TABLE policy_version (
        provider_id      TEXT NOT NULL REFERENCES provider (id),
        attestation_type TEXT NOT NULL,
        version          INTEGER NOT NULL,  -- 1, 2, ... without gaps
        action           TEXT NOT NULL CHECK (action IN ('set', 'reset', 'rollback')),
        jws              TEXT NOT NULL,     -- as sent, byte for byte
        text             TEXT,              -- the policy in it; null where the default is in force again
        policy_hash      TEXT,              -- claim x-ms-policy-hash
        token_hash       TEXT NOT NULL,     -- claim x-ms-policy-token-hash
        signer           TEXT,              -- JSON array of base64 DER certificates, leaf first; null: unsigned
        restored         INTEGER,           -- the version that a rollback brought back
        actor            TEXT NOT NULL,
        at               INTEGER NOT NULL,
        PRIMARY KEY (provider_id, attestation_type, version)
    ) STRICT;
    CREATE TABLE policy_signer_change (
        provider_id TEXT NOT NULL REFERENCES provider (id),
        sequence    INTEGER NOT NULL,       -- 1, 2, ... without gaps
        action      TEXT NOT NULL CHECK (action IN ('add', 'remove')),
        thumbprint  TEXT NOT NULL,          -- for people: upper-case hex of SHA-1
        chain       TEXT NOT NULL,          -- JSON array of base64 DER certificates, leaf first
        actor       TEXT NOT NULL,
        at          INTEGER NOT NULL,
        PRIMARY KEY (provider_id, sequence)
    ) STRICT;
    CREATE TRIGGER policy_version_kept BEFORE DELETE ON policy_version
        BEGIN SELECT RAISE(ABORT, 'the history of policies is append-only'); END;
    CREATE TRIGGER policy_version_unchanged BEFORE UPDATE ON policy_version
        BEGIN SELECT RAISE(ABORT, 'the history of policies is append-only'); END;
    CREATE TRIGGER policy_signer_change_kept BEFORE DELETE ON policy_signer_change
        BEGIN SELECT RAISE(ABORT, 'the history of signers is append-only'); END;
    CREATE TRIGGER policy_signer_change_unchanged BEFORE UPDATE ON policy_signer_change
        BEGIN SELECT RAISE(ABORT, 'the history of signers is append-only'); END;
";

/// A provider's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredProvider {
    pub(crate) id: String,
    pub(crate) trust_model: String,
}

/// What a row of the policy history did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PolicyAction {
    Reset,
    Rollback,
    Set,
}

/// A change of a policy, about to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyChange {
    pub(crate) action: PolicyAction,
    pub(crate) actor: String,
    pub(crate) at: OffsetDateTime,
    pub(crate) jws: String,
    pub(crate) policy_hash: Option<String>,
    pub(crate) restored: Option<u64>,
    /// DER, leaf first; none if unsigned.
    pub(crate) signer: Option<Vec<Vec<u8>>>,
    /// The policy text; none after a reset.
    pub(crate) text: Option<String>,
    pub(crate) token_hash: String,
}

/// A change of a policy, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyVersion {
    pub(crate) change: PolicyChange,
    pub(crate) version: u64,
}

/// What a row of the signers' history did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignerAction {
    Add,
    Remove,
}

/// A change of the policy-management certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignerChange {
    pub(crate) action: SignerAction,
    pub(crate) actor: String,
    pub(crate) at: OffsetDateTime,
    /// DER, leaf first.
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) thumbprint: String,
}

impl Store {
    /// The provider called `name`, made with `new_id` and `trust_model` if there is none.
    pub(crate) fn provider(
        &self,
        name: &str,
        new_id: &str,
        trust_model: &str,
        now: OffsetDateTime,
    ) -> Result<StoredProvider, StoreError> {
        self.transact(|transaction| {
            transaction.execute(
                "INSERT INTO provider (id, name, trust_model, created_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO NOTHING",
                params![new_id, name, trust_model, now.unix_timestamp()],
            )?;
            let found = "SELECT id, trust_model FROM provider WHERE name = ?1";
            transaction.query_row(found, [name], |row| {
                Ok(StoredProvider { id: row.get(0)?, trust_model: row.get(1)? })
            })
        })
    }

    /// Keeps a change of a policy, which is in force when this returns, and returns its version.
    pub(crate) fn append_policy(
        &self,
        provider_id: &str,
        attestation_type: &str,
        change: &PolicyChange,
    ) -> Result<u64, StoreError> {
        self.transact(|transaction| {
            let last: Option<i64> = transaction.query_row(
                "SELECT max(version) FROM policy_version WHERE provider_id = ?1 AND attestation_type = ?2",
                [provider_id, attestation_type],
                |row| row.get(0),
            )?;
            let version = last.unwrap_or(0).saturating_add(1);
            transaction.execute(
                "INSERT INTO policy_version (provider_id, attestation_type, version, action, jws, text,
                     policy_hash, token_hash, signer, restored, actor, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                params![
                    provider_id,
                    attestation_type,
                    version,
                    change.action.as_str(),
                    change.jws,
                    change.text,
                    change.policy_hash,
                    change.token_hash,
                    change.signer.as_deref().map(chain_text),
                    change.restored.map(|version| i64::try_from(version).unwrap_or(i64::MAX)),
                    change.actor,
                    change.at.unix_timestamp()
                ],
            )?;
            Ok(number(version))
        })
    }

    /// What is in force: the last version, if there is one.
    pub(crate) fn current_policy(
        &self,
        provider_id: &str,
        attestation_type: &str,
    ) -> Result<Option<PolicyVersion>, StoreError> {
        Ok(self.policy_history(provider_id, attestation_type, None, 1)?.pop())
    }

    /// One version.
    pub(crate) fn policy_version(
        &self,
        provider_id: &str,
        attestation_type: &str,
        version: u64,
    ) -> Result<Option<PolicyVersion>, StoreError> {
        let Ok(version) = i64::try_from(version) else { return Ok(None) };
        self.with(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM policy_version
                 WHERE provider_id = ?1 AND attestation_type = ?2 AND version = ?3"
            );
            connection
                .prepare_cached(&sql)?
                .query_row(params![provider_id, attestation_type, version], policy_version)
                .optional()
        })
    }

    /// The last `limit` versions below `before`, the newest first.
    pub(crate) fn policy_history(
        &self,
        provider_id: &str,
        attestation_type: &str,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<PolicyVersion>, StoreError> {
        let before = before.and_then(|version| i64::try_from(version).ok()).unwrap_or(i64::MAX);
        self.with(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM policy_version
                 WHERE provider_id = ?1 AND attestation_type = ?2 AND version < ?3
                 ORDER BY version DESC LIMIT ?4"
            );
            connection
                .prepare_cached(&sql)?
                .query_map(params![provider_id, attestation_type, before, limit], policy_version)?
                .collect()
        })
    }

    /// Keeps a change of the signers, which is in force when this returns.
    pub(crate) fn append_signer_change(
        &self,
        provider_id: &str,
        change: &SignerChange,
    ) -> Result<(), StoreError> {
        self.transact(|transaction| {
            let last: Option<i64> = transaction.query_row(
                "SELECT max(sequence) FROM policy_signer_change WHERE provider_id = ?1",
                [provider_id],
                |row| row.get(0),
            )?;
            let action = match change.action {
                SignerAction::Add => "add",
                SignerAction::Remove => "remove",
            };
            transaction.execute(
                "INSERT INTO policy_signer_change (provider_id, sequence, action, thumbprint, chain, actor, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    provider_id,
                    last.unwrap_or(0).saturating_add(1),
                    action,
                    change.thumbprint,
                    chain_text(&change.chain),
                    change.actor,
                    change.at.unix_timestamp()
                ],
            )?;
            Ok(())
        })
    }

    /// Every change of the signers, in order.
    pub(crate) fn signer_changes(&self, provider_id: &str) -> Result<Vec<SignerChange>, StoreError> {
        self.with(|connection| {
            connection
                .prepare_cached(
                    "SELECT action, thumbprint, chain, actor, at FROM policy_signer_change
                     WHERE provider_id = ?1 ORDER BY sequence",
                )?
                .query_map([provider_id], |row| {
                    let action = match row.get::<_, String>(0)?.as_str() {
                        "remove" => SignerAction::Remove,
                        _ => SignerAction::Add,
                    };
                    Ok(SignerChange {
                        action,
                        actor: row.get(3)?,
                        at: date(row.get(4)?),
                        chain: chain_of(&row.get::<_, String>(2)?),
                        thumbprint: row.get(1)?,
                    })
                })?
                .collect()
        })
    }

    /// Runs writes that are all kept or none, and are on the disk when this returns: `synchronous` is
    /// `FULL`. A failure to commit is a failure of the whole.
    pub(super) fn transact<T>(
        &self,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.with(|connection| {
            let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            let done = run(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }
}

impl PolicyAction {
    /// The action's name, in rows and in answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Rollback => "rollback",
            Self::Set => "set",
        }
    }
}

const COLUMNS: &str = "version, action, jws, text, policy_hash, token_hash, signer, restored, actor, at";

fn policy_version(row: &Row<'_>) -> rusqlite::Result<PolicyVersion> {
    let action = match row.get::<_, String>(1)?.as_str() {
        "reset" => PolicyAction::Reset,
        "rollback" => PolicyAction::Rollback,
        _ => PolicyAction::Set,
    };
    let change = PolicyChange {
        action,
        actor: row.get(8)?,
        at: date(row.get(9)?),
        jws: row.get(2)?,
        policy_hash: row.get(4)?,
        restored: row.get::<_, Option<i64>>(7)?.map(number),
        signer: row.get::<_, Option<String>>(6)?.as_deref().map(chain_of),
        text: row.get(3)?,
        token_hash: row.get(5)?,
    };
    Ok(PolicyVersion { change, version: number(row.get(0)?) })
}

fn number(version: i64) -> u64 {
    u64::try_from(version).unwrap_or_default()
}

pub(super) fn date(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn chain_text(chain: &[Vec<u8>]) -> String {
    let chain: Vec<_> = chain.iter().map(|der| token::base64url::encode_standard(der)).collect();
    serde_json::to_string(&chain).unwrap_or_default()
}

/// Empty if it is damaged; callers refuse an empty chain.
fn chain_of(text: &str) -> Vec<Vec<u8>> {
    let chain: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    let chain: Result<Vec<_>, _> = chain.iter().map(|der| api::transport::decode(der)).collect();
    chain.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::store::FILE;
    use crate::test_support::scratch;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn store(name: &str) -> Store {
        let scratch = scratch(name);
        std::fs::create_dir_all(&scratch).unwrap();
        Store::open(&scratch.join(FILE)).unwrap()
    }

    fn change(text: &str) -> PolicyChange {
        PolicyChange {
            action: PolicyAction::Set,
            actor: "someone".to_owned(),
            at: NOW,
            jws: format!("a.{text}."),
            policy_hash: Some("hash".to_owned()),
            restored: None,
            signer: Some(vec![b"leaf".to_vec(), b"root".to_vec()]),
            text: Some(text.to_owned()),
            token_hash: "token hash".to_owned(),
        }
    }

    #[test]
    fn a_name_keeps_its_id_and_trust_model() {
        let store = store("store_providers");
        let first = store.provider("default", "id1", "aad", NOW).unwrap();
        assert_eq!(first, StoredProvider { id: "id1".to_owned(), trust_model: "aad".to_owned() });
        assert_eq!(store.provider("default", "id2", "isolated", NOW).unwrap(), first);
        assert_eq!(store.provider("other", "id3", "shared", NOW).unwrap().id, "id3");
        assert!(store.provider("third", "id3", "shared", NOW).is_err(), "an id is used once");
    }

    #[test]
    fn versions_count_up_by_provider_and_type() {
        let store = store("store_versions");
        for (name, id) in [("a", "ida"), ("b", "idb")] {
            store.provider(name, id, "aad", NOW).unwrap();
        }
        assert_eq!(store.current_policy("ida", "Tpm").unwrap(), None);
        for (expected, text) in [(1, "one"), (2, "two"), (3, "three")] {
            assert_eq!(store.append_policy("ida", "SgxEnclave", &change(text)).unwrap(), expected);
        }
        assert_eq!(store.append_policy("idb", "SgxEnclave", &change("b")).unwrap(), 1);
        assert_eq!(store.append_policy("ida", "Tpm", &change("tpm")).unwrap(), 1);
        let rollback = PolicyChange {
            action: PolicyAction::Rollback,
            restored: Some(1),
            signer: None,
            text: None,
            policy_hash: None,
            ..change("one")
        };
        assert_eq!(store.append_policy("ida", "SgxEnclave", &rollback).unwrap(), 4);
        let current = store.current_policy("ida", "SgxEnclave").unwrap().unwrap();
        assert_eq!((current.version, &current.change), (4, &rollback));
        let first = store.policy_version("ida", "SgxEnclave", 1).unwrap().unwrap();
        assert_eq!(first.change, change("one"));
        assert_eq!(store.policy_version("ida", "SgxEnclave", 5).unwrap(), None);
        assert_eq!(store.policy_version("ida", "SgxEnclave", u64::MAX).unwrap(), None);
        let versions = |before, limit| -> Vec<u64> {
            let history = store.policy_history("ida", "SgxEnclave", before, limit).unwrap();
            history.iter().map(|row| row.version).collect()
        };
        assert_eq!(versions(None, 10), [4, 3, 2, 1]);
        assert_eq!(versions(Some(4), 2), [3, 2]);
        assert!(store.append_policy("unknown", "SgxEnclave", &change("x")).is_err(), "no such provider");
    }

    #[test]
    fn histories_are_append_only() {
        let store = store("store_append_only");
        store.provider("a", "ida", "isolated", NOW).unwrap();
        store.append_policy("ida", "Tpm", &change("tpm")).unwrap();
        let added = SignerChange {
            action: SignerAction::Add,
            actor: "someone".to_owned(),
            at: NOW,
            chain: vec![b"leaf".to_vec()],
            thumbprint: "AB".to_owned(),
        };
        let removed = SignerChange { action: SignerAction::Remove, ..added.clone() };
        store.append_signer_change("ida", &added).unwrap();
        store.append_signer_change("ida", &removed).unwrap();
        assert_eq!(store.signer_changes("ida").unwrap(), [added, removed]);
        for sql in [
            "DELETE FROM policy_version",
            "UPDATE policy_version SET text = 'x'",
            "DELETE FROM policy_signer_change",
            "UPDATE policy_signer_change SET actor = 'x'",
        ] {
            let error = store.with(|connection| connection.execute(sql, [])).unwrap_err();
            assert!(error.to_string().contains("append-only"), "{sql}: {error}");
        }
    }
}
