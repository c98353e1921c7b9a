//! How many invocations run at once: a limit per function and one over all, with a queue in order
//! of arrival before them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::backend::aws::Budget;
use crate::invoke_api::error::ServiceError;
use crate::metrics::Counts;

/// What the callers of one function share.
pub(crate) struct Gate {
    own: Option<Arc<Semaphore>>,
    all: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Where the function is counted.
    pub(crate) counts: Arc<Counts>,
    /// What the function's retries may cost.
    pub(crate) budget: Budget,
}

/// The right to run one invocation, until it is dropped.
pub(crate) struct Turn {
    _own: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Gate {
    /// A gate for `most` invocations of its function, and for as many of all as `all` has.
    pub(crate) fn new(most: Option<usize>, all: Arc<Semaphore>, counts: Arc<Counts>) -> Self {
        Self {
            own: most.map(|most| Arc::new(Semaphore::new(most))),
            all,
            waiting: AtomicUsize::new(0),
            counts,
            budget: Budget::default(),
        }
    }

    /// Waits for a turn, in order, unless `queue` others do already, and for no longer than `limit`.
    pub(crate) async fn enter(&self, queue: usize, limit: Duration) -> Result<Turn, ServiceError> {
        if let Some(turn) = self.try_enter() {
            return Ok(turn);
        }
        let place = Place(self);
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= queue {
            return Err(ServiceError::TooManyRequests);
        }
        let turn = timeout(limit, self.acquire()).await;
        drop(place);
        match turn {
            Ok(turn) => turn.ok_or(ServiceError::ShuttingDown),
            Err(_) => Err(ServiceError::TooManyRequests),
        }
    }

    fn try_enter(&self) -> Option<Turn> {
        let own = match &self.own {
            Some(own) => Some(Arc::clone(own).try_acquire_owned().ok()?),
            None => None,
        };
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Turn {
            _own: own,
            _all: all,
        })
    }

    async fn acquire(&self) -> Option<Turn> {
        let own = match &self.own {
            Some(own) => Some(Arc::clone(own).acquire_owned().await.ok()?),
            None => None,
        };
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn {
            _own: own,
            _all: all,
        })
    }
}

/// A place in the queue, which is left when it is dropped.
struct Place<'g>(&'g Gate);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.counts.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn gate(own: Option<usize>, all: usize) -> Arc<Gate> {
        Arc::new(Gate::new(
            own,
            Arc::new(Semaphore::new(all)),
            Arc::default(),
        ))
    }

    #[tokio::test]
    async fn turns_come_in_order_and_the_queue_is_bounded() {
        let gate = gate(Some(1), 10);
        let first = gate.enter(2, LONG).await.unwrap();
        let mut second = Box::pin(gate.enter(2, LONG));
        let mut third = Box::pin(gate.enter(2, LONG));
        assert!(poll_once(&mut second).await.is_none());
        assert!(poll_once(&mut third).await.is_none());
        assert_eq!(
            gate.enter(2, LONG).await.err(),
            Some(ServiceError::TooManyRequests)
        );
        assert_eq!(waiting(&gate), 2);
        drop(first);
        assert!(poll_once(&mut third).await.is_none(), "not its turn yet");
        let turn = second.await.unwrap();
        drop(turn);
        third.await.unwrap();
        assert_eq!(waiting(&gate), 0);
    }

    #[tokio::test]
    async fn who_waits_too_long_or_leaves_gives_up_the_place() {
        let gate = gate(None, 1);
        let _turn = gate.enter(1, LONG).await.unwrap();
        assert_eq!(
            gate.enter(1, Duration::from_millis(1)).await.err(),
            Some(ServiceError::TooManyRequests)
        );
        assert_eq!(waiting(&gate), 0);
        let mut left = Box::pin(gate.enter(1, LONG));
        assert!(poll_once(&mut left).await.is_none());
        drop(left);
        assert_eq!(waiting(&gate), 0);
    }

    #[tokio::test]
    async fn the_limit_over_all_holds_for_each_function() {
        let all = Arc::new(Semaphore::new(1));
        let [one, other] = [(); 2].map(|()| Gate::new(None, Arc::clone(&all), Arc::default()));
        let turn = one.enter(0, LONG).await.unwrap();
        assert!(other.enter(0, LONG).await.is_err());
        drop(turn);
        assert!(other.enter(0, LONG).await.is_ok());
    }

    fn waiting(gate: &Gate) -> usize {
        gate.waiting.load(Ordering::Relaxed)
    }

    /// Polls once.
    async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
