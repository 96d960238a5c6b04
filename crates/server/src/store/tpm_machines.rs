//! Machines that were enrolled: who a TPM is, and whether it is still welcome; and the certificates of its keys.

use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::management::date;
use super::{Store, StoreError};

/// The migration that makes the table.
pub(super) const TABLES: &str = "
    CREATE TABLE tpm_machine (
        provider_id   TEXT NOT NULL,
        machine       TEXT NOT NULL,    -- SHA-256 of the endorsement key's SubjectPublicKeyInfo, hexadecimal
        certificate   BLOB NOT NULL,    -- of the endorsement key, DER
        enrolled_at   INTEGER NOT NULL, -- seconds since 1970
        renewed_at    INTEGER NOT NULL, -- when it last got a certificate
        revoked_at    INTEGER,
        reason        TEXT,
        PRIMARY KEY (provider_id, machine)
    ) STRICT;
    CREATE TABLE tpm_certificate (
        provider_id   TEXT NOT NULL,
        serial        BLOB NOT NULL,    -- big-endian
        machine       TEXT NOT NULL,
        key_name      BLOB NOT NULL,    -- the attestation key's TPM name
        issued_at     INTEGER NOT NULL,
        not_after     INTEGER NOT NULL,
        PRIMARY KEY (provider_id, serial),
        FOREIGN KEY (provider_id, machine) REFERENCES tpm_machine (provider_id, machine)
    ) STRICT;
";

/// The migration that makes the certificates of one machine quick to find.
pub(super) const INDEX: &str =
    "CREATE INDEX tpm_certificate_machine ON tpm_certificate (provider_id, machine);";

/// An enrolled machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMachine {
    /// Its id.
    pub(crate) machine: String,
    /// Of its endorsement key, DER, as it was when it last enrolled.
    pub(crate) certificate: Vec<u8>,
    pub(crate) enrolled_at: OffsetDateTime,
    pub(crate) renewed_at: OffsetDateTime,
    pub(crate) revocation: Option<StoredRevocation>,
}

/// That a machine is not welcome any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRevocation {
    pub(crate) at: OffsetDateTime,
    pub(crate) reason: String,
}

/// A certificate of a machine's attestation key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredCertificate {
    /// Big-endian, without leading zeros.
    pub(crate) serial: Vec<u8>,
    /// The attestation key's TPM name.
    pub(crate) key_name: Vec<u8>,
    pub(crate) issued_at: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
}

/// Whose a certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertifiedMachine {
    pub(crate) machine: String,
    pub(crate) revoked: bool,
}

/// What became of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Enrolled {
    Kept,
    /// Nothing was kept: the machine is not welcome.
    Revoked(StoredRevocation),
    /// Nothing was kept: it has as many certificates as it may have.
    TooManyCertificates,
}

