//! Whom the operator trusts at present: the directory of roots is read again when it changes, so that a new CRL needs
//! no restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use evidence::tpm::AttestationKey;

use super::TpmError;
use super::authority::{AttestationAuthority, AuthorityError};
use super::roots::{Roots, paths};
use crate::config::TpmConfig;
use crate::proof_cache::ProofCache;

/// Who is trusted, and which keys were verified under that trust.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// Attestation keys whose certificates were verified, by the certificate's SHA-256.
    pub(crate) keys: ProofCache<AttestationKey>,
    /// For attestation keys the provider's own CA is trusted, too.
    pub(crate) roots: Roots,
}

/// The directory, as it was when it was last looked at.
#[derive(Debug)]
pub(super) struct WatchedRoots {
    current: Mutex<Current>,
    directory: Option<PathBuf>,
    require_key_usage: bool,
}

#[derive(Debug)]
struct Current {
    looked_at: Instant,
    state: State,
    trusted: Arc<Trusted>,
}

/// The files, with their lengths and when they were changed.
type State = Vec<(PathBuf, u64, Option<SystemTime>)>;

impl WatchedRoots {
    /// Reads the directory.
    ///
    /// # Errors
    /// [`TpmError`].
    pub(super) fn open(config: &TpmConfig, own: &AttestationAuthority) -> Result<Self, TpmError> {
        let (directory, require_key_usage) = (config.roots.as_deref(), config.require_key_usage);
        // The state before the content: what changes in between is seen at the next look.
        let state = state(directory);
        let trusted = Arc::new(Trusted::load(directory, require_key_usage, own)?);
        let current = Mutex::new(Current { looked_at: Instant::now(), state, trusted });
        Ok(Self { current, directory: directory.map(Path::to_owned), require_key_usage })
    }

    /// Who is trusted now. If the directory has changed and cannot be used, it is who was trusted before.
    pub(super) fn current(&self, own: &AttestationAuthority, now: Instant) -> Arc<Trusted> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if self.directory.is_some() && now.saturating_duration_since(current.looked_at) >= LOOK_EVERY {
            current.looked_at = now;
            let state = state(self.directory.as_deref());
            if state != current.state {
                current.state = state;
                match Trusted::load(self.directory.as_deref(), self.require_key_usage, own) {
                    Ok(trusted) => current.trusted = Arc::new(trusted),
                    Err(error) => tracing::error!(%error, "the changed roots are not used"),
                }
            }
        }
        Arc::clone(&current.trusted)
    }
}

impl Trusted {
    fn load(
        directory: Option<&Path>,
        require_key_usage: bool,
        own: &AttestationAuthority,
    ) -> Result<Self, TpmError> {
        let mut roots = Roots::load(directory)?;
        if !require_key_usage {
            for trust in [&mut roots.ek, roots.aik.issuers_mut()] {
                *trust = std::mem::take(trust).danger_allow_any_usage();
            }
        }
        own.trust(roots.aik.issuers_mut()).map_err(AuthorityError::from)?;
        Ok(Self { keys: ProofCache::default(), roots })
    }
}

/// Empty for a directory that cannot be read, which loading it then says.
fn state(directory: Option<&Path>) -> State {
    let paths = directory.and_then(|directory| paths(directory).ok()).unwrap_or_default();
    let state = |(_, path): (_, PathBuf)| {
        let metadata = std::fs::metadata(&path).ok();
        let length = metadata.as_ref().map(std::fs::Metadata::len).unwrap_or_default();
        (path, length, metadata.and_then(|metadata| metadata.modified().ok()))
    };
    paths.into_iter().map(state).collect()
}

/// How often the directory is looked at, on a request.
const LOOK_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::fs;

    use testkit::endorsed_tpm::Maker;
    use time::macros::datetime;

    use super::*;
    use crate::data_dir::DataDir;
    use crate::test_support::scratch;

    #[test]
    fn a_changed_directory_is_read_again_and_a_damaged_one_is_not_used() {
        let path = scratch("watched_roots");
        let dir = DataDir::open(&path.join("data")).unwrap();
        let now = datetime!(2026-06-01 0:00 UTC);
        let own = AttestationAuthority::open(&dir, "default", "id1", "https://x.example", now).unwrap();
        let roots = path.join("roots");
        fs::create_dir_all(roots.join("ek")).unwrap();
        let config = TpmConfig { roots: Some(roots.clone()), ..TpmConfig::default() };
        let watched = WatchedRoots::open(&config, &own).unwrap();
        let start = Instant::now();
        let first = watched.current(&own, start);
        assert!(first.roots.ek.is_empty());
        fs::write(roots.join("ek/maker.pem"), Maker::new("a maker").root_pem()).unwrap();
        assert!(Arc::ptr_eq(&watched.current(&own, start), &first), "it is not looked at each time");
        let second = watched.current(&own, start + LOOK_EVERY);
        assert!(!second.roots.ek.is_empty());
        assert!(Arc::ptr_eq(&watched.current(&own, start + 2 * LOOK_EVERY), &second), "nothing has changed");
        fs::write(roots.join("ek/other.pem"), "nothing").unwrap();
        assert!(Arc::ptr_eq(&watched.current(&own, start + 3 * LOOK_EVERY), &second), "it cannot be used");
        fs::remove_dir_all(&roots).unwrap();
        assert!(Arc::ptr_eq(&watched.current(&own, start + 4 * LOOK_EVERY), &second));
        fs::create_dir_all(roots.join("ek")).unwrap();
        fs::write(roots.join("ek/maker.pem"), Maker::new("another").root_pem()).unwrap();
        let third = watched.current(&own, start + 5 * LOOK_EVERY);
        assert!(!Arc::ptr_eq(&third, &second) && !third.roots.ek.is_empty());
    }
}
