//! What clients carry from one request to the next, so that any replica can answer the second: sealed with a
//! key that the replicas share, bound to its purpose and provider, and expiring.

use std::path::{Path, PathBuf};

use crypto::seal::KEY_BYTES;
use crypto::{SealingKey, random_bytes, sha256_of_parts};
use time::OffsetDateTime;

use crate::data_dir::{DataDir, DataDirError, read_private_file};

/// Name of the key file in the data directory.
const KEY_FILE: &str = "context-key";

/// Why the sealing key cannot be used. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum SealerError {
    /// The key file cannot be read or written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The file holds something else.
    #[error(
        "`{}` is not a key of {KEY_BYTES} bytes; make one with `head -c {KEY_BYTES} /dev/urandom`, or unset \
         `context_key_file` and remove `{KEY_FILE}` from the data directory to have one made",
        path.display()
    )]
    Invalid {
        /// The file.
        path: PathBuf,
    },
    /// The file that the configuration names is not there.
    #[error("`context_key_file`: `{}` is not there", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] crypto::random::NoRandomness),
}

/// Why what a client carried is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// Its time is over.
    #[error("it expired at {at}")]
    Expired {
        /// When.
        at: OffsetDateTime,
    },
    /// It was not made here, for this, or was changed.
    #[error("it was not issued by this provider for this purpose, or was changed")]
    Foreign,
}

/// What something sealed is for. What was sealed for one purpose opens for no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The context of a challenge.
    Challenge,
    /// The context of an enrolment.
    Enrollment,
}

/// Seals what clients carry.
#[derive(Debug)]
pub(crate) struct Sealer {
    key: SealingKey,
    key_name: String,
}

impl Sealer {
    /// The key of `file`, or else of the data directory, where one is made if there is none.
    pub(crate) fn open(file: Option<&Path>, dir: &DataDir) -> Result<Self, SealerError> {
        if let Some(path) = file {
            let missing = || SealerError::Missing { path: path.to_owned() };
            return Self::of(&read_private_file(path)?.ok_or_else(missing)?, path);
        }
        let path = dir.file(KEY_FILE);
        if let Some(bytes) = dir.read_private(KEY_FILE)? {
            return Self::of(&bytes, &path);
        }
        let key: [u8; KEY_BYTES] = random_bytes()?;
        dir.write_private(KEY_FILE, &key)?;
        Self::of(&key, &path)
    }

    fn of(bytes: &[u8], path: &Path) -> Result<Self, SealerError> {
        let key: &[u8; KEY_BYTES] =
            bytes.try_into().map_err(|_| SealerError::Invalid { path: path.to_owned() })?;
        let key_name = hex::encode_upper(sha256_of_parts(&[b"vouchsafe context key", key]));
        Ok(Self { key: SealingKey::new(key), key_name })
    }

    /// A name for the key, which tells nothing of it: 64 upper-case hexadecimal digits.
    pub(crate) fn key_name(&self) -> &str {
        &self.key_name
    }

    /// Seals `content` until `expires_at`.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(crate) fn seal(
        &self,
        purpose: Purpose,
        provider: &str,
        content: &[u8],
        expires_at: OffsetDateTime,
    ) -> Result<Vec<u8>, crypto::random::NoRandomness> {
        let expires_at = expires_at.unix_timestamp().to_be_bytes();
        self.key.seal(&context(purpose, provider), &[&expires_at[..], content].concat())
    }

    /// What was sealed for this purpose and provider, and when it expires.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn unseal(
        &self,
        purpose: Purpose,
        provider: &str,
        sealed: &[u8],
        now: OffsetDateTime,
    ) -> Result<(Vec<u8>, OffsetDateTime), OpenError> {
        let plain = self.key.open(&context(purpose, provider), sealed).map_err(|_| OpenError::Foreign)?;
        let (expires_at, content) = plain.split_first_chunk::<8>().ok_or(OpenError::Foreign)?;
        let at = OffsetDateTime::from_unix_timestamp(i64::from_be_bytes(*expires_at))
            .map_err(|_| OpenError::Foreign)?;
        if now >= at {
            return Err(OpenError::Expired { at });
        }
        Ok((content.to_vec(), at))
    }
}

/// What a purpose is called ends with the first zero byte.
fn context(purpose: Purpose, provider: &str) -> Vec<u8> {
    let purpose: &[u8] = match purpose {
        Purpose::Challenge => b"tpm challenge\0",
        Purpose::Enrollment => b"tpm enrollment\0",
    };
    [purpose, provider.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::test_support::scratch;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    #[test]
    fn what_was_sealed_opens_for_its_purpose_provider_and_time() {
        let dir = DataDir::open(&scratch("sealer")).unwrap();
        let sealer = Sealer::open(None, &dir).unwrap();
        let end = NOW + Duration::minutes(10);
        let sealed = sealer.seal(Purpose::Challenge, "p1", b"content", end).unwrap();
        let unseal = |sealer: &Sealer, purpose, provider, now| sealer.unseal(purpose, provider, &sealed, now);
        let opened = Ok((b"content".to_vec(), end));
        assert_eq!(unseal(&sealer, Purpose::Challenge, "p1", NOW), opened);
        // Another replica, and this one after a restart.
        let again = Sealer::open(Some(&dir.file(KEY_FILE)), &dir).unwrap();
        assert_eq!(again.key_name(), sealer.key_name());
        assert_eq!(unseal(&again, Purpose::Challenge, "p1", end - Duration::SECOND), opened);
        assert_eq!(unseal(&sealer, Purpose::Challenge, "p1", end), Err(OpenError::Expired { at: end }));
        assert_eq!(unseal(&sealer, Purpose::Challenge, "p2", NOW), Err(OpenError::Foreign));
        assert_eq!(unseal(&sealer, Purpose::Enrollment, "p1", NOW), Err(OpenError::Foreign));
        let other = DataDir::open(&scratch("sealer_other")).unwrap();
        let other = Sealer::open(None, &other).unwrap();
        assert_eq!(unseal(&other, Purpose::Challenge, "p1", NOW), Err(OpenError::Foreign));
    }

    #[test]
    fn a_key_file_must_hold_a_key_that_nobody_else_can_read() {
        let dir = DataDir::open(&scratch("sealer_files")).unwrap();
        let path = dir.file("given");
        assert!(matches!(Sealer::open(Some(&path), &dir), Err(SealerError::Missing { .. })));
        dir.write_private("given", &[1; 31]).unwrap();
        assert!(matches!(Sealer::open(Some(&path), &dir), Err(SealerError::Invalid { .. })));
        dir.write_private("given", &[1; 32]).unwrap();
        Sealer::open(Some(&path), &dir).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Sealer::open(Some(&path), &dir), Err(SealerError::DataDir(_))));
    }
}
