//! A function's pool of execution environments, and its queue.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use super::environment::failure::Failure;
use super::environment::{Environment, EnvironmentOwner};
use super::generation::{Generation, Generations};
use super::spec::FunctionSpec;
use super::supervisor;
use crate::invoke_api::error::ServiceError;
use crate::metrics::{FunctionMetrics, Queued};
use crate::util::{Backoff, lock};

/// The time that a caller waits for an environment that has responded, before a new environment is started.
///
/// A runtime asks for its next invocation within a millisecond, unless the function still works after
/// its response.
const SETTLING_GRACE: Duration = Duration::from_millis(20);

/// The first pause after an environment of `min_environments` has failed to start.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause after several failures in a row.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The environments of a function, and its queue.
pub(super) struct Pool {
    pub(super) spec: Arc<FunctionSpec>,
    /// The number of callers that may wait beyond those for which an environment can be started.
    queue: usize,
    metrics: Arc<FunctionMetrics>,
    state: Mutex<PoolState>,
    /// Notified when an environment has been removed.
    environment_removed: Notify,
}

/// The state of a pool. Callers wait only while no environment is idle.
#[derive(Default)]
struct PoolState {
    /// All environments with processes: `concurrency` at most, plus one that tries a new generation.
    environments: Vec<Arc<Environment>>,
    /// The idle environments. The most recently used one is the last.
    idle: Vec<Arc<Environment>>,
    /// The waiting callers, in the order of their arrival.
    waiting: VecDeque<Waiter>,
    tickets: u64,
    /// The number of environments that failed to start.
    failures: u64,
    /// The generations of the function's files.
    generations: Generations,
}

impl PoolState {
    /// Returns true if an environment of an earlier generation can still serve.
    fn has_previous(&self) -> bool {
        let serving = self.generations.serving();
        let serves = |environment: &Arc<Environment>| {
            environment.generation == serving
                && !environment.is_starting()
                && !environment.is_ended()
        };
        serving < self.generations.newest() && self.environments.iter().any(serves)
    }

    /// Returns true if callers wait for the previous generation, because the newest does not start.
    fn waits_for_previous(&self) -> bool {
        self.generations.newest_failed() && self.has_previous()
    }
}

/// A caller in the queue.
struct Waiter {
    ticket: u64,
    assignment: oneshot::Sender<Assignment>,
}

/// An idle environment, or the failure to start one.
pub(super) type Assignment = Result<Arc<Environment>, Failure>;

impl Pool {
    /// Creates a pool without environments.
    pub(super) fn new(
        spec: Arc<FunctionSpec>,
        queue: usize,
        metrics: Arc<FunctionMetrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            spec,
            queue,
            metrics,
            state: Mutex::default(),
            environment_removed: Notify::new(),
        })
    }

    /// Returns the number of environments.
    #[cfg(test)]
    pub(super) fn environments(&self) -> usize {
        lock(&self.state).environments.len()
    }

    /// Waits for an idle environment, or for the failure to start one.
    pub(super) async fn environment(self: &Arc<Self>) -> Result<Assignment, ServiceError> {
        let mut caller = {
            let mut state = lock(&self.state);
            if self.spec.context.stop.is_cancelled() {
                return Err(ServiceError::ShuttingDown);
            }
            if let Some(environment) = state.idle.pop() {
                return Ok(Ok(environment));
            }
            let occupied = state
                .environments
                .iter()
                .filter(|environment| environment.is_occupied())
                .count();
            let startable = self.spec.config.concurrency.saturating_sub(occupied);
            if state.waiting.len() >= self.queue + startable {
                return Err(ServiceError::ReservedConcurrencyExceeded);
            }
            let caller = self.enqueue(&mut state);
            self.grow(&mut state, Environment::is_settling);
            caller
        };
        tokio::select! {
            biased;
            assignment = &mut caller.assignment => return assignment.map_err(|_| ServiceError::ShuttingDown),
            () = self.spec.stopped() => return Err(ServiceError::ShuttingDown),
            () = sleep(SETTLING_GRACE) => self.grow(&mut lock(&self.state), |_| false),
        }
        tokio::select! {
            biased;
            assignment = &mut caller.assignment => assignment.map_err(|_| ServiceError::ShuttingDown),
            () = self.spec.stopped() => Err(ServiceError::ShuttingDown),
        }
    }

    fn enqueue(self: &Arc<Self>, state: &mut PoolState) -> WaitingCaller {
        let (sender, assignment) = oneshot::channel();
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiting.push_back(Waiter {
            ticket,
            assignment: sender,
        });
        WaitingCaller {
            pool: Arc::clone(self),
            ticket,
            assignment,
            _queued: self.metrics.wait(),
        }
    }

    /// Starts an environment for each waiting caller beyond the number of environments that are starting
    /// or `soon_free`.
    fn grow(self: &Arc<Self>, state: &mut PoolState, soon_free: impl Fn(&Environment) -> bool) {
        let expected =
            |environment: &&Arc<Environment>| environment.is_starting() || soon_free(environment);
        let expected = state.environments.iter().filter(expected).count();
        let wanted = state.waiting.len().saturating_sub(expected);
        let room = self
            .spec
            .config
            .concurrency
            .saturating_sub(state.environments.len());
        self.start(state, wanted.min(room));
    }

    fn new_environment(self: &Arc<Self>, generation: Generation) -> Arc<Environment> {
        let owner = Arc::downgrade(self) as Weak<dyn EnvironmentOwner>;
        Environment::new(Arc::clone(&self.spec), owner, generation)
    }

    fn start(self: &Arc<Self>, state: &mut PoolState, count: usize) {
        if self.spec.context.stop.is_cancelled() || state.waits_for_previous() {
            return;
        }
        for _ in 0..count {
            let environment = self.new_environment(state.generations.newest());
            state.environments.push(Arc::clone(&environment));
            let owner = Arc::clone(self) as Arc<dyn EnvironmentOwner>;
            let tasks = &self.spec.context.tasks;
            tasks.spawn(supervisor::run(environment, owner));
        }
    }

    /// Begins a new generation after a change to the file `changed`. Returns false if there is no environment
    /// to replace.
    ///
    /// A new environment tries the generation, in addition to `concurrency` if necessary. Once the
    /// environment is ready, the generation serves. An environment that is starting without a caller is
    /// ended first, unless the new one is to start `in_turn`.
    pub(super) fn reload(self: &Arc<Self>, changed: &Path, in_turn: bool) -> bool {
        let mut state = lock(&self.state);
        state.generations.change();
        if state.environments.is_empty() {
            return false;
        }
        tracing::info!(function = %self.spec.name, "{} has changed: restarting", changed.display());
        if state.waiting.is_empty() && !in_turn {
            // No caller needs an environment that is starting from the old files.
            let environments = state.environments.iter();
            environments.for_each(|environment| environment.abandon());
        }
        self.try_newest(&mut state);
        true
    }

    /// Starts an environment that tries the newest generation, unless one exists or the number of
    /// environments is already above `concurrency`.
    fn try_newest(self: &Arc<Self>, state: &mut PoolState) {
        let newest = state.generations.newest();
        let is_wanted = newest > state.generations.serving() && !state.generations.newest_failed();
        let is_tried = state
            .environments
            .iter()
            .any(|environment| environment.generation == newest);
        let is_replacing = !state.environments.is_empty();
        let has_room = state.environments.len() <= self.spec.config.concurrency;
        if is_wanted && !is_tried && is_replacing && has_room {
            self.start(state, 1);
        }
    }

    /// Keeps `min_environments` running without calls, until the invoker ends.
    ///
    /// The pauses after failed starts grow.
    pub(super) async fn keep_warm(self: Arc<Self>) {
        let mut backoff = Backoff::new(FIRST_PAUSE, MAX_PAUSE);
        loop {
            let failures = {
                let mut state = lock(&self.state);
                let missing = self
                    .spec
                    .config
                    .min_environments
                    .saturating_sub(state.environments.len());
                self.start(&mut state, missing);
                state.failures
            };
            tokio::select! {
                () = self.spec.stopped() => return,
                () = self.environment_removed.notified() => {}
            }
            if lock(&self.state).failures == failures {
                backoff.reset();
                continue;
            }
            tokio::select! {
                () = self.spec.stopped() => return,
                () = sleep(backoff.pause()) => {}
            }
        }
    }
}

