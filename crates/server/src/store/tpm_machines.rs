//! Machines that were enrolled: who a TPM is, and whether it is still welcome.

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
