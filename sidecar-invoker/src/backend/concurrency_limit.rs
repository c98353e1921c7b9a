//! A limit of invocations that run at once, with a bounded queue in order of arrival before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::invoke_api::error::ServiceError;
use crate::metrics::Counts;

/// A limit of its own, one that it shares with others, or both.
pub(crate) struct ConcurrencyLimiter {
    own: Option<Arc<Semaphore>>,
    shared: Option<Arc<Semaphore>>,
    waiting: AtomicUsize,
    /// The metrics in which those that wait are counted.
    counts: Option<Arc<Counts>>,
}

/// The right to run one invocation, until it is dropped.
pub(crate) struct Permit {
    _own: Option<OwnedSemaphorePermit>,
    _shared: Option<OwnedSemaphorePermit>,
}

impl ConcurrencyLimiter {
    /// A limiter for `max` invocations, of which `shared` has to allow each too.
    pub(crate) fn new(
        max: Option<usize>,
        shared: Option<Arc<Semaphore>>,
        counts: Option<Arc<Counts>>,
    ) -> Self {
        Self {
            own: max.map(|max| Arc::new(Semaphore::new(max))),
            shared,
            waiting: AtomicUsize::new(0),
            counts,
        }
    }

    /// Waits for a permit, in order, for at most `limit`.
    ///
    /// # Errors
    /// `queue` others wait already, or there is none in time.
    pub(crate) async fn acquire(
        &self,
        queue: usize,
        limit: Duration,
    ) -> Result<Permit, ServiceError> {
        if let Some(permit) = self.try_acquire() {
            return Ok(permit);
        }
        let slot = QueueSlot::take(self, queue)?;
        let permit = timeout(limit, self.wait()).await;
        drop(slot);
        match permit {
            Ok(permit) => permit.ok_or(ServiceError::ShuttingDown),
            Err(_) => Err(ServiceError::TooManyRequests),
        }
    }

    fn try_acquire(&self) -> Option<Permit> {
        let take = |semaphore: &Arc<Semaphore>| Arc::clone(semaphore).try_acquire_owned();
        Some(Permit {
            _own: self.own.as_ref().map(take).transpose().ok()?,
            _shared: self.shared.as_ref().map(take).transpose().ok()?,
        })
    }

    async fn wait(&self) -> Option<Permit> {
        let own = match &self.own {
            Some(own) => Some(Arc::clone(own).acquire_owned().await.ok()?),
            None => None,
        };
        let shared = match &self.shared {
            Some(shared) => Some(Arc::clone(shared).acquire_owned().await.ok()?),
            None => None,
        };
        Some(Permit {
            _own: own,
            _shared: shared,
        })
    }
}

/// A place in the queue, which is left when it is dropped.
struct QueueSlot<'l>(&'l ConcurrencyLimiter);

impl<'l> QueueSlot<'l> {
    fn take(limiter: &'l ConcurrencyLimiter, max: usize) -> Result<Self, ServiceError> {
        let slot = Self(limiter);
        if let Some(counts) = &limiter.counts {
            counts.waiting.fetch_add(1, Ordering::Relaxed);
        }
        match limiter.waiting.fetch_add(1, Ordering::Relaxed) < max {
            true => Ok(slot),
            false => Err(ServiceError::TooManyRequests),
        }
    }
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        if let Some(counts) = &self.0.counts {
            counts.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn limiter(own: Option<usize>, all: usize) -> Arc<ConcurrencyLimiter> {
        let all = Arc::new(Semaphore::new(all));
        Arc::new(ConcurrencyLimiter::new(own, Some(all), None))
    }

    #[tokio::test]
    async fn permits_come_in_order_and_the_queue_is_bounded() {
        let limiter = limiter(Some(1), 10);
        let first = limiter.acquire(2, LONG).await.unwrap();
        let mut second = Box::pin(limiter.acquire(2, LONG));
        let mut third = Box::pin(limiter.acquire(2, LONG));
        assert!(poll_once(&mut second).await.is_none());
        assert!(poll_once(&mut third).await.is_none());
        assert_eq!(
            limiter.acquire(2, LONG).await.err(),
            Some(ServiceError::TooManyRequests)
        );
        assert_eq!(waiting(&limiter), 2);
        drop(first);
        assert!(poll_once(&mut third).await.is_none(), "not its turn yet");
        let permit = second.await.unwrap();
        drop(permit);
        third.await.unwrap();
        assert_eq!(waiting(&limiter), 0);
    }

    #[tokio::test]
    async fn who_waits_too_long_or_leaves_gives_up_the_place() {
        let limiter = limiter(None, 1);
        let _permit = limiter.acquire(1, LONG).await.unwrap();
        assert_eq!(
            limiter.acquire(1, Duration::from_millis(1)).await.err(),
            Some(ServiceError::TooManyRequests)
        );
        assert_eq!(waiting(&limiter), 0);
        let mut left = Box::pin(limiter.acquire(1, LONG));
        assert!(poll_once(&mut left).await.is_none());
        drop(left);
        assert_eq!(waiting(&limiter), 0);
    }

    #[tokio::test]
    async fn the_limit_over_all_holds_for_each_function() {
        let all = Arc::new(Semaphore::new(1));
        let [one, other] =
            [(); 2].map(|()| ConcurrencyLimiter::new(None, Some(Arc::clone(&all)), None));
        let permit = one.acquire(0, LONG).await.unwrap();
        assert!(other.acquire(0, LONG).await.is_err());
        drop(permit);
        assert!(other.acquire(0, LONG).await.is_ok());
    }

    fn waiting(limiter: &ConcurrencyLimiter) -> usize {
        limiter.waiting.load(Ordering::Relaxed)
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
