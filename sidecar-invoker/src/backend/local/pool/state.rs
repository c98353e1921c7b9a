//! The environments of a pool and its waiting callers.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::backend::local::environment::Environment;
use crate::backend::local::environment::failure::Failure;
use crate::backend::local::generation::Generations;

/// The time after its response in which the environment that was used last is awaited, although
/// another one is idle. Thus one call after another goes to the same environment.
///
/// A runtime asks for its next invocation within a millisecond, unless the machine is busy or the
/// function still works after its response.
pub(super) const WAKE_GRACE: Duration = Duration::from_millis(5);

/// The state of a pool. Callers wait while no environment is idle, or for the one that was used last.
#[derive(Default)]
pub(super) struct PoolState {
    /// All environments with processes: `concurrency` at most, plus one that tries a new generation.
    pub(super) environments: Vec<Arc<Environment>>,
    /// The idle environments. The most recently used one is the last.
    pub(super) idle: Vec<Arc<Environment>>,
    /// The waiting callers, in the order of their arrival.
    pub(super) waiting: VecDeque<Waiter>,
    pub(super) tickets: u64,
    /// The environment that was used last.
    pub(super) last: Weak<Environment>,
    /// The duration of the last start.
    pub(super) start_duration: Duration,
    /// The time of the next check whether an environment that was awaited is late.
    pub(super) next_check: Option<Instant>,
    /// The number of environments that failed to start.
    pub(super) failures: u64,
    /// The generations of the function's files.
    pub(super) generations: Generations,
}

impl PoolState {
    /// Returns true if an environment of an earlier generation can still serve.
    pub(super) fn has_previous(&self) -> bool {
        let serving = self.generations.serving();
        let serves = |environment: &Arc<Environment>| {
            environment.generation == serving
                && !environment.is_starting()
                && !environment.is_ended()
        };
        serving < self.generations.newest() && self.environments.iter().any(serves)
    }

    /// Returns the time until which the environment that was used last is awaited.
    pub(super) fn last_is_awaited(&self, now: Instant) -> Option<Instant> {
        let until = self.last.upgrade()?.about_to_be_ready_since()? + WAKE_GRACE;
        (until > now).then_some(until)
    }

    /// Takes the environment for the next caller.
    pub(super) fn take_idle(&mut self) -> Option<Arc<Environment>> {
        let environment = self.idle.pop()?;
        self.last = Arc::downgrade(&environment);
        Some(environment)
    }

    /// Gives the environment to the caller that has waited longest, or makes it idle.
    pub(super) fn assign(&mut self, environment: Arc<Environment>) {
        let last = Arc::downgrade(&environment);
        let mut assignment = Ok(environment);
        while let Some(waiter) = self.waiting.pop_front() {
            match waiter.assignment.send(assignment) {
                Ok(()) => {
                    self.last = last;
                    return;
                }
                Err(returned) => assignment = returned,
            }
        }
        self.idle.extend(assignment);
    }

    /// Returns true if callers wait for the previous generation, because the newest does not start.
    pub(super) fn waits_for_previous(&self) -> bool {
        self.generations.newest_failed() && self.has_previous()
    }
}

/// A caller in the queue.
pub(super) struct Waiter {
    pub(super) ticket: u64,
    pub(super) assignment: oneshot::Sender<Assignment>,
}

/// An idle environment, or the failure to start one.
pub(crate) type Assignment = Result<Arc<Environment>, Failure>;
