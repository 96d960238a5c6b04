//! Certificate chains, verified once and what was proved of them kept: a platform shows the same chain in every
//! quote.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Chains in a generation. One chain of a PCK takes about 5 KiB, most of it the text it is compared by.
const GENERATION: usize = 2048;

/// The chains last used, at most two generations of them: a full generation replaces the one before it, so
/// that a flood of chains costs no more memory, and those in use survive it.
///
/// Only genuine chains get here, and their validity is compared with the time on every use.
#[derive(Debug)]
pub(crate) struct ProofCache<T> {
    capacity: usize,
    generations: Mutex<Generations<T>>,
}

impl<T> Default for ProofCache<T> {
    fn default() -> Self {
        Self { capacity: GENERATION, generations: Mutex::new(Generations::empty()) }
    }
}

#[derive(Debug)]
struct Generations<T> {
    young: HashMap<[u8; 32], Arc<T>>,
    old: HashMap<[u8; 32], Arc<T>>,
}

impl<T> ProofCache<T> {
    /// The chain under `key`, verified now by `verify` if it is not here.
    pub(crate) fn get_or_verify<E>(
        &self,
        key: [u8; 32],
        verify: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some(kept) = self.get(&key) {
            return Ok(kept);
        }
        // Not under the lock: two requests may verify the same chain, none waits for another's.
        let verified = Arc::new(verify()?);
        self.lock().insert(key, Arc::clone(&verified), self.capacity);
        Ok(verified)
    }

    /// What is kept under `key`.
    pub(crate) fn get(&self, key: &[u8; 32]) -> Option<Arc<T>> {
        self.lock().get(key, self.capacity)
    }

    /// Keeps what was proved.
    pub(crate) fn insert(&self, key: [u8; 32], proved: T) {
        self.lock().insert(key, Arc::new(proved), self.capacity);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations<T>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Generations<T> {
    fn empty() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }

    fn get(&mut self, key: &[u8; 32], capacity: usize) -> Option<Arc<T>> {
        if let Some(kept) = self.young.get(key) {
            return Some(Arc::clone(kept));
        }
        let kept = self.old.remove(key)?;
        self.insert(*key, Arc::clone(&kept), capacity);
        Some(kept)
    }

    fn insert(&mut self, key: [u8; 32], verified: Arc<T>, capacity: usize) {
        if self.young.len() >= capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_in_use_survive_and_memory_is_bounded() {
        let cache = ProofCache { capacity: 2, generations: Mutex::new(Generations::empty()) };
        // Whether `key` was there.
        let ask = |key: u8| {
            let mut was_there = true;
            let verify = || {
                was_there = false;
                Ok::<_, ()>(key)
            };
            assert_eq!(*cache.get_or_verify([key; 32], verify).unwrap(), key);
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
        assert!(cache.get(&[99; 32]).is_none(), "what is refused is not kept");
        cache.insert([99; 32], 7);
        assert_eq!(cache.get(&[99; 32]).as_deref(), Some(&7));
    }
}
