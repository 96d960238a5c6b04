//! How many attestations are in work, and how many may wait. What is beyond is told to come back (429),
//! so that a flood costs the others time and never memory.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::LimitsConfig;

/// The places for attestations. A body is read only in a place, so at most as many bodies as there are
/// places are held in memory.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Semaphore,
    places_and_queue: Semaphore,
    longest_wait: Duration,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    _in_work: SemaphorePermit<'a>,
    _admitted: SemaphorePermit<'a>,
}

/// Every place and the queue are taken, or a place did not come free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overloaded;

impl Admission {
    pub(crate) fn new(limits: &LimitsConfig) -> Self {
        Self {
            places: Semaphore::new(limits.concurrency),
            places_and_queue: Semaphore::new(limits.concurrency.saturating_add(limits.queue)),
            longest_wait: crate::config::seconds(limits.queue_timeout_secs),
        }
    }

    /// Takes a place, waiting for one in the queue if that has room.
    pub(crate) async fn enter(&self) -> Result<Place<'_>, Overloaded> {
        let admitted = self.places_and_queue.try_acquire().map_err(|_| Overloaded)?;
        let in_work = tokio::time::timeout(self.longest_wait, self.places.acquire()).await;
        match in_work {
            Ok(Ok(in_work)) => Ok(Place { _in_work: in_work, _admitted: admitted }),
            _ => Err(Overloaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(concurrency: usize, queue: usize) -> LimitsConfig {
        LimitsConfig { concurrency, queue, queue_timeout_secs: 1, ..LimitsConfig::default() }
    }

    #[tokio::test]
    async fn beyond_places_and_queue_is_overload_and_it_recovers() {
        let admission = Admission::new(&limits(1, 1));
        let first = admission.enter().await.unwrap();
        let (second, third) = tokio::join!(admission.enter(), async {
            tokio::task::yield_now().await;
            let third = admission.enter().await.err();
            drop(first);
            third
        });
        assert_eq!(third, Some(Overloaded), "the queue is full");
        drop(second.unwrap());
        admission.enter().await.unwrap();
    }

    #[tokio::test]
    async fn waiting_ends() {
        let admission = Admission::new(&limits(1, 1));
        let _held = admission.enter().await.unwrap();
        assert_eq!(admission.enter().await.err(), Some(Overloaded));
    }
}
