//! Many want the same thing at once: one fetches it, all get the answer.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Runs at most one task per key at a time.
#[derive(Debug)]
pub(crate) struct SingleFlight<K, V> {
    flights: Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>,
}

/// The task ended without an answer: it panicked, or the runtime is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abandoned;

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self { flights: Arc::default() }
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer of the flight under `key`, which `work` becomes if there is none.
    ///
    /// The work runs in its own task, so that a caller who goes away does not end it for the others.
    pub(crate) async fn run<F>(&self, key: K, work: impl FnOnce() -> F) -> Result<V, Abandoned>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut answer = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(flight) = flights.get(&key) {
                flight.clone()
            } else {
                let (sender, receiver) = watch::channel(None);
                flights.insert(key.clone(), receiver.clone());
                let landing = Landing { flights: Arc::clone(&self.flights), key };
                let work = work();
                tokio::spawn(async move {
                    let value = work.await;
                    drop(landing);
                    sender.send_replace(Some(value));
                });
                receiver
            }
        };
        let value = answer.wait_for(Option::is_some).await.map_err(|_| Abandoned)?.clone();
        value.ok_or(Abandoned)
    }
}

/// Ends a flight however its task ends.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_hundred_share_one_run() {
        let flights = Arc::new(SingleFlight::<&str, usize>::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (flights, runs) = (Arc::clone(&flights), Arc::clone(&runs));
                tokio::spawn(async move {
                    let work = || async move {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        runs.fetch_add(1, Ordering::SeqCst)
                    };
                    flights.run("key", work).await
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), Ok(0));
        }
        assert_eq!(flights.run("key", || async { 7 }).await, Ok(7), "a later one flies again");
    }

    #[tokio::test]
    async fn a_caller_who_leaves_does_not_end_it() {
        let flights = Arc::new(SingleFlight::<&str, u8>::default());
        let work = || async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            1
        };
        let leaving = tokio::time::timeout(Duration::from_millis(5), flights.run("key", work)).await;
        assert!(leaving.is_err());
        assert_eq!(flights.run("key", || async { 2 }).await, Ok(1));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_not_the_end() {
        let flights = SingleFlight::<&str, u8>::default();
        assert_eq!(flights.run("key", || async { panic!("on purpose") }).await, Err(Abandoned));
        assert_eq!(flights.run("key", || async { 3 }).await, Ok(3));
    }
}
