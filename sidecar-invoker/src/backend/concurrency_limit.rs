//! A limit on concurrent invocations, with a bounded queue in order of arrival.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::invoke_api::error::ServiceError;
use crate::metrics::Queued;

/// Grants permits for invocations, under a limit of its own, a shared limit, or both.
pub(crate) struct ConcurrencyLimiter {
    own: Option<Arc<Semaphore>>,
    /// Set if the own limit is the concurrency of one function. That of an emulator, which takes no part in
    /// a shared limit, is not.
    is_reserved: bool,
    shared: Option<Arc<Semaphore>>,
    waiting: AtomicUsize,
}

/// Permission to run one invocation, returned to the limiter on drop.
pub(crate) struct Permit {
    _own: Option<OwnedSemaphorePermit>,
    _shared: Option<OwnedSemaphorePermit>,
}

impl ConcurrencyLimiter {
    /// Creates a limiter for `max` invocations. Each invocation takes a permit of `shared` as well.
    pub(crate) fn new(max: Option<usize>, shared: Option<Arc<Semaphore>>) -> Self {
        Self {
            own: max.map(|max| Arc::new(Semaphore::new(max))),
            is_reserved: shared.is_some(),
            shared,
            waiting: AtomicUsize::new(0),
        }
    }

    /// Waits up to `limit` for a permit. Permits are granted in order of arrival. `count` counts the caller
    /// while it is in the queue.
    ///
    /// # Errors
    /// Returns an error if the queue already holds `queue` invocations, or if `limit` passes.
    pub(crate) async fn acquire(
        &self,
        queue: usize,
        limit: Duration,
        count: impl FnOnce() -> Queued,
    ) -> Result<Permit, ServiceError> {
        if let Some(permit) = self.try_acquire() {
            return Ok(permit);
        }
        let slot = QueueSlot::take(self, queue)?;
        let queued = count();
        let permit = timeout(limit, self.wait()).await;
        drop(slot);
        drop(queued);
        match permit {
            Ok(permit) => permit.ok_or(ServiceError::ShuttingDown),
            Err(_) => Err(self.throttled()),
        }
    }

    /// Returns whether no permit of the own limit is left.
    pub(crate) fn is_used_up(&self) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|own| own.available_permits() == 0)
    }

    /// Returns the error for a caller that gets no permit, which names the limit that is used up.
    fn throttled(&self) -> ServiceError {
        match self.is_reserved && self.is_used_up() {
            true => ServiceError::ReservedConcurrencyExceeded,
            false => ServiceError::TooManyRequests,
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

/// A slot in the queue, freed on drop.
struct QueueSlot<'l>(&'l ConcurrencyLimiter);

impl<'l> QueueSlot<'l> {
    fn take(limiter: &'l ConcurrencyLimiter, max: usize) -> Result<Self, ServiceError> {
        let slot = Self(limiter);
        match limiter.waiting.fetch_add(1, Ordering::Relaxed) < max {
            true => Ok(slot),
            false => Err(limiter.throttled()),
        }
    }
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::FunctionMetrics;

    const LONG: Duration = Duration::from_secs(60);

    fn count() -> Queued {
        FunctionMetrics::default().wait()
    }

    fn limiter(own: Option<usize>, shared: usize) -> ConcurrencyLimiter {
        let shared = Arc::new(Semaphore::new(shared));
        ConcurrencyLimiter::new(own, Some(shared))
    }

    #[tokio::test]
    async fn permits_are_granted_in_order_and_the_queue_is_bounded() {
        let limiter = limiter(Some(1), 10);
        let first = limiter.acquire(2, LONG, count).await.unwrap();
        let mut second = Box::pin(limiter.acquire(2, LONG, count));
        let mut third = Box::pin(limiter.acquire(2, LONG, count));
        assert!(poll_once(&mut second).await.is_none());
        assert!(poll_once(&mut third).await.is_none());
        assert_eq!(
            limiter.acquire(2, LONG, count).await.err(),
            Some(ServiceError::ReservedConcurrencyExceeded)
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
    async fn a_caller_that_times_out_or_leaves_frees_its_slot() {
        let limiter = limiter(None, 1);
        let _permit = limiter.acquire(1, LONG, count).await.unwrap();
        assert_eq!(
            limiter
                .acquire(1, Duration::from_millis(1), count)
                .await
                .err(),
            Some(ServiceError::TooManyRequests)
        );
        assert_eq!(waiting(&limiter), 0);
        let mut left = Box::pin(limiter.acquire(1, LONG, count));
        assert!(poll_once(&mut left).await.is_none());
        drop(left);
        assert_eq!(waiting(&limiter), 0);
    }

    #[tokio::test]
    async fn an_error_names_the_limit_that_is_used_up() {
        let error = async |own, shared| {
            let limiter = limiter(own, shared);
            let _permit = limiter.acquire(0, LONG, count).await.unwrap();
            let no_slot = limiter.acquire(0, LONG, count).await.err();
            let too_late = limiter
                .acquire(1, Duration::from_millis(1), count)
                .await
                .err();
            assert_eq!(no_slot, too_late);
            no_slot.unwrap()
        };
        let reserved = ServiceError::ReservedConcurrencyExceeded;
        assert_eq!(error(Some(1), 2).await, reserved);
        assert_eq!(error(Some(2), 1).await, ServiceError::TooManyRequests);
        assert_eq!(error(None, 1).await, ServiceError::TooManyRequests);
        let emulator = ConcurrencyLimiter::new(Some(1), None);
        let _permit = emulator.acquire(0, LONG, count).await.unwrap();
        let busy = emulator.acquire(0, LONG, count).await.err();
        assert_eq!(busy, Some(ServiceError::TooManyRequests));
    }

    #[tokio::test]
    async fn a_shared_limit_holds_for_all_limiters() {
        let shared = Arc::new(Semaphore::new(1));
        let [first, second] =
            [(); 2].map(|()| ConcurrencyLimiter::new(None, Some(Arc::clone(&shared))));
        let permit = first.acquire(0, LONG, count).await.unwrap();
        assert!(second.acquire(0, LONG, count).await.is_err());
        drop(permit);
        assert!(second.acquire(0, LONG, count).await.is_ok());
    }

    fn waiting(limiter: &ConcurrencyLimiter) -> usize {
        limiter.waiting.load(Ordering::Relaxed)
    }

    async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
