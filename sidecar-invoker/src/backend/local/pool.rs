//! A function's pool of execution environments and the queue before it.

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
use crate::util::{Backoff, lock};

/// How long an environment that has answered may take to ask for its next invocation before a
/// caller gets a new one instead. A runtime takes well under a millisecond; work that a function
/// does after its answer takes longer.
const SETTLING_GRACE: Duration = Duration::from_millis(20);

/// How long after its end an environment that is to be kept warm and cannot be started is tried
/// again, for the first time and at the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A function's environments and its queue.
pub(super) struct Pool {
    pub(super) spec: Arc<FunctionSpec>,
    /// How many callers may wait beyond those for whom an environment can be started.
    queue: usize,
    state: Mutex<State>,
    /// An environment is gone.
    environment_removed: Notify,
}

/// Invariant: callers wait only while no environment is idle.
#[derive(Default)]
struct State {
    /// All whose process may still be there, at most `concurrency` and one that tries a change of files.
    environments: Vec<Arc<Environment>>,
    /// Those that can take an invocation, the one used last at the end.
    idle: Vec<Arc<Environment>>,
    /// Callers, the one who came first at the front.
    waiting: VecDeque<Waiter>,
    tickets: u64,
    /// How many environments could not be started.
    failures: u64,
    /// Which states of the function's files they were started from.
    generations: Generations,
}

impl State {
    /// Whether an environment from before the last change can still serve.
    fn has_old(&self) -> bool {
        let serving = self.generations.serving();
        let serves = |one: &Arc<Environment>| {
            one.generation == serving && !one.is_starting() && !one.is_ended()
        };
        serving < self.generations.newest() && self.environments.iter().any(serves)
    }

    /// Whether callers have to wait for those, as what is there now cannot be started.
    fn waits_for_the_old(&self) -> bool {
        self.generations.is_refused() && self.has_old()
    }
}

struct Waiter {
    ticket: u64,
    assignment: oneshot::Sender<Assignment>,
}

/// An idle environment, or why none could be started.
pub(super) type Assignment = Result<Arc<Environment>, Failure>;

impl Pool {
    /// A pool without any environment yet.
    pub(super) fn new(spec: Arc<FunctionSpec>, queue: usize) -> Arc<Self> {
        Arc::new(Self {
            spec,
            queue,
            state: Mutex::default(),
            environment_removed: Notify::new(),
        })
    }

    /// How many environments there are.
    #[cfg(test)]
    pub(super) fn environments(&self) -> usize {
        lock(&self.state).environments.len()
    }

    /// An idle environment, or the failure to start one.
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
                .filter(|one| one.is_occupied())
                .count();
            let startable = self.spec.config.concurrency.saturating_sub(occupied);
            if state.waiting.len() >= self.queue + startable {
                return Err(ServiceError::TooManyRequests);
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

    fn enqueue(self: &Arc<Self>, state: &mut State) -> WaitingCaller {
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
        }
    }

    /// Starts an environment for each waiting caller who cannot expect one that is starting, or
    /// that is `soon_free`.
    fn grow(self: &Arc<Self>, state: &mut State, soon_free: impl Fn(&Environment) -> bool) {
        let expected = |one: &&Arc<Environment>| one.is_starting() || soon_free(one);
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

    fn start(self: &Arc<Self>, state: &mut State, count: usize) {
        if self.spec.context.stop.is_cancelled() || state.waits_for_the_old() {
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

    /// The function's files have changed. A new environment, one more than `concurrency` if need
    /// be, tries them, and takes over from those before it once it is ready. One that is starting for
    /// nobody is ended for it, unless it is to come `in_turn`. `false` if there is no environment that
    /// a new one could replace.
    pub(super) fn reload(self: &Arc<Self>, changed: &Path, in_turn: bool) -> bool {
        let mut state = lock(&self.state);
        state.generations.change();
        if state.environments.is_empty() {
            return false;
        }
        tracing::info!(function = %self.spec.name, "{} has changed: starting anew", changed.display());
        if state.waiting.is_empty() && !in_turn {
            // Nobody needs what was still starting from the files as they were.
            state.environments.iter().for_each(|one| one.abandon());
        }
        self.try_newest(&mut state);
        true
    }

    /// Starts the environment that tries the newest state of the files, unless there is one or the
    /// place beyond `concurrency` is still taken.
    fn try_newest(self: &Arc<Self>, state: &mut State) {
        let newest = state.generations.newest();
        let is_wanted = newest > state.generations.serving() && !state.generations.is_refused();
        let is_tried = state
            .environments
            .iter()
            .any(|one| one.generation == newest);
        let is_replacing = !state.environments.is_empty();
        let has_room = state.environments.len() <= self.spec.config.concurrency;
        if is_wanted && !is_tried && is_replacing && has_room {
            self.start(state, 1);
        }
    }

    /// Whether somebody calls or not. An environment that cannot be started is tried again after a
    /// pause, each time a longer one.
    pub(super) async fn keep_warm(self: Arc<Self>) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
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

    /// Who has waited longest is told, and nobody else, so that
    /// each caller is a new attempt and none is made without a caller.
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
            if state.generations.failed(environment.generation) && state.has_old() {
                tracing::warn!(function = %self.spec.name, "what ran before the change goes on serving");
                return;
            }
            state.waiting.pop_front()
        };
        if let Some(waiter) = waiter {
            // Fails if the caller has just gone.
            let _ = waiter.assignment.send(Err(failure));
        }
    }

    fn retire(&self, environment: &Arc<Environment>) -> bool {
        let mut state = lock(&self.state);
        let living = state.environments.iter().filter(|one| !one.is_ended());
        if living.count() <= self.spec.config.min_environments || !environment.retire() {
            return false;
        }
        state.idle.retain(|one| !Arc::ptr_eq(one, environment));
        true
    }

    fn removed(self: Arc<Self>, environment: &Arc<Environment>) {
        let mut state = lock(&self.state);
        state
            .environments
            .retain(|one| !Arc::ptr_eq(one, environment));
        state.idle.retain(|one| !Arc::ptr_eq(one, environment));
        self.grow(&mut state, Environment::is_settling);
        self.try_newest(&mut state);
        self.environment_removed.notify_one();
    }
}

/// A caller in the queue, who leaves it when this is dropped.
struct WaitingCaller {
    pool: Arc<Pool>,
    ticket: u64,
    assignment: oneshot::Receiver<Assignment>,
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
        // An environment was assigned while the caller went away.
        if let Ok(Ok(environment)) = self.assignment.try_recv() {
            Arc::clone(&self.pool).ready(environment);
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
pub(super) mod tests;
