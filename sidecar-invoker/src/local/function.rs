//! A function's pool of execution environments and the queue before it.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hyper::header::HeaderValue;
use rustix::process::Pid;
use tokio::io::AsyncRead;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cgroup::{Cgroup, Cgroups};
use super::command::LogStream;
use super::environment::Environment;
use super::failure::Failure;
use super::generation::Generations;
use super::lifecycle::Call;
use super::output::{Output, Source};
use super::{Inherited, command, lock};
use crate::answer::Reply;
use crate::config::LocalConfig;
use crate::error::ServiceError;
use crate::guard::Guard;
use crate::invocation::{FunctionAnswer, FunctionName, Invocation, Target, function_arn};
use crate::processes::Census;

/// How long an environment that has answered may take to ask for its next invocation before a
/// caller gets a new one instead. A runtime takes well under a millisecond; work that a function
/// does after its answer takes longer.
const SETTLING_GRACE: Duration = Duration::from_millis(20);

/// How long after its end an environment that is to be kept warm and cannot be started is tried
/// again, for the first time and at the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What all functions of an invoker share.
#[derive(Clone)]
pub(crate) struct Context {
    /// Tells the time.
    pub(crate) clock: fn() -> SystemTime,
    /// What functions see of the invoker's own environment.
    pub(crate) inherited: Arc<Inherited>,
    /// Where their output goes.
    pub(crate) output: Output,
    /// Ends their processes if the invoker cannot.
    pub(crate) guard: Option<Arc<Guard>>,
    /// Where their processes are kept together, if the system allows it.
    pub(crate) cgroups: Option<Arc<Cgroups>>,
    /// Which processes there are.
    pub(crate) census: Arc<Census>,
    /// Ends them all.
    pub(crate) stop: CancellationToken,
    /// Every task that has to have ended before the invoker may.
    pub(crate) tasks: TaskTracker,
}

/// A function that the invoker runs itself.
pub(crate) struct Function {
    pub(super) name: FunctionName,
    pub(super) config: LocalConfig,
    pub(super) context: Context,
    pub(super) variables: BTreeMap<OsString, OsString>,
    arn: HeaderValue,
    queue: usize,
    pool: Mutex<Pool>,
    /// An environment is gone.
    fewer: Notify,
}

/// Invariant: callers wait only while no environment is idle.
#[derive(Default)]
struct Pool {
    /// All whose process may still be there, at most `concurrency` and one for each change of files.
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

type Turn = Result<Arc<Environment>, Failure>;

impl Function {
    /// A function without any process yet.
    pub(crate) fn new(
        name: FunctionName,
        config: LocalConfig,
        queue: usize,
        context: Context,
    ) -> Arc<Self> {
        let variables = command::variables(&name, &config, &context.inherited);
        let target = Target {
            name,
            qualifier: None,
        };
        let arn = arn_header(&context.inherited.region, &target);
        Arc::new(Self {
            name: target.name,
            config,
            context,
            variables,
            arn,
            queue,
            pool: Mutex::default(),
            fewer: Notify::new(),
        })
    }

    /// Keeps `min_environments` running and looks after the function's files from now on.
    pub(crate) fn begin(self: &Arc<Self>) {
        if self.config.min_environments > 0 {
            self.context.tasks.spawn(Arc::clone(self).keep_warm());
        }
        if !self.config.watch.is_empty() {
            let watch = super::watch::watch(Arc::clone(self));
            self.context.tasks.spawn(watch);
        }
    }

    /// Calls the function once an environment is free for this caller.
    ///
    /// Dropping the future gives up the place in the queue; an invocation that has begun runs on.
    pub(crate) async fn invoke(
        self: &Arc<Self>,
        invocation: Invocation,
    ) -> Result<Reply, ServiceError> {
        let (reply, answer) = oneshot::channel();
        let mut call = Call {
            invocation: Arc::new(invocation),
            reply,
        };
        loop {
            let environment = match self.environment().await? {
                Ok(environment) => environment,
                Err(failure) => {
                    let payload = failure.payload(&call.invocation.request_id);
                    return Ok(Reply::Whole {
                        answer: FunctionAnswer::Error(payload),
                        log_tail: None,
                    });
                }
            };
            match environment.deliver(call, self) {
                Ok(()) => break,
                // It ended just now, idle: the next one will do.
                Err(returned) => call = returned,
            }
        }
        answer.await.map_err(|_| ServiceError::ShuttingDown)
    }

