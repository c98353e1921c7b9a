//! The environments of a pool and its waiting callers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use lambda_api::Qualifier;
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

/// The limits of the time after its response in which an environment is awaited before a new one is
/// started. Between them it is as long as a start, since waiting then costs no more than starting.
pub(super) const MIN_START_GRACE: Duration = Duration::from_millis(50);
const MAX_START_GRACE: Duration = Duration::from_millis(250);

/// The state of a pool. Callers wait while no environment of their version is idle, or for the one that was
/// used last.
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
    /// The configuration has another function, or none, in this one's place.
    pub(super) is_retired: bool,
    /// The generations of the function's files.
    pub(super) generations: Generations,
}

impl PoolState {
    /// Returns true if an environment of an earlier generation can still serve callers of `version`.
    pub(super) fn has_previous(&self, version: &str) -> bool {
        let serving = self.generations.serving();
        let serves = |environment: &Arc<Environment>| {
            environment.generation == serving
                && environment.version() == version
                && !environment.is_starting()
                && !environment.is_ended()
        };
        serving < self.generations.newest() && self.environments.iter().any(serves)
    }

    /// Returns true if callers of `version` wait for the previous generation, because the newest does not
    /// start.
    pub(super) fn waits_for_previous(&self, version: &str) -> bool {
        self.generations.newest_failed() && self.has_previous(version)
    }

    /// Returns whether a new caller of `version` waits although an environment may be idle: the one that was
    /// used last is about to be ready, and nobody else waits for it.
    pub(super) fn has_to_wait(&self, version: &str, now: Instant) -> bool {
        self.callers_of(version) == 0 && self.last_is_awaited(version, now).is_some()
    }

    /// Returns the time until which the environment that was used last is awaited, if it is of `version`.
    fn last_is_awaited(&self, version: &str, now: Instant) -> Option<Instant> {
        let last = self.last.upgrade().filter(|it| it.version() == version)?;
        let until = last.about_to_be_ready_since()? + WAKE_GRACE;
        (until > now).then_some(until)
    }

    fn callers_of(&self, version: &str) -> usize {
        let waiting = self.waiting.iter();
        let of_version = |waiter: &&Waiter| waiter.version.as_str() == version;
        waiting.filter(of_version).count()
    }

    /// Takes the most recently used idle environment of `version` for the next caller.
    pub(super) fn take_idle(&mut self, version: &str) -> Option<Arc<Environment>> {
        let is_of_version = |environment: &Arc<Environment>| environment.version() == version;
        let index = self.idle.iter().rposition(is_of_version)?;
        let environment = self.idle.remove(index);
        self.last = Arc::downgrade(&environment);
        Some(environment)
    }

    /// Takes the caller of `version` that has waited longest.
    pub(super) fn next_waiter(&mut self, version: &str) -> Option<Waiter> {
        let mut waiting = self.waiting.iter();
        let index = waiting.position(|waiter| waiter.version.as_str() == version)?;
        self.waiting.remove(index)
    }

    /// Gives the environment to the caller of its version that has waited longest, or makes it idle.
    pub(super) fn assign(&mut self, environment: Arc<Environment>) {
        let last = Arc::downgrade(&environment);
        let version = environment.version().to_owned();
        let mut assignment = Ok(environment);
        while let Some(waiter) = self.next_waiter(&version) {
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

    /// Gives the idle environments to the callers of their versions, but for one caller who waits for the
    /// environment that was used last.
    pub(super) fn assign_idle(&mut self, now: Instant) {
        for index in (0..self.idle.len()).rev() {
            let Some(environment) = self.idle.get(index) else {
                continue;
            };
            let version = environment.version();
            let stays = usize::from(self.last_is_awaited(version, now).is_some());
            if self.callers_of(version) > stays {
                let environment = self.idle.remove(index);
                self.assign(environment);
            }
        }
    }

    /// Returns the time at which an environment that has responded is late, if it is awaited.
    fn late_from(&self, environment: &Environment, now: Instant) -> Option<Instant> {
        let grace = self.start_duration.clamp(MIN_START_GRACE, MAX_START_GRACE);
        let until = environment.about_to_be_ready_since()? + grace;
        (until > now).then_some(until)
    }

    /// Returns the next time at which an environment is late that callers wait for.
    pub(super) fn next_late(&self, now: Instant) -> Option<Instant> {
        let environments = self.environments.iter();
        let awaited = environments.filter_map(|environment| self.late_from(environment, now));
        let idle = self.idle.iter();
        let last = idle.filter_map(|environment| self.last_is_awaited(environment.version(), now));
        let next = awaited.chain(last).min();
        next.filter(|_| !self.waiting.is_empty())
    }

    /// Returns the waiting callers for whom no environment of their version is starting, idle or about to be
    /// ready, in order.
    pub(super) fn unserved(&self, now: Instant) -> Vec<&Waiter> {
        let mut expected: HashMap<&str, usize> = HashMap::new();
        for environment in &self.environments {
            if environment.is_starting() || self.late_from(environment, now).is_some() {
                *expected.entry(environment.version()).or_default() += 1;
            }
        }
        for environment in &self.idle {
            *expected.entry(environment.version()).or_default() += 1;
        }
        let is_unserved = |waiter: &&Waiter| match expected.get_mut(waiter.version.as_str()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        self.waiting.iter().filter(is_unserved).collect()
    }

    /// Dismisses idle environments of versions that nobody waits for, the least recently used first, until
    /// `places` environments are ending.
    pub(super) fn make_room(&mut self, places: usize) {
        let environments = self.environments.iter();
        let ending = environments.filter(|environment| environment.is_ended());
        let mut lacking = places.saturating_sub(ending.count());
        let waiting = &self.waiting;
        self.idle.retain(|environment| {
            let mut callers = waiting.iter().map(|waiter| waiter.version.as_str());
            if lacking == 0 || callers.any(|version| version == environment.version()) {
                return true;
            }
            lacking -= 1;
            environment.dismiss();
            false
        });
    }

    /// Returns the number of environments of `$LATEST` that have not ended.
    pub(super) fn latest(&self) -> usize {
        let latest = Qualifier::latest();
        let living = |environment: &&Arc<Environment>| {
            environment.version() == latest.as_str() && !environment.is_ended()
        };
        self.environments.iter().filter(living).count()
    }

    /// Returns whether a caller of another version has waited longer than all callers of `version`, and
    /// needs the place of an environment.
    pub(super) fn is_outranked(&self, version: &str, concurrency: usize, now: Instant) -> bool {
        let is_other = |waiter: &Waiter| waiter.version.as_str() != version;
        if !self.waiting.front().is_some_and(is_other) {
            return false;
        }
        let living = self.environments.iter();
        let living = living.filter(|environment| !environment.is_ended());
        living.count() >= concurrency
            && self
                .unserved(now)
                .first()
                .is_some_and(|first| is_other(first))
    }
}

/// A caller in the queue.
pub(super) struct Waiter {
    pub(super) ticket: u64,
    /// The version that the caller needs.
    pub(super) version: Qualifier,
    pub(super) assignment: oneshot::Sender<Assignment>,
}

/// An idle environment, or the failure to start one.
pub(crate) type Assignment = Result<Arc<Environment>, Failure>;