impl Store {
    /// Keeps a machine, new or known, with a new certificate, and forgets those that have ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn enrol_machine(
        &self,
        provider_id: &str,
        (machine, ek_certificate): (&str, &[u8]),
        certificate: &StoredCertificate,
        now: OffsetDateTime,
    ) -> Result<Enrolled, StoreError> {
        self.transact(|transaction| {
            if let Some(StoredMachine { revocation: Some(revocation), .. }) =
                find(transaction, provider_id, machine)?
            {
                return Ok(Enrolled::Revoked(revocation));
            }
            let now = now.unix_timestamp();
            transaction.execute(
                "DELETE FROM tpm_certificate WHERE provider_id = ?1 AND machine = ?2 AND not_after < ?3",
                params![provider_id, machine, now],
            )?;
            let count: i64 = transaction.query_row(
                "SELECT count(*) FROM tpm_certificate WHERE provider_id = ?1 AND machine = ?2",
                [provider_id, machine],
                |row| row.get(0),
            )?;
            if count >= MAX_CERTIFICATES {
                return Ok(Enrolled::TooManyCertificates);
            }
            transaction.execute(
                "INSERT INTO tpm_machine (provider_id, machine, certificate, enrolled_at, renewed_at)
                 VALUES (?1, ?2, ?3, ?4, ?4)
                 ON CONFLICT DO UPDATE SET certificate = excluded.certificate, renewed_at = excluded.renewed_at",
                params![provider_id, machine, ek_certificate, now],
            )?;
            transaction.execute(
                "INSERT INTO tpm_certificate (provider_id, serial, machine, key_name, issued_at, not_after)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    provider_id,
                    certificate.serial,
                    machine,
                    certificate.key_name,
                    certificate.issued_at.unix_timestamp(),
                    certificate.not_after.unix_timestamp()
                ],
            )?;
            Ok(Enrolled::Kept)
        })
    }

    /// A machine.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn machine(
        &self,
        provider_id: &str,
        machine: &str,
    ) -> Result<Option<StoredMachine>, StoreError> {
        self.with(|connection| find(connection, provider_id, machine))
    }

    /// At most `limit` machines whose ids come after `after`, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn machines(
        &self,
        provider_id: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<StoredMachine>, StoreError> {
        self.with(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM tpm_machine WHERE provider_id = ?1 AND machine > ?2
                 ORDER BY machine LIMIT ?3"
            );
            connection
                .prepare_cached(&sql)?
                .query_map(params![provider_id, after, limit], stored_machine)?
                .collect()
        })
    }

    /// The certificates of a machine, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn certificates_of_machine(
        &self,
        provider_id: &str,
        machine: &str,
    ) -> Result<Vec<StoredCertificate>, StoreError> {
        self.with(|connection| {
            connection
                .prepare_cached(
                    "SELECT serial, key_name, issued_at, not_after FROM tpm_certificate
                     WHERE provider_id = ?1 AND machine = ?2 ORDER BY issued_at DESC, serial",
                )?
                .query_map([provider_id, machine], |row| {
                    Ok(StoredCertificate {
                        serial: row.get(0)?,
                        key_name: row.get(1)?,
                        issued_at: date(row.get(2)?),
                        not_after: date(row.get(3)?),
                    })
                })?
                .collect()
        })
    }

    /// Whose the certificate with this serial number is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn machine_of_certificate(
        &self,
        provider_id: &str,
        serial: &[u8],
    ) -> Result<Option<CertifiedMachine>, StoreError> {
        self.with(|connection| {
            connection
                .prepare_cached(
                    "SELECT machine, revoked_at IS NOT NULL FROM tpm_certificate
                     JOIN tpm_machine USING (provider_id, machine) WHERE provider_id = ?1 AND serial = ?2",
                )?
                .query_row(params![provider_id, serial], |row| {
                    Ok(CertifiedMachine { machine: row.get(0)?, revoked: row.get(1)? })
                })
                .optional()
        })
    }

    /// Serial numbers of revoked machines' certificates that have not ended, and since when they are revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn revoked_certificates(
        &self,
        provider_id: &str,
        now: OffsetDateTime,
    ) -> Result<Vec<(Vec<u8>, OffsetDateTime)>, StoreError> {
        self.with(|connection| {
            connection
                .prepare_cached(
                    "SELECT serial, revoked_at FROM tpm_certificate JOIN tpm_machine USING (provider_id, machine)
                     WHERE provider_id = ?1 AND revoked_at IS NOT NULL AND not_after >= ?2 ORDER BY serial",
                )?
                .query_map(params![provider_id, now.unix_timestamp()], |row| {
                    Ok((row.get(0)?, date(row.get(1)?)))
                })?
                .collect()
        })
    }

    /// Revokes a machine, or restores it, and returns it as it is then; `None` if it is not known. Of a machine
    /// that is revoked already, date and reason stay the first ones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn set_revocation(
        &self,
        provider_id: &str,
        machine: &str,
        revocation: Option<&StoredRevocation>,
    ) -> Result<Option<StoredMachine>, StoreError> {
        self.transact(|transaction| {
            match revocation {
                Some(StoredRevocation { at, reason }) => transaction.execute(
                    "UPDATE tpm_machine SET revoked_at = ?3, reason = ?4
                     WHERE provider_id = ?1 AND machine = ?2 AND revoked_at IS NULL",
                    params![provider_id, machine, at.unix_timestamp(), reason],
                )?,
                None => transaction.execute(
                    "UPDATE tpm_machine SET revoked_at = NULL, reason = NULL
                     WHERE provider_id = ?1 AND machine = ?2",
                    [provider_id, machine],
                )?,
            };
            find(transaction, provider_id, machine)
        })
    }
}

