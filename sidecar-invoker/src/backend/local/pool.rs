//! A function's pool of execution environments and the queue before it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::environment::Environment;
use super::environment::failure::Failure;
use super::function::Function;
use super::generation::Generations;
use crate::invoke_api::error::ServiceError;
use crate::util::lock;

/// How long an environment that has answered may take to ask for its next invocation before a
/// caller gets a new one instead. A runtime takes well under a millisecond; work that a function
/// does after its answer takes longer.
const SETTLING_GRACE: Duration = Duration::from_millis(20);

/// How long after its end an environment that is to be kept warm and cannot be started is tried
/// again, for the first time and at the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Invariant: callers wait only while no environment is idle.
#[derive(Default)]
pub(super) struct Pool {
    /// All whose process may still be there, at most `concurrency` and one that tries a change of files.
    pub(super) environments: Vec<Arc<Environment>>,
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

impl Pool {
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
    turn: oneshot::Sender<Turn>,
}

/// An idle environment, or why none could be started.
pub(super) type Turn = Result<Arc<Environment>, Failure>;

impl Function {
    /// An idle environment, or the failure to start one.
    pub(super) async fn environment(self: &Arc<Self>) -> Result<Turn, ServiceError> {
        let mut place = {
            let mut pool = lock(&self.pool);
            if self.context.stop.is_cancelled() {
                return Err(ServiceError::ShuttingDown);
            }
            if let Some(environment) = pool.idle.pop() {
                return Ok(Ok(environment));
            }
            let occupied = pool
                .environments
                .iter()
                .filter(|one| one.is_occupied())
                .count();
            let startable = self.config.concurrency.saturating_sub(occupied);
            if pool.waiting.len() >= self.queue + startable {
                return Err(ServiceError::TooManyRequests);
            }
            let place = self.enqueue(&mut pool);
            self.grow(&mut pool, Environment::is_settling);
            place
        };
        tokio::select! {
            biased;
            turn = &mut place.turn => return turn.map_err(|_| ServiceError::ShuttingDown),
            () = self.stopped() => return Err(ServiceError::ShuttingDown),
            () = sleep(SETTLING_GRACE) => self.grow(&mut lock(&self.pool), |_| false),
        }
        tokio::select! {
            biased;
            turn = &mut place.turn => turn.map_err(|_| ServiceError::ShuttingDown),
            () = self.stopped() => Err(ServiceError::ShuttingDown),
        }
    }

    fn enqueue(self: &Arc<Self>, pool: &mut Pool) -> Place {
        let (sender, turn) = oneshot::channel();
        let ticket = pool.tickets;
        pool.tickets += 1;
        pool.waiting.push_back(Waiter {
            ticket,
            turn: sender,
        });
        Place {
            function: Arc::clone(self),
            ticket,
            turn,
        }
    }

    /// Starts an environment for each waiting caller who cannot expect one that is starting, or
    /// that is `soon_free`.
    fn grow(self: &Arc<Self>, pool: &mut Pool, soon_free: impl Fn(&Environment) -> bool) {
        let expected = |one: &&Arc<Environment>| one.is_starting() || soon_free(one);
        let expected = pool.environments.iter().filter(expected).count();
        let wanted = pool.waiting.len().saturating_sub(expected);
        let room = self
            .config
            .concurrency
            .saturating_sub(pool.environments.len());
        self.start(pool, wanted.min(room));
    }

    fn start(self: &Arc<Self>, pool: &mut Pool, count: usize) {
        if self.context.stop.is_cancelled() || pool.waits_for_the_old() {
            return;
        }
        for _ in 0..count {
            let environment = Environment::new(self, pool.generations.newest());
            pool.environments.push(Arc::clone(&environment));
            self.context.tasks.spawn(environment.run(Arc::clone(self)));
        }
    }

    /// The function's files have changed. A new environment, one more than `concurrency` if need
    /// be, tries them, and takes over from those before it once it is ready. One that is starting for
    /// nobody is ended for it, unless it is to come `in_turn`. `false` if there is no environment that
    /// a new one could replace.
    pub(super) fn reload(self: &Arc<Self>, changed: &Path, in_turn: bool) -> bool {
        let mut pool = lock(&self.pool);
        pool.generations.change();
        if pool.environments.is_empty() {
            return false;
        }
        tracing::info!(function = %self.name, "{} has changed: starting anew", changed.display());
        if pool.waiting.is_empty() && !in_turn {
            // Nobody needs what was still starting from the files as they were.
            pool.environments.iter().for_each(|one| one.abandon());
        }
        self.try_newest(&mut pool);
        true
    }