impl EnvironmentOwner for Pool {
    fn ready(self: Arc<Self>, environment: Arc<Environment>) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        if state.generations.ready(environment.generation) {
            state.idle.drain(..).for_each(|old| old.dismiss());
        } else if environment.generation < state.generations.serving() {
            environment.dismiss();
            return self.grow(state, Environment::is_settling);
        }
        let mut assignment = Ok(environment);
        while let Some(waiter) = state.waiting.pop_front() {
            match waiter.assignment.send(assignment) {
                Ok(()) => return,
                Err(returned) => assignment = returned,
            }
        }
        state.idle.extend(assignment);
    }

    /// Passes the failure to the caller that has waited longest. Thus each caller causes one attempt, and
    /// there is no attempt without a caller.
    fn failed_to_start(&self, environment: &Environment, failure: Failure) {
        tracing::warn!(
            function = %self.spec.name,
            directory = %self.spec.config.directory.display(),
            "an execution environment could not be started: {failure}{}",
            environment.start_hint(&failure)
        );
        let waiter = {
            let mut state = lock(&self.state);
            state.failures += 1;
            if state.generations.failed(environment.generation) && state.has_previous() {
                tracing::warn!(function = %self.spec.name, "the environments from before the change continue to serve");
                return;
            }
            state.waiting.pop_front()
        };
        if let Some(waiter) = waiter {
            // Sending fails if the caller has just left.
            let _ = waiter.assignment.send(Err(failure));
        }
    }

    fn retire(&self, environment: &Arc<Environment>) -> bool {
        let mut state = lock(&self.state);
        let living = state
            .environments
            .iter()
            .filter(|environment| !environment.is_ended());
        if living.count() <= self.spec.config.min_environments || !environment.retire() {
            return false;
        }
        state.idle.retain(|other| !Arc::ptr_eq(other, environment));
        true
    }

    fn removed(self: Arc<Self>, environment: &Arc<Environment>) {
        let mut state = lock(&self.state);
        state
            .environments
            .retain(|other| !Arc::ptr_eq(other, environment));
        state.idle.retain(|other| !Arc::ptr_eq(other, environment));
        self.grow(&mut state, Environment::is_settling);
        self.try_newest(&mut state);
        self.environment_removed.notify_one();
    }
}

/// A caller's side of a [`Waiter`]. Dropping it removes the caller from the queue.
struct WaitingCaller {
    pool: Arc<Pool>,
    ticket: u64,
    assignment: oneshot::Receiver<Assignment>,
    _queued: Queued,
}

impl Drop for WaitingCaller {
    fn drop(&mut self) {
        {
            let waiting = &mut lock(&self.pool.state).waiting;
            if let Some(index) = waiting
                .iter()
                .position(|waiter| waiter.ticket == self.ticket)
            {
                waiting.remove(index);
                return;
            }
        }
        // An environment was assigned while the caller was leaving.
        if let Ok(Ok(environment)) = self.assignment.try_recv() {
            Arc::clone(&self.pool).ready(environment);
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
pub(super) mod tests;
