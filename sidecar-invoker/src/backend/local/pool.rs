//! A function's pool of execution environments, and its queue.

pub(crate) mod slots;
mod state;

use std::iter::repeat_n;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use lambda_api::Qualifier;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use self::slots::Slots;
use self::state::{Assignment, PoolState, Waiter};
use super::environment::failure::Failure;
use super::environment::{Environment, EnvironmentOwner};
use super::generation::Generation;
use super::spec::FunctionSpec;
use super::supervisor;
use crate::invoke_api::error::ServiceError;
use crate::metrics::{EnvironmentState, FunctionMetrics, Queued};
use crate::util::{Backoff, lock};

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
    /// The environments for processes that attach, if the function is started by somebody else.
    slots: Option<Slots>,
}

impl Pool {
    /// Creates a pool without environments.
    pub(super) fn new(
        spec: Arc<FunctionSpec>,
        queue: usize,
        metrics: Arc<FunctionMetrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            slots: spec.config.attach.is_some().then(Slots::default),
            spec,
            queue,
            metrics,
            state: Mutex::default(),
            environment_removed: Notify::new(),
        })
    }

    /// Returns the states of the environments.
    pub(super) fn environment_states(&self) -> Vec<EnvironmentState> {
        let environments = lock(&self.state).environments.clone();
        environments.iter().map(|it| it.state()).collect()
    }

    /// Returns the number of environments.
    #[cfg(test)]
    pub(super) fn environments(&self) -> usize {
        lock(&self.state).environments.len()
    }

    /// Waits for an idle environment of `version`, or for the failure to start one.
    pub(super) async fn environment(
        self: &Arc<Self>,
        version: &Qualifier,
    ) -> Result<Assignment, ServiceError> {
        let mut caller = {
            let mut state = lock(&self.state);
            if self.spec.context.stop.is_cancelled() {
                return Err(ServiceError::ShuttingDown);
            }
            if !state.has_to_wait(version.as_str(), Instant::now())
                && let Some(environment) = state.take_idle(version.as_str())
            {
                return Ok(Ok(environment));
            }
            let occupied = state
                .environments
                .iter()
                .filter(|environment| environment.is_occupied())
                .count();
            let startable = self.spec.config.concurrency.saturating_sub(occupied);
            if state.waiting.len() >= self.queue + startable {
                return state
                    .take_idle(version.as_str())
                    .map(Ok)
                    .ok_or(ServiceError::ReservedConcurrencyExceeded);
            }
            let caller = self.enqueue(&mut state, version);
            self.serve_waiting(&mut state);
            caller
        };
        tokio::select! {
            biased;
            assignment = &mut caller.assignment => assignment.map_err(|_| ServiceError::ShuttingDown),
            () = self.spec.stopped() => Err(ServiceError::ShuttingDown),
        }
    }

    fn enqueue(self: &Arc<Self>, state: &mut PoolState, version: &Qualifier) -> WaitingCaller {
        let (sender, assignment) = oneshot::channel();
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiting.push_back(Waiter {
            ticket,
            version: version.clone(),
            assignment: sender,
        });
        WaitingCaller {
            pool: Arc::clone(self),
            ticket,
            assignment,
            _queued: self.metrics.wait(),
        }
    }

    /// Gives waiting callers the environments of their version that are idle, and starts an environment for
    /// each caller beyond the number of those that are starting or about to be ready. Idle environments of
    /// versions that nobody waits for make room.
    ///
    /// An environment that has just responded is about to be ready, and so is one that has become idle
    /// at this moment. If it is late, another check follows.
    fn serve_waiting(self: &Arc<Self>, state: &mut PoolState) {
        if state.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        state.assign_idle(now);
        let unserved = state.unserved(now).into_iter();
        let wanted: Vec<_> = unserved.map(|waiter| waiter.version.clone()).collect();
        let room = self.room(state);
        state.make_room(wanted.len().saturating_sub(room));
        self.start(state, wanted.into_iter().take(room));
        if let Some(next) = state.next_late(now) {
            self.check_at(state, next);
        }
    }

    /// Serves waiting callers again at `time`.
    fn check_at(self: &Arc<Self>, state: &mut PoolState, time: Instant) {
        if state.next_check.is_some_and(|next| next <= time) {
            return;
        }
        state.next_check = Some(time);
        let pool = Arc::clone(self);
        let check = async move {
            sleep_until(time).await;
            let mut state = lock(&pool.state);
            if state.next_check == Some(time) {
                state.next_check = None;
            }
            pool.serve_waiting(&mut state);
        };
        let stop = self.spec.context.stop.clone();
        let tasks = &self.spec.context.tasks;
        tasks.spawn(stop.run_until_cancelled_owned(check));
    }

    fn new_environment(
        self: &Arc<Self>,
        generation: Generation,
        version: &Qualifier,
    ) -> Arc<Environment> {
        let owner = Arc::downgrade(self) as Weak<dyn EnvironmentOwner>;
        Environment::new(Arc::clone(&self.spec), owner, generation, version)
    }

    /// Starts an environment of each of the `versions`.
    fn start(
        self: &Arc<Self>,
        state: &mut PoolState,
        versions: impl IntoIterator<Item = Qualifier>,
    ) {
        if self.spec.context.stop.is_cancelled() {
            return;
        }
        for version in versions {
            if state.waits_for_previous(version.as_str()) {
                continue;
            }
            let environment = self.new_environment(state.generations.newest(), &version);
            state.environments.push(Arc::clone(&environment));
            if let Some(slots) = &self.slots {
                slots.offer(Arc::clone(&environment));
            }
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

    /// Returns the environments for processes that attach.
    pub(super) fn slots(&self) -> Option<&Slots> {
        self.slots.as_ref()
    }

    /// Creates an environment for a process that attaches. Returns false if there is no room for one.
    pub(super) fn attach(self: &Arc<Self>) -> bool {
        let mut state = lock(&self.state);
        let is_possible = self.room(&state) > 0 && !state.is_retired;
        if is_possible {
            self.start(&mut state, [Qualifier::latest()]);
        }
        is_possible
    }

    /// Returns whether the function was retired, and no environment or caller is left.
    pub(super) fn has_ended(&self) -> bool {
        let state = lock(&self.state);
        state.is_retired && state.environments.is_empty() && state.waiting.is_empty()
    }

    /// Ends each environment that no caller needs, from now on.
    pub(super) fn retire_all(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.is_retired = true;
        state.idle.drain(..).for_each(|idle| idle.dismiss());
        if state.waiting.is_empty() {
            let environments = state.environments.iter();
            environments.for_each(|environment| environment.abandon());
        }
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
            let replaced = state.idle.last().or(state.environments.last());
            let version = replaced.and_then(|environment| environment.version().parse().ok());
            self.start(state, version);
        }
    }

    /// Returns the number of environments that can be started now.
    fn room(&self, state: &PoolState) -> usize {
        let concurrency = self.spec.config.concurrency;
        concurrency.saturating_sub(state.environments.len())
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
                    .saturating_sub(state.latest());
                let missing = missing.min(self.room(&state));
                self.start(&mut state, repeat_n(Qualifier::latest(), missing));
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
    fn started(&self, duration: Duration) {
        self.metrics.record_start(duration);
    }

    fn used_memory(&self, mib: u64) {
        self.metrics.record_memory(mib);
    }

    fn ready(self: Arc<Self>, environment: Arc<Environment>) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        environment.announce();
        if state.generations.ready(environment.generation) {
            state.idle.drain(..).for_each(|old| old.dismiss());
        } else if environment.generation < state.generations.serving() {
            environment.dismiss();
            return self.serve_waiting(state);
        }
        let concurrency = self.spec.config.concurrency;
        if state.is_outranked(environment.version(), concurrency, Instant::now()) {
            environment.dismiss();
            return self.serve_waiting(state);
        }
        if let Some(duration) = environment.start_duration() {
            state.start_duration = duration;
        }
        state.assign(environment);
        if state.is_retired {
            state.idle.drain(..).for_each(|idle| idle.dismiss());
        }
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
            if state.generations.failed(environment.generation)
                && state.has_previous(environment.version())
            {
                tracing::warn!(function = %self.spec.name, "the environments from before the change continue to serve");
                return;
            }
            state.next_waiter(environment.version())
        };
        if let Some(waiter) = waiter {
            // Sending fails if the caller has just left.
            let _ = waiter.assignment.send(Err(failure));
        }
    }

    fn retire(&self, environment: &Arc<Environment>) -> bool {
        let mut state = lock(&self.state);
        let is_kept = !state.is_retired
            && environment.version() == Qualifier::latest().as_str()
            && state.latest() <= self.spec.config.min_environments;
        if is_kept || !environment.retire() {
            return false;
        }
        state.idle.retain(|other| !Arc::ptr_eq(other, environment));
        true
    }

    fn removed(self: Arc<Self>, environment: &Arc<Environment>) {
        if let Some(slots) = &self.slots {
            slots.remove(environment);
        }
        let mut state = lock(&self.state);
        state
            .environments
            .retain(|other| !Arc::ptr_eq(other, environment));
        state.idle.retain(|other| !Arc::ptr_eq(other, environment));
        self.serve_waiting(&mut state);
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
