//! Certificate chains of platforms, verified once and kept: a platform shows the same chain in every quote.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use evidence::dcap::VerifiedPck;

/// Chains kept at least. One takes about a KiB.
const GENERATION: usize = 4096;

/// The chains last used, at most two generations of them: a full generation replaces the one before it, so
/// that a flood of chains costs no more memory, and those in use survive it.
///
/// Only genuine chains get here, and their validity is compared with the time on every use.
#[derive(Debug, Default)]
pub(crate) struct PckCache {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<[u8; 32], Arc<VerifiedPck>>,
    old: HashMap<[u8; 32], Arc<VerifiedPck>>,
}

impl PckCache {
    /// The chain under `key`, verified now by `verify` if it is not here.
    pub(crate) fn get_or_verify<E>(
        &self,
        key: [u8; 32],
        verify: impl FnOnce() -> Result<VerifiedPck, E>,
    ) -> Result<Arc<VerifiedPck>, E> {
        if let Some(kept) = self.lock().get(&key) {
            return Ok(kept);
        }
        // Not under the lock: two requests may verify the same chain, none waits for another's.
        let verified = Arc::new(verify()?);
        self.lock().insert(key, Arc::clone(&verified));
        Ok(verified)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&mut self, key: &[u8; 32]) -> Option<Arc<VerifiedPck>> {
        if let Some(kept) = self.young.get(key) {
            return Some(Arc::clone(kept));
        }
        let kept = self.old.remove(key)?;
        self.insert(*key, Arc::clone(&kept));
        Some(kept)
    }

    fn insert(&mut self, key: [u8; 32], verified: Arc<VerifiedPck>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, verified);
    }
}
