//! One execution environment, as its Runtime API and its function's pool see it.

pub(crate) mod extensions;
pub(crate) mod failure;
pub(crate) mod lifecycle;
pub(crate) mod outcome;
pub(crate) mod report;
pub(crate) mod transitions;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use self::extensions::Refused;
use self::failure::Failure;
use self::lifecycle::Lifecycle;
use self::outcome::Outcome;
use self::report::EnvironmentStats;
use self::transitions::{Call, Deadline, Next, Refusal, Transition};
use crate::backend::local::generation::Generation;
use crate::backend::local::log::tail::Log;
use crate::backend::local::log::writer::LogSource;
use crate::backend::local::process::{command::LogStream, memory::Memory};
use crate::backend::local::spec::FunctionSpec;
use crate::invocation::{FunctionPayload, Invocation, RequestId};
use crate::util::lock;
use lambda_api::{LogType, Operation};

/// How long a process that asks for more before its answer has come has to wait for a refusal.
const EARLY_LIMIT: Duration = Duration::from_millis(500);

/// The owner of execution environments, to whom they report.
pub(crate) trait EnvironmentOwner: Send + Sync {
    /// `environment` has become idle.
    fn ready(self: Arc<Self>, environment: Arc<Environment>);
    /// `environment` never became idle.
    fn failed_to_start(&self, environment: &Environment, failure: Failure);
    /// `environment` has been idle for long: retires it unless it is to be kept, and returns
    /// whether it has to end.
    fn retire(&self, environment: &Arc<Environment>) -> bool;
    /// Nothing is left of `environment`.
    fn removed(self: Arc<Self>, environment: &Arc<Environment>);
}

/// One execution environment.
pub(crate) struct Environment {
    pub(crate) spec: Arc<FunctionSpec>,
    owner: Weak<dyn EnvironmentOwner>,
    /// The state of the files from which it was started.
    pub(crate) generation: Generation,
    pub(crate) log_stream: LogStream,
    pub(crate) memory: Memory,
    pub(crate) lifecycle: Mutex<Lifecycle>,
    /// Wakes the Runtime API's `next`: there is an invocation, or an answer has ended.
    delivered: Notify,
    /// Wakes the extensions' `next`.
    pub(crate) extension_event: Notify,
    /// Wakes the task that watches over the processes.
    pub(crate) changed: Notify,
    pub(crate) begun: Instant,
    pub(crate) log: Arc<Log>,
    /// Whose output it is.
    pub(crate) source: LogSource,
    stats: Mutex<EnvironmentStats>,
    /// The extensions that the invoker has started.
    pub(crate) external: OnceLock<Vec<String>>,
}

impl Environment {
    /// An environment whose process is about to be started.
    pub(crate) fn new(
        spec: Arc<FunctionSpec>,
        owner: Weak<dyn EnvironmentOwner>,
        generation: Generation,
    ) -> Arc<Self> {
        let begun = Instant::now();
        let log_stream = LogStream::new((spec.context.clock)());
        let source = LogSource {
            function: spec.name.to_string(),
            environment: log_stream.short().to_owned(),
        };
        Arc::new(Self {
            generation,
            log_stream,
            source,
            memory: Memory::new(spec.config.memory_mib),
            lifecycle: Mutex::new(Lifecycle::starting(begun + spec.config.init_timeout)),
            delivered: Notify::new(),
            extension_event: Notify::new(),
            changed: Notify::new(),
            begun,
            log: Arc::default(),
            stats: Mutex::default(),
            external: OnceLock::new(),
            spec,
            owner,
        })
    }

    /// The process asks for its next invocation; waits until there is one.
    pub(crate) async fn next(self: &Arc<Self>) -> Result<(Arc<Invocation>, Deadline), Refusal> {
        let limit = Instant::now() + EARLY_LIMIT;
        loop {
            let next = lock(&self.lifecycle).next();
            match next {
                Next::Deliver(invocation, deadline) => {
                    self.log.begin(invocation.log_type == LogType::Tail);
                    let line = report::start(&invocation.request_id);
                    self.write(&line).await;
                    return Ok((invocation, deadline));
                }
                Next::Refused => return Err(Refusal::WrongState),
                Next::Early if Instant::now() >= limit => return Err(Refusal::WrongState),
                Next::Early => _ = timeout_at(limit, self.delivered.notified()).await,
                Next::Wait => {
                    self.settle().await;
                    self.delivered.notified().await;
                }
            }
        }
    }