fn find(
    connection: &Connection,
    provider_id: &str,
    machine: &str,
) -> rusqlite::Result<Option<StoredMachine>> {
    let sql = format!("SELECT {COLUMNS} FROM tpm_machine WHERE provider_id = ?1 AND machine = ?2");
    connection.prepare_cached(&sql)?.query_row([provider_id, machine], stored_machine).optional()
}

const COLUMNS: &str = "machine, certificate, enrolled_at, renewed_at, revoked_at, reason";

fn stored_machine(row: &Row<'_>) -> rusqlite::Result<StoredMachine> {
    let reason: Option<String> = row.get(5)?;
    let revoked_at: Option<i64> = row.get(4)?;
    Ok(StoredMachine {
        machine: row.get(0)?,
        certificate: row.get(1)?,
        enrolled_at: date(row.get(2)?),
        renewed_at: date(row.get(3)?),
        revocation: revoked_at
            .map(|at| StoredRevocation { at: date(at), reason: reason.unwrap_or_default() }),
    })
}

/// Certificates of a machine that have not ended. One that loses its state at every start enrols at every start; what
/// has more is broken, and must not fill the database.
const MAX_CERTIFICATES: i64 = 256;

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::store::FILE;
    use crate::test_support::scratch;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn store(name: &str) -> Store {
        let directory = scratch(name);
        std::fs::create_dir_all(&directory).unwrap();
        Store::open(&directory.join(FILE)).unwrap()
    }

    fn certificate(serial: u16, now: OffsetDateTime) -> StoredCertificate {
        StoredCertificate {
            serial: serial.to_be_bytes().to_vec(),
            key_name: vec![0, 0x0b, 1],
            issued_at: now,
            not_after: now + Duration::days(1),
        }
    }

    #[test]
    fn machines_are_kept_by_provider_and_renewed() {
        let store = store("machines");
        let enrol = |provider: &str, machine: &str, serial, now| {
            store.enrol_machine(provider, (machine, b"der"), &certificate(serial, now), now).unwrap()
        };
        assert_eq!(enrol("p1", "b", 1, NOW), Enrolled::Kept);
        assert_eq!(enrol("p1", "a", 2, NOW), Enrolled::Kept);
        assert_eq!(enrol("p2", "a", 1, NOW), Enrolled::Kept);
        let later = NOW + Duration::hours(1);
        assert_eq!(enrol("p1", "a", 3, later), Enrolled::Kept);
        let ids = |after, limit| {
            let machines = store.machines("p1", after, limit).unwrap();
            machines.into_iter().map(|machine| machine.machine).collect::<Vec<_>>()
        };
        assert_eq!(ids("", 10), ["a", "b"]);
        assert_eq!((ids("", 1), ids("a", 10)), (vec!["a".to_owned()], vec!["b".to_owned()]));
        let machine = store.machine("p1", "a").unwrap().unwrap();
        assert_eq!((machine.enrolled_at, machine.renewed_at), (NOW, later));
        assert_eq!(machine.certificate, b"der");
        let certificates = store.certificates_of_machine("p1", "a").unwrap();
        assert_eq!(certificates, [certificate(3, later), certificate(2, NOW)]);
        assert_eq!(store.machine("p2", "b").unwrap(), None);
        // Those that have ended are forgotten.
        enrol("p1", "a", 4, NOW + Duration::days(3));
        assert_eq!(store.certificates_of_machine("p1", "a").unwrap().len(), 1);
        let reused = store.enrol_machine("p1", ("c", b""), &certificate(1, NOW), NOW);
        assert!(reused.is_err(), "a serial number is used once");
        assert_eq!(store.machine("p1", "c").unwrap(), None);
    }

    #[test]
    fn revoked_machines_are_not_enrolled_until_they_are_restored() {
        let store = store("machines_revoked");
        let enrol =
            |serial| store.enrol_machine("p1", ("a", b"der"), &certificate(serial, NOW), NOW).unwrap();
        assert_eq!(enrol(1), Enrolled::Kept);
        store.enrol_machine("p1", ("b", b"der"), &certificate(2, NOW), NOW).unwrap();
        let of = |serial: u16| store.machine_of_certificate("p1", &serial.to_be_bytes()).unwrap();
        assert_eq!(of(1), Some(CertifiedMachine { machine: "a".to_owned(), revoked: false }));
        let revocation = StoredRevocation { at: NOW, reason: "stolen".to_owned() };
        let revoked = store.set_revocation("p1", "a", Some(&revocation)).unwrap().unwrap();
        assert_eq!(revoked.revocation.as_ref(), Some(&revocation));
        assert_eq!(of(1), Some(CertifiedMachine { machine: "a".to_owned(), revoked: true }));
        assert_eq!(of(2), Some(CertifiedMachine { machine: "b".to_owned(), revoked: false }));
        assert_eq!(of(3), None);
        assert_eq!(store.machine_of_certificate("p2", &1_u16.to_be_bytes()).unwrap(), None);
        let again = StoredRevocation { at: NOW + Duration::DAY, reason: "again".to_owned() };
        let revoked = store.set_revocation("p1", "a", Some(&again)).unwrap().unwrap();
        assert_eq!(revoked.revocation.as_ref(), Some(&revocation), "the first one stays");
        assert_eq!(enrol(4), Enrolled::Revoked(revocation));
        assert_eq!(of(4), None);
        let listed = |now| store.revoked_certificates("p1", now).unwrap();
        assert_eq!(listed(NOW), [(1_u16.to_be_bytes().to_vec(), NOW)]);
        assert_eq!(listed(NOW + Duration::days(2)), []);
        assert_eq!(store.revoked_certificates("p2", NOW).unwrap(), []);
        let restored = store.set_revocation("p1", "a", None).unwrap().unwrap();
        assert_eq!(restored.revocation, None);
        assert_eq!((enrol(4), listed(NOW)), (Enrolled::Kept, Vec::new()));
        assert_eq!(store.set_revocation("p1", "c", None).unwrap(), None);
        assert_eq!(store.set_revocation("p2", "a", Some(&again)).unwrap(), None);
    }

    #[test]
    fn a_machine_has_so_many_certificates() {
        let store = store("machines_certificates");
        let limit = u16::try_from(MAX_CERTIFICATES).unwrap();
        store
            .transact(|connection| {
                connection.execute(
                    "INSERT INTO tpm_machine (provider_id, machine, certificate, enrolled_at, renewed_at)
                     VALUES ('p1', 'a', x'', 0, 0)",
                    [],
                )?;
                for serial in 0..limit {
                    connection.execute(
                        "INSERT INTO tpm_certificate VALUES ('p1', ?1, 'a', x'', ?2, ?2)",
                        params![serial.to_be_bytes(), NOW.unix_timestamp()],
                    )?;
                }
                Ok(())
            })
            .unwrap();
        let enrol = |now| store.enrol_machine("p1", ("a", b""), &certificate(limit, now), now).unwrap();
        assert_eq!(enrol(NOW), Enrolled::TooManyCertificates);
        assert_eq!(enrol(NOW + Duration::SECOND), Enrolled::Kept);
    }
}
