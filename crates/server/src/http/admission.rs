//! How many attestations are in work, and how many may wait. What is beyond is told to come back (429),
//! so that a flood costs the others time and never memory: a long body is read only in a place.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of places, and of those who may wait for one.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    places_and_queue: Arc<Semaphore>,
    longest_wait: Duration,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _in_work: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
}

/// Every place and the queue are taken, or a place did not come free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overloaded;

impl Admission {
    pub(crate) fn new(places: usize, queue: usize, longest_wait: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            places_and_queue: Arc::new(Semaphore::new(places.saturating_add(queue))),
            longest_wait,
        }
    }

    /// Takes a place, waiting for one in the queue if that has room.
    pub(crate) async fn enter(&self) -> Result<Place, Overloaded> {
        let admitted = Arc::clone(&self.places_and_queue).try_acquire_owned().map_err(|_| Overloaded)?;
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(self.longest_wait, place).await {
            Ok(Ok(in_work)) => Ok(Place { _in_work: in_work, _admitted: admitted }),
            _ => Err(Overloaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn beyond_places_and_queue_is_overload_and_it_recovers() {
        let admission = Admission::new(1, 1, Duration::from_millis(200));
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
        let admission = Admission::new(1, 1, Duration::from_millis(200));
        let _held = admission.enter().await.unwrap();
        assert_eq!(admission.enter().await.err(), Some(Overloaded));
    }
}