    /// The extension `id` asks for its next event; waits until there is one.
    pub(crate) async fn extension_next(
        self: &Arc<Self>,
        id: Option<&str>,
    ) -> Result<Bytes, Refused> {
        loop {
            let mut changed = std::pin::pin!(self.extension_event.notified());
            changed.as_mut().enable();
            if let Some(event) = lock(&self.lifecycle).extensions.next(id)? {
                return Ok(event);
            }
            self.settle().await;
            changed.await;
        }
    }

    /// Goes on to the next phase if all have asked for more.
    async fn settle(self: &Arc<Self>) {
        loop {
            let idle_until = Instant::now() + self.spec.config.idle_timeout;
            let transition = lock(&self.lifecycle).settle(idle_until);
            match transition {
                Transition::None => return,
                Transition::InvocationFinished(outcome) => self.conclude(outcome).await,
                Transition::Idle { first } => {
                    if first {
                        lock(&self.stats).init = Some(self.begun.elapsed());
                    }
                    if let Some(owner) = self.owner.upgrade() {
                        owner.ready(Arc::clone(self));
                    }
                    return;
                }
            }
        }
    }

    /// An invocation is over.
    pub(crate) async fn conclude(&self, outcome: Outcome) {
        let mut unreported = UnreportedOutcome(&self.lifecycle, Some(outcome));
        self.log.passed_on().await;
        let Some(outcome) = unreported.1.take() else {
            return;
        };
        let lines = {
            let mut stats = lock(&self.stats);
            stats.ask_memory(&self.memory);
            let now = (self.spec.context.clock)();
            stats.end(&outcome, self.spec.config.memory_mib, now)
        };
        self.log.note(lines.as_bytes());
        if outcome.held.is_some() {
            outcome.release(self.log.tail());
        }
        self.pass_on(&lines).await;
    }

    /// Writes a line of the service's own into the function's log.
    pub(crate) async fn write(&self, lines: &str) {
        self.log.note(lines.as_bytes());
        self.pass_on(lines).await;
    }

    async fn pass_on(&self, lines: &str) {
        let dropped = self.log.dropped.load(Ordering::Relaxed);
        let output = &self.spec.context.output;
        let dropped = output.pass(&self.source, lines.as_bytes(), dropped).await;
        self.log.dropped.store(dropped, Ordering::Relaxed);
    }

