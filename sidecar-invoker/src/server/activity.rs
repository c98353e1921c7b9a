//! The work on a connection, by which idle connections are known.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::util::lock;

/// The time for which a connection is spared after its last request, so that its client can send the next.
const REST: Duration = Duration::from_secs(1);

/// The work on one connection.
pub(super) struct Activity(Mutex<State>);

struct State {
    /// The requests whose responses have not been handed over to the connection.
    exchanges: usize,
    /// The client does not take what the connection has to write.
    is_blocked: bool,
    /// The time of the last change.
    since: Instant,
}

/// A request in progress, until it is dropped.
pub(super) struct Exchange(Arc<Activity>);

impl Activity {
    /// Creates the state of a new connection.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            exchanges: 0,
            is_blocked: false,
            since: Instant::now(),
        })))
    }

    /// Begins a request.
    pub(super) fn begin(self: &Arc<Self>) -> Exchange {
        lock(&self.0).exchanges += 1;
        Exchange(Arc::clone(self))
    }

    /// Notes whether the client takes what the connection has to write.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        let mut state = lock(&self.0);
        state.is_blocked = is_blocked;
        state.since = Instant::now();
    }

    /// Returns whether the connection may be closed to make room for others.
    pub(super) fn is_idle(&self) -> bool {
        let state = lock(&self.0);
        state.exchanges == 0 && !state.is_blocked && state.since.elapsed() >= REST
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        state.exchanges -= 1;
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_some_time_after_its_last_work() {
        let activity = Activity::new();
        assert!(!activity.is_idle(), "its first request may be on the way");
        tokio::time::advance(REST).await;
        assert!(activity.is_idle());
        let exchange = activity.begin();
        assert!(!activity.is_idle());
        drop(exchange);
        activity.set_blocked(true);
        tokio::time::advance(REST).await;
        assert!(!activity.is_idle(), "its client has yet to read");
        activity.set_blocked(false);
        assert!(!activity.is_idle());
        tokio::time::advance(REST).await;
        assert!(activity.is_idle());
    }
}
