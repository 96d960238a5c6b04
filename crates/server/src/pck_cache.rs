//! Certificate chains of platforms, verified once and kept: a platform shows the same chain in every quote.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use evidence::dcap::VerifiedPck;

/// Chains in a generation. One chain takes about 5 KiB, most of it the text it is compared by.
const GENERATION: usize = 2048;

/// The chains last used, at most two generations of them: a full generation replaces the one before it, so
/// that a flood of chains costs no more memory, and those in use survive it.
///
/// Only genuine chains get here, and their validity is compared with the time on every use.
#[derive(Debug)]
pub(crate) struct PckCache {
    capacity: usize,
    generations: Mutex<Generations>,
}

impl Default for PckCache {
    fn default() -> Self {
        Self { capacity: GENERATION, generations: Mutex::default() }
    }
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
        if let Some(kept) = self.lock().get(&key, self.capacity) {
            return Ok(kept);
        }
        // Not under the lock: two requests may verify the same chain, none waits for another's.
        let verified = Arc::new(verify()?);
        self.lock().insert(key, Arc::clone(&verified), self.capacity);
        Ok(verified)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&mut self, key: &[u8; 32], capacity: usize) -> Option<Arc<VerifiedPck>> {
        if let Some(kept) = self.young.get(key) {
            return Some(Arc::clone(kept));
        }
        let kept = self.old.remove(key)?;
        self.insert(*key, Arc::clone(&kept), capacity);
        Some(kept)
    }

    fn insert(&mut self, key: [u8; 32], verified: Arc<VerifiedPck>, capacity: usize) {
        if self.young.len() >= capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, verified);
    }
}

#[cfg(test)]
mod tests {
    use evidence::sgx::Quote;
    use testkit::intel::{Ca, Forge};

    use super::*;

    #[test]
    fn chains_in_use_survive_and_memory_is_bounded() {
        let minted = Forge::new(Ca::Platform, time::OffsetDateTime::now_utc()).mint();
        let quote = Quote::parse(&minted.quote).unwrap();
        let verified = quote.pck_chain().unwrap().verify(&minted.anchors()).unwrap();
        let cache = PckCache { capacity: 2, generations: Mutex::default() };
        // Whether `key` was there.
        let ask = |key: u8| {
            let mut was_there = true;
            let verify = || {
                was_there = false;
                Ok::<_, ()>(verified.clone())
            };
            cache.get_or_verify([key; 32], verify).unwrap();
            was_there
        };
        assert!(!ask(1) && ask(1));
        for other in 2..50 {
            ask(other);
            assert!(ask(1), "one in use stays while {other} others pass");
            let generations = cache.lock();
            assert!(generations.young.len() <= 2 && generations.old.len() <= 2);
        }
        assert!(!ask(2), "one not in use does not stay");
        assert_eq!(cache.get_or_verify([99; 32], || Err("refused")).err(), Some("refused"));
        assert!(!ask(99), "what is refused is not kept");
    }
}