    /// Gives the environment work; back comes the call if it is not idle any more.
    pub(crate) fn deliver(&self, call: Call) -> Result<(), Call> {
        let limit = self.spec.config.timeout;
        let deadline = Deadline {
            at: Instant::now() + limit,
            epoch_ms: self.spec.epoch_ms(limit),
        };
        let arn = self.spec.arn(call.invocation.address.qualifier.as_ref());
        let wake = lock(&self.lifecycle).deliver(call, &arn, deadline)?;
        self.delivered.notify_one();
        self.extension_event.notify_waiters();
        if wake {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Whether the process may answer invocation `id` now, and how its caller wants the answer.
    pub(crate) fn expects(&self, id: Option<RequestId>) -> Result<Operation, Refusal> {
        lock(&self.lifecycle).expects(id)
    }

    /// The process answers invocation `id`, by `failure` if that is not the function's own answer.
    pub(crate) fn answer(
        &self,
        id: RequestId,
        payload: FunctionPayload,
        failure: Option<&Failure>,
    ) -> Result<(), Refusal> {
        let answered = lock(&self.lifecycle).answer(id, payload, failure);
        self.delivered.notify_one();
        answered
    }

    /// The process begins to answer invocation `id`.
    pub(crate) fn begin_stream(
        &self,
        id: RequestId,
        content_type: Option<HeaderValue>,
    ) -> Result<mpsc::Sender<Bytes>, Refusal> {
        lock(&self.lifecycle).begin_stream(id, content_type)
    }

    /// All of the answer that was begun has come; it ended well, in the function's own `error`, or
    /// in a `failure`.
    pub(crate) fn end_stream(
        &self,
        error: Option<Bytes>,
        failure: Option<&Failure>,
    ) -> Result<(), Refusal> {
        let ended = lock(&self.lifecycle).end_stream(error, failure);
        self.delivered.notify_one();
        ended
    }

    /// The process broke off its answer to invocation `id`.
    pub(crate) fn cut_off(&self, id: RequestId) {
        lock(&self.lifecycle).cut_off(id);
        self.delivered.notify_one();
    }

    /// The process or an extension reports that it cannot be initialised.
    pub(crate) fn init_error(&self, failure: Failure) -> Result<(), Refusal> {
        lock(&self.lifecycle).init_error(failure)?;
        self.changed.notify_one();
        Ok(())
    }

    /// An extension asks to be told of events; back comes what it goes by.
    pub(crate) fn register(&self, name: &str, body: &[u8]) -> Result<Uuid, Refused> {
        let external = self.external.get();
        let external = external.is_some_and(|names| names.iter().any(|one| one == name));
        let mut lifecycle = lock(&self.lifecycle);
        if !lifecycle.is_starting() {
            return Err(Refused::Closed);
        }
        let id = lifecycle.extensions.register(name, body, external)?;
        drop(lifecycle);
        self.changed.notify_one();
        Ok(id)
    }

    /// The extension `id` reports an error: of its initialisation, or before it exits.
    pub(crate) fn extension_error(
        &self,
        id: Option<&str>,
        error_type: &str,
        at_init: bool,
    ) -> Result<(), Refused> {
        let mut lifecycle = lock(&self.lifecycle);
        let failure = Failure::Extension {
            error_type: error_type.to_owned(),
            name: lifecycle.extensions.name(id)?.to_owned(),
            reason: "it reported an error".to_owned(),
        };
        match at_init {
            true => lifecycle
                .init_error(failure)
                .map_err(|_| Refused::WrongState)?,
            false => lifecycle.exit_error(failure),
        }
        drop(lifecycle);
        self.changed.notify_one();
        Ok(())
    }

    /// Ends the environment if it is idle; `false` if it is not any more.
    pub(crate) fn retire(&self) -> bool {
        lock(&self.lifecycle).retire()
    }

    /// Retires the environment if it is idle and wakes its supervisor.
    pub(crate) fn dismiss(&self) {
        if self.retire() {
            self.changed.notify_one();
        }
    }

    /// An extension that the invoker has started and that has not registered.
    pub(crate) fn unregistered(&self) -> Option<&str> {
        let lifecycle = lock(&self.lifecycle);
        let mut names = self.external.get().into_iter().flatten();
        let missing = names.find(|name| !lifecycle.extensions.has(name));
        missing.map(String::as_str)
    }

    /// What to look at if `failure` happened before the first invocation: for the log.
    pub(crate) fn start_hint(&self, failure: &Failure) -> String {
        match (failure, self.unregistered()) {
            (Failure::TimedOut(_), Some(name)) => {
                format!("; the extension `{name}` did not register within `init_timeout`")
            }
            _ => failure.start_hint().to_owned(),
        }
    }

    /// Ends the environment if it is still starting.
    pub(crate) fn abandon(&self) {
        if lock(&self.lifecycle).abandon() {
            self.changed.notify_one();
        }
    }

    /// Whether the process has not yet asked for its first invocation.
    pub(crate) fn is_starting(&self) -> bool {
        lock(&self.lifecycle).is_starting()
    }

    /// Whether the process has answered and not yet asked for more.
    pub(crate) fn is_settling(&self) -> bool {
        lock(&self.lifecycle).is_settling()
    }

    /// Whether it is about to end.
    pub(crate) fn is_ended(&self) -> bool {
        lock(&self.lifecycle).is_ended()
    }

    /// Whether it can take no more for now.
    pub(crate) fn is_occupied(&self) -> bool {
        lock(&self.lifecycle).is_occupied()
    }
}

/// What an invocation came to, which goes back to the lifecycle if whoever was to say it is gone
/// before: a process that ends closes the connection over which it asked for more.
struct UnreportedOutcome<'e>(&'e Mutex<Lifecycle>, Option<Outcome>);

impl Drop for UnreportedOutcome<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.1.take() {
            lock(self.0).take_back(outcome);
        }
    }
}

#[cfg(test)]
mod tests;
