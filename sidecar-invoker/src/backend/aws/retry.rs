//! When an invocation that cannot have started is tried again, and how soon.
//!
//! Source of budget and jitter: "Retry behavior" in the AWS SDKs and Tools reference guide, standard
//! mode.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};

use super::error_response::error_type;
use crate::util::Backoff;

const CAPACITY: u32 = 500;
const RETRY_COST: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The errors of status 429 by which AWS says that the function was not invoked.
const THROTTLED: [&str; 4] = [
    "TooManyRequestsException",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
];

/// What retries may cost: they take tokens, successes bring them back, so that while all fails there
/// are at most 100 retries and then one for five successes.
pub(crate) struct RetryBudget(AtomicU32);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(CAPACITY))
    }
}

impl RetryBudget {
    /// Takes what a retry costs; tells whether it was there.
    pub(crate) fn take(&self) -> bool {
        let rest = |tokens: u32| tokens.checked_sub(RETRY_COST);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest)
            .is_ok()
    }

    /// Brings back what a success is worth.
    pub(crate) fn refill(&self) {
        let more = |tokens: u32| (tokens < CAPACITY).then_some(tokens + 1);
        // Fails if it is full.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

/// The limits of the pauses between attempts.
pub(crate) fn backoff() -> Backoff {
    Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
}

/// A pause at random up to `limit`, and not shorter than AWS asks for.
pub(crate) fn pause(limit: Duration, asked: Option<Duration>) -> Duration {
    let jitter = limit.mul_f64(fastrand::f64());
    asked.map_or(jitter, |asked| asked.max(jitter))
}

/// Whether AWS says that it has not invoked the function for now, and what it asks to wait.
pub(crate) fn throttled(status: StatusCode, headers: &HeaderMap) -> Option<Option<Duration>> {
    let name = error_type(headers)?;
    let throttled = status == StatusCode::TOO_MANY_REQUESTS && THROTTLED.contains(&name);
    throttled.then(|| {
        let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::invoke_api::headers::ERROR_TYPE;

    #[test]
    fn the_budget_ends_and_successes_bring_it_back() {
        let budget = RetryBudget::default();
        assert_eq!((0..1_000).filter(|_| budget.take()).count(), 100);
        for _ in 0..4 {
            budget.refill();
        }
        assert!(!budget.take());
        budget.refill();
        assert!(budget.take());
        for _ in 0..10_000 {
            budget.refill();
        }
        assert_eq!((0..1_000).filter(|_| budget.take()).count(), 100);
    }

    #[test]
    fn pauses_are_random_bounded_and_as_long_as_asked() {
        let mut limits = backoff();
        let first = limits.pause();
        assert!((0..100).all(|_| pause(first, None) <= FIRST_PAUSE));
        limits.pause();
        let third = limits.pause();
        assert!((0..100).any(|_| pause(third, None) > FIRST_PAUSE));
        for _ in 3..40 {
            assert!(pause(limits.pause(), None) <= LONGEST_PAUSE);
        }
        let asked = Duration::from_secs(30);
        assert_eq!(pause(first, Some(asked)), asked);
    }

    #[test]
    fn only_aws_s_own_throttling_is_known_not_to_have_started() {
        let mut headers = HeaderMap::new();
        assert_eq!(throttled(StatusCode::TOO_MANY_REQUESTS, &headers), None);
        let name = "TooManyRequestsException:http://internal.amazon.com/";
        headers.insert(ERROR_TYPE, HeaderValue::from_static(name));
        assert_eq!(
            throttled(StatusCode::TOO_MANY_REQUESTS, &headers),
            Some(None)
        );
        assert_eq!(throttled(StatusCode::OK, &headers), None);
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        let asked = throttled(StatusCode::TOO_MANY_REQUESTS, &headers);
        assert_eq!(asked, Some(Some(Duration::from_secs(2))));
        headers.insert(ERROR_TYPE, HeaderValue::from_static("SomethingElse"));
        assert_eq!(throttled(StatusCode::TOO_MANY_REQUESTS, &headers), None);
    }
}
