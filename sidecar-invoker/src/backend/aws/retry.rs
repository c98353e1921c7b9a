//! The retries of invocations that cannot have started: conditions, budget and pauses.
//!
//! Source of budget and jitter: "Retry behavior" in the AWS SDKs and Tools reference guide, standard
//! mode. The SDK's own implementation is part of its clients, which would parse each response; here a
//! budget is one atomic integer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};

use super::error_response::error_type;
use crate::util::Backoff;

const CAPACITY: u32 = 500;
const RETRY_COST: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// The errors with status 429 which mean that the function was not invoked.
const THROTTLED: [&str; 4] = [
    "TooManyRequestsException",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
];

/// The budget of a function for retries. A retry takes tokens, and a success returns one token. If all
/// invocations fail, there are at most 100 retries, and later one retry for five successes.
pub(crate) struct RetryBudget(AtomicU32);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(CAPACITY))
    }
}

impl RetryBudget {
    /// Takes the tokens of one retry, and returns whether there were enough.
    pub(crate) fn take(&self) -> bool {
        let rest = |tokens: u32| tokens.checked_sub(RETRY_COST);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest)
            .is_ok()
    }

    /// Returns the token of one success.
    pub(crate) fn refill(&self) {
        let more = |tokens: u32| (tokens < CAPACITY).then_some(tokens + 1);
        // Fails if the budget is full.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

/// Returns the upper limits of the pauses between attempts.
pub(crate) fn backoff() -> Backoff {
    Backoff::new(FIRST_PAUSE, MAX_PAUSE)
}

/// Returns a random pause up to `limit`, but no less than `retry_after`.
pub(crate) fn pause(limit: Duration, retry_after: Option<Duration>) -> Duration {
    let jitter = limit.mul_f64(fastrand::f64());
    retry_after.map_or(jitter, |retry_after| retry_after.max(jitter))
}

/// Returns true if AWS throttled the invocation and did not run the function.
pub(crate) fn is_throttled(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        && error_type(headers).is_some_and(|name| THROTTLED.contains(&name))
}

/// Returns the time that AWS asks to wait before the next attempt.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::invoke_api::headers::ERROR_TYPE;

    #[test]
    fn retries_spend_the_budget_and_successes_restore_it() {
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
    fn pauses_are_random_bounded_and_no_shorter_than_retry_after() {
        let mut limits = backoff();
        let first = limits.pause();
        assert!((0..100).all(|_| pause(first, None) <= FIRST_PAUSE));
        limits.pause();
        let third = limits.pause();
        assert!((0..100).any(|_| pause(third, None) > FIRST_PAUSE));
        for _ in 3..40 {
            assert!(pause(limits.pause(), None) <= MAX_PAUSE);
        }
        let retry_after = Duration::from_secs(30);
        assert_eq!(pause(first, Some(retry_after)), retry_after);
    }

    #[test]
    fn only_throttling_by_aws_itself_counts_as_throttled() {
        let mut headers = HeaderMap::new();
        assert!(!is_throttled(StatusCode::TOO_MANY_REQUESTS, &headers));
        let name = "TooManyRequestsException:http://internal.amazon.com/";
        headers.insert(ERROR_TYPE, HeaderValue::from_static(name));
        assert!(is_throttled(StatusCode::TOO_MANY_REQUESTS, &headers));
        assert!(!is_throttled(StatusCode::OK, &headers));
        headers.insert(ERROR_TYPE, HeaderValue::from_static("SomethingElse"));
        assert!(!is_throttled(StatusCode::TOO_MANY_REQUESTS, &headers));
    }

    #[test]
    fn retry_after_is_a_number_of_seconds() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(2)));
        let date = HeaderValue::from_static("Wed, 21 Oct 2015 07:28:00 GMT");
        headers.insert(RETRY_AFTER, date);
        assert_eq!(retry_after(&headers), None);
    }
}