    /// Starts the environment that tries the newest state of the files, unless there is one or the
    /// place beyond `concurrency` is still taken.
    fn try_newest(self: &Arc<Self>, pool: &mut Pool) {
        let newest = pool.generations.newest();
        let is_wanted = newest > pool.generations.serving() && !pool.generations.is_refused();
        let is_tried = pool.environments.iter().any(|one| one.generation == newest);
        let is_replacing = !pool.environments.is_empty();
        let has_room = pool.environments.len() <= self.config.concurrency;
        if is_wanted && !is_tried && is_replacing && has_room {
            self.start(pool, 1);
        }
    }

    /// An environment has become idle.
    pub(super) fn ready(self: &Arc<Self>, environment: Arc<Environment>) {
        let mut pool = lock(&self.pool);
        let pool = &mut *pool;
        if pool.generations.ready(environment.generation) {
            pool.idle.drain(..).for_each(|old| old.dismiss());
        } else if environment.generation < pool.generations.serving() {
            environment.dismiss();
            return self.grow(pool, Environment::is_settling);
        }
        let mut turn = Ok(environment);
        while let Some(waiter) = pool.waiting.pop_front() {
            match waiter.turn.send(turn) {
                Ok(()) => return,
                Err(returned) => turn = returned,
            }
        }
        pool.idle.extend(turn);
    }

    /// An environment never became idle: who has waited longest is told, and nobody else, so that
    /// each caller is a new attempt and none is made without a caller.
    pub(super) fn failed_to_start(&self, environment: &Environment, failure: Failure) {
        tracing::warn!(
            function = %self.name,
            directory = %self.config.directory.display(),
            "an execution environment could not be started: {failure}{}",
            environment.start_hint(&failure)
        );
        let waiter = {
            let mut pool = lock(&self.pool);
            pool.failures += 1;
            if pool.generations.failed(environment.generation) && pool.has_old() {
                tracing::warn!(function = %self.name, "what ran before the change goes on serving");
                return;
            }
            pool.waiting.pop_front()
        };
        if let Some(waiter) = waiter {
            // Fails if the caller has just gone.
            let _ = waiter.turn.send(Err(failure));
        }
    }

    /// An environment has been idle for long: unless it is one of those that are kept, it takes no
    /// more and has to end.
    pub(super) fn retire(&self, environment: &Arc<Environment>) -> bool {
        let mut pool = lock(&self.pool);
        let living = pool.environments.iter().filter(|one| !one.is_ended());
        if living.count() <= self.config.min_environments || !environment.retire() {
            return false;
        }
        pool.idle.retain(|one| !Arc::ptr_eq(one, environment));
        true
    }

    /// Nothing is left of an environment.
    pub(super) fn removed(self: &Arc<Self>, environment: &Arc<Environment>) {
        let mut pool = lock(&self.pool);
        pool.environments
            .retain(|one| !Arc::ptr_eq(one, environment));
        pool.idle.retain(|one| !Arc::ptr_eq(one, environment));
        self.grow(&mut pool, Environment::is_settling);
        self.try_newest(&mut pool);
        self.fewer.notify_one();
    }

    /// Whether somebody calls or not. An environment that cannot be started is tried again after a
    /// pause, each time a longer one.
    pub(super) async fn keep_warm(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let failures = {
                let mut pool = lock(&self.pool);
                let missing = self
                    .config
                    .min_environments
                    .saturating_sub(pool.environments.len());
                self.start(&mut pool, missing);
                pool.failures
            };
            tokio::select! {
                () = self.stopped() => return,
                () = self.fewer.notified() => {}
            }
            if lock(&self.pool).failures == failures {
                pause = FIRST_PAUSE;
                continue;
            }
            tokio::select! {
                () = self.stopped() => return,
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }
}

/// A caller's place in the queue, given up when it is dropped.
struct Place {
    function: Arc<Function>,
    ticket: u64,
    turn: oneshot::Receiver<Turn>,
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let waiting = &mut lock(&self.function.pool).waiting;
            if let Some(index) = waiting
                .iter()
                .position(|waiter| waiter.ticket == self.ticket)
            {
                waiting.remove(index);
                return;
            }
        }
        // The turn came while the caller went away.
        if let Ok(Ok(environment)) = self.turn.try_recv() {
            self.function.ready(environment);
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
pub(super) mod tests;