    /// An idle environment, or the failure to start one.
    async fn environment(self: &Arc<Self>) -> Result<Turn, ServiceError> {
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
    /// be, tries them, and takes over from those before it once it is ready.
    pub(super) fn reload(self: &Arc<Self>, changed: &Path) {
        let mut pool = lock(&self.pool);
        pool.generations.change();
        if pool.environments.is_empty() {
            return;
        }
        tracing::info!(function = %self.name, "{} has changed: starting anew", changed.display());
        self.start(&mut pool, 1);
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
            failure.start_hint()
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
        self.fewer.notify_one();
    }

    /// Whether somebody calls or not. An environment that cannot be started is tried again after a
    /// pause, each time a longer one.
    async fn keep_warm(self: Arc<Self>) {
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

    /// The executable, or why there is none.
    pub(crate) fn program(&self) -> Result<PathBuf, String> {
        let path = self
            .variables
            .get(OsStr::new("PATH"))
            .map(OsString::as_os_str);
        command::resolve(&self.config.program, &self.config.directory, path)
    }

    /// The program that is to start the runtime, if there is one: `AWS_LAMBDA_EXEC_WRAPPER`.
    pub(super) fn wrapper(&self) -> Option<Result<PathBuf, String>> {
        let wrapper = self.variables.get(OsStr::new("AWS_LAMBDA_EXEC_WRAPPER"))?;
        let wrapper = wrapper.to_string_lossy();
        let found = command::resolve(&wrapper, &self.config.directory, None);
        Some(found.map_err(|reason| format!("AWS_LAMBDA_EXEC_WRAPPER: {wrapper}: {reason}")))
    }

    /// Why the function cannot run, as far as can be said without running it.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let reason = self.program().err()?;
        let LocalConfig { program, line, .. } = &self.config;
        let name = &self.name;
        Some(format!(
            "{line}: functions.{name}.local.command: {program}: {reason}; build it, install it or correct the command"
        ))
    }

    /// The value of `_HANDLER`.
    pub(super) fn handler(&self) -> String {
        let handler = self.variables.get(OsStr::new("_HANDLER"));
        handler.map_or_else(String::new, |handler| {
            handler.to_string_lossy().into_owned()
        })
    }

    /// The ARN under which the function was invoked.
    pub(super) fn arn(&self, target: &Target) -> HeaderValue {
        match target.qualifier {
            None => self.arn.clone(),
            Some(_) => arn_header(&self.context.inherited.region, target),
        }
    }

    /// Waits until all environments have to end.
    pub(super) async fn stopped(&self) {
        self.context.stop.cancelled().await;
    }

    /// Writes lines of the service's own among the output of `environment`, and before them how many
    /// were `dropped` since the last; returns how many are dropped now.
    pub(super) async fn write(&self, environment: &str, lines: &str, dropped: usize) -> usize {
        let (source, output) = (self.source(environment), &self.context.output);
        output.pass(&source, lines.as_bytes(), dropped).await
    }

    fn source(&self, environment: &str) -> Source {
        Source {
            function: self.name.to_string(),
            environment: environment.to_owned(),
        }
    }

    /// Passes on the output of a process of `environment`.
    pub(super) fn forward(
        &self,
        environment: &str,
        reader: impl AsyncRead + Send + Unpin + 'static,
    ) {
        let source = self.source(environment);
        let output = self.context.output.clone();
        self.context.tasks.spawn(output.forward(source, reader));
    }

    /// Has the guard end the processes of this environment if the invoker cannot.
    pub(super) async fn guard(&self, environment: &LogStream, group: Option<Pid>) {
        if let Some(guard) = &self.context.guard {
            guard.watch(&environment.entry(), group).await;
        }
    }

    /// Nothing is left of this environment.
    pub(super) async fn unguard(&self, environment: &LogStream) {
        if let Some(guard) = &self.context.guard {
            guard.forget(&environment.entry()).await;
        }
    }

    /// A control group for an environment, where one can be had.
    pub(super) fn cgroup(&self) -> Option<Cgroup> {
        let cgroups = self.context.cgroups.as_ref()?;
        let made = cgroups.environment(u64::from(self.config.memory_mib) << 20);
        if let Err(error) = &made {
            tracing::debug!(function = %self.name, "no control group: {error}");
        }
        made.ok()
    }
}

fn arn_header(region: &str, target: &Target) -> HeaderValue {
    HeaderValue::try_from(function_arn(region, target)).unwrap_or(HeaderValue::from_static(""))
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
#[path = "function_tests.rs"]
mod tests;
