//! Execution environments, as the Runtime API and the pool use them.

mod extension_requests;
pub(crate) mod extensions;
pub(crate) mod failure;
pub(crate) mod lifecycle;
mod log_lines;
pub(crate) mod outcome;
mod phase;
pub(crate) mod report;
pub(crate) mod transitions;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

use self::failure::Failure;
use self::lifecycle::Lifecycle;
use self::report::EnvironmentStats;
use self::transitions::{Deadline, Next, PendingInvocation, RuntimeApiError, Transition};
use crate::backend::local::generation::Generation;
use crate::backend::local::log::tail::Log;
use crate::backend::local::log::writer::LogSource;
use crate::backend::local::process::{command::LogStream, memory::Memory};
use crate::backend::local::spec::FunctionSpec;
use crate::invocation::{FunctionPayload, Invocation, RequestId};
use crate::metrics::EnvironmentState;
use crate::util::lock;
use lambda_api::{Operation, Qualifier};

/// The time after which a runtime is refused if it asks for an invocation before its response is
/// complete.
const EARLY_NEXT_TIMEOUT: Duration = Duration::from_millis(500);
/// The time after which a runtime that asks for more without a response gets its invocation again.
const REDELIVERY_PAUSE: Duration = Duration::from_millis(50);

/// The owner of execution environments, which receives their reports.
pub(crate) trait EnvironmentOwner: Send + Sync {
    /// Reports that an environment was ready after `duration`.
    fn started(&self, duration: Duration);
    /// Reports that an environment has used `mib` MiB of memory at most, after an invocation.
    fn used_memory(&self, mib: u64);
    /// Reports that `environment` has become idle.
    fn ready(self: Arc<Self>, environment: Arc<Environment>);
    /// Reports that `environment` ended before it became idle.
    fn failed_to_start(&self, environment: &Environment, failure: Failure);
    /// Decides on an `environment` that has been idle for `idle_timeout`. Returns true if it has
    /// been retired and has to end.
    fn retire(&self, environment: &Arc<Environment>) -> bool;
    /// Reports that no process of `environment` is left.
    fn removed(self: Arc<Self>, environment: &Arc<Environment>);
}

/// An execution environment.
pub(crate) struct Environment {
    pub(crate) spec: Arc<FunctionSpec>,
    owner: Weak<dyn EnvironmentOwner>,
    /// The generation of the function's files that the environment runs.
    pub(crate) generation: Generation,
    pub(crate) log_stream: LogStream,
    pub(crate) memory: Memory,
    pub(crate) lifecycle: Mutex<Lifecycle>,
    /// Wakes the runtime's `next` when there is an invocation or when a response has ended.
    delivered: Notify,
    /// Wakes the extensions' `next`.
    pub(crate) extension_event: Notify,
    /// Wakes the supervisor.
    pub(crate) changed: Notify,
    pub(crate) started: Instant,
    start_duration: OnceLock<Duration>,
    /// The environment has had an invocation.
    is_used: AtomicBool,
    pub(crate) log: Arc<Log>,
    /// The source of the environment's lines in the invoker's output.
    pub(crate) source: LogSource,
    stats: Mutex<EnvironmentStats>,
    /// The names of the extensions that the invoker has started.
    pub(crate) external_extensions: OnceLock<Vec<String>>,
}

impl Environment {
    /// Creates an environment without processes.
    pub(crate) fn new(
        spec: Arc<FunctionSpec>,
        owner: Weak<dyn EnvironmentOwner>,
        generation: Generation,
        version: &Qualifier,
    ) -> Arc<Self> {
        let started = Instant::now();
        let log_stream = LogStream::new((spec.context.clock)(), version.as_str());
        let source = LogSource {
            function: spec.name.to_string(),
            environment: log_stream.short().to_owned(),
        };
        Arc::new(Self {
            generation,
            log_stream,
            source,
            memory: Memory::new(spec.config.memory_mib),
            lifecycle: Mutex::new(Lifecycle::starting(started + spec.config.init_timeout)),
            delivered: Notify::new(),
            extension_event: Notify::new(),
            changed: Notify::new(),
            started,
            start_duration: OnceLock::new(),
            is_used: AtomicBool::new(false),
            log: Arc::default(),
            stats: Mutex::default(),
            external_extensions: OnceLock::new(),
            spec,
            owner,
        })
    }

    /// Returns the version of the function that the environment runs.
    pub(crate) fn version(&self) -> &str {
        self.log_stream.version()
    }

    /// Waits for the next invocation, for the runtime.
    pub(crate) async fn next(
        self: &Arc<Self>,
    ) -> Result<(Arc<Invocation>, Deadline), RuntimeApiError> {
        let begun = Instant::now();
        loop {
            let next = lock(&self.lifecycle).next();
            match next {
                Next::Deliver(invocation, deadline) => {
                    // What was begun after the previous invocation is not part of this one.
                    let mut lines = self.log.end_lines();
                    self.log.begin(&invocation);
                    let start = report::start(&invocation.request_id, self.version());
                    self.log.append(start.as_bytes());
                    lines.extend_from_slice(start.as_bytes());
                    self.forward(&lines, None).await;
                    return Ok((invocation, deadline));
                }
                Next::Refused(refusal) => return Err(refusal),
                Next::Unanswered(invocation, deadline) => {
                    let limit = begun + REDELIVERY_PAUSE;
                    if Instant::now() >= limit {
                        return Ok((invocation, deadline));
                    }
                    _ = timeout_at(limit, self.delivered.notified()).await;
                }
                Next::Early(refusal) => {
                    let limit = begun + EARLY_NEXT_TIMEOUT;
                    if Instant::now() >= limit {
                        return Err(refusal);
                    }
                    _ = timeout_at(limit, self.delivered.notified()).await;
                }
                Next::Wait => {
                    self.settle().await;
                    self.delivered.notified().await;
                }
            }
        }
    }

    /// Goes on to the next phase if all processes have asked for more.
    async fn settle(self: &Arc<Self>) {
        loop {
            let idle_until = Instant::now() + self.spec.config.idle_timeout;
            let transition = lock(&self.lifecycle).settle(idle_until);
            match transition {
                Transition::None => return,
                Transition::InvocationFinished(outcome) => self.conclude(outcome).await,
                Transition::Idle {
                    first,
                    resets_timer,
                } => {
                    if first {
                        let duration = self.started.elapsed();
                        let _ = self.start_duration.set(duration);
                        lock(&self.stats).init = Some(duration);
                        if let Some(owner) = self.owner.upgrade() {
                            owner.started(duration);
                        }
                    }
                    if resets_timer {
                        self.changed.notify_one();
                    }
                    if let Some(owner) = self.owner.upgrade() {
                        owner.ready(Arc::clone(self));
                    }
                    return;
                }
            }
        }
    }

    /// Gives an idle environment an invocation.
    ///
    /// # Errors
    /// Returns the invocation if the environment is not idle.
    pub(crate) fn deliver(&self, pending: PendingInvocation) -> Result<(), PendingInvocation> {
        let limit = self.spec.config.timeout;
        let deadline = Deadline {
            at: Instant::now() + limit,
            epoch_ms: self.spec.epoch_ms(limit),
        };
        let arn = self.spec.arn(&pending.invocation.address);
        let needs_timer = lock(&self.lifecycle).deliver(pending, &arn, deadline)?;
        self.delivered.notify_one();
        self.extension_event.notify_waiters();
        if needs_timer {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Notes that the runtime begins a response to invocation `id`, and returns the caller's
    /// operation.
    pub(crate) fn begin_response(
        &self,
        id: RequestId,
        is_error: bool,
    ) -> Result<Operation, RuntimeApiError> {
        lock(&self.lifecycle).begin_response(id, is_error)
    }

    /// Ends invocation `id` with a response. `failure` is the cause of a response that is not the
    /// function's own.
    pub(crate) fn respond(
        &self,
        id: RequestId,
        payload: FunctionPayload,
        failure: Option<&Failure>,
    ) -> Result<(), RuntimeApiError> {
        let accepted = lock(&self.lifecycle).respond(id, payload, failure);
        self.delivered.notify_one();
        accepted
    }

    /// Begins a streamed response to invocation `id`, and returns the sender of its chunks.
    pub(crate) fn begin_stream(
        &self,
        id: RequestId,
        content_type: Option<HeaderValue>,
    ) -> Result<mpsc::Sender<Bytes>, RuntimeApiError> {
        lock(&self.lifecycle).begin_stream(id, content_type)
    }

    /// Ends a streamed response, with the function's own `error` or with a `failure` if it did not
    /// succeed.
    pub(crate) fn end_stream(
        &self,
        error: Option<Bytes>,
        failure: Option<&Failure>,
    ) -> Result<(), RuntimeApiError> {
        let ended = lock(&self.lifecycle).end_stream(error, failure);
        self.delivered.notify_one();
        ended
    }

    /// Notes that the runtime broke off its response to invocation `id`, unless it is complete.
    pub(crate) fn cut_off(&self, id: RequestId) {
        if lock(&self.lifecycle).cut_off(id) {
            self.delivered.notify_one();
        }
    }

    /// Notes that the runtime reported a failed initialisation.
    pub(crate) fn init_error(&self, failure: Failure) -> Result<(), RuntimeApiError> {
        lock(&self.lifecycle).init_error(failure)?;
        self.changed.notify_one();
        Ok(())
    }

    /// Ends the environment if it is idle. Returns true if it was.
    pub(crate) fn retire(&self) -> bool {
        lock(&self.lifecycle).retire()
    }

    /// Retires the environment if it is idle and wakes its supervisor.
    pub(crate) fn dismiss(&self) {
        if self.retire() {
            self.changed.notify_one();
        }
    }

    /// Ends the environment because its process has gone.
    pub(crate) fn detach(&self, failure: Failure) {
        lock(&self.lifecycle).extension_error(failure);
        self.changed.notify_one();
    }

    /// Returns the invocation without a complete response.
    pub(crate) fn invocation(&self) -> Option<RequestId> {
        lock(&self.lifecycle).invocation()
    }

    /// Ends the environment if it is still starting.
    pub(crate) fn abandon(&self) {
        if lock(&self.lifecycle).abandon() {
            self.changed.notify_one();
        }
    }

    /// Returns true if the environment has not been idle yet.
    pub(crate) fn is_starting(&self) -> bool {
        lock(&self.lifecycle).is_starting()
    }

    /// Returns the time since which the environment is about to be ready for another invocation.
    pub(crate) fn about_to_be_ready_since(&self) -> Option<Instant> {
        lock(&self.lifecycle).about_to_be_ready_since()
    }

    /// Notes that the owner knows that the environment is idle.
    pub(crate) fn announce(&self) {
        lock(&self.lifecycle).announce();
    }

    /// Returns the duration of the start, once the environment has been idle.
    pub(crate) fn start_duration(&self) -> Option<Duration> {
        self.start_duration.get().copied()
    }

    /// Returns the duration of the start if the caller of the first invocation, who arrived at `arrival`, had to
    /// wait for it. Must be called once for each invocation.
    pub(crate) fn cold_start(&self, arrival: Instant) -> Option<Duration> {
        let is_first = !self.is_used.swap(true, Ordering::Relaxed);
        let duration = self.start_duration().filter(|_| is_first)?;
        (self.started + duration > arrival).then_some(duration)
    }

    /// Returns the figures of the environment.
    pub(crate) fn state(&self) -> EnvironmentState {
        EnvironmentState {
            id: self.log_stream.short().to_owned(),
            version: self.version().to_owned(),
            phase: lock(&self.lifecycle).state(),
            memory_mib: lock(&self.stats).memory_mib(),
            age: self.started.elapsed(),
        }
    }

    /// Returns true if the environment has ended or is about to end.
    pub(crate) fn is_ended(&self) -> bool {
        lock(&self.lifecycle).is_ended()
    }

    /// Returns true if the environment has an invocation without a response, or has ended.
    pub(crate) fn is_occupied(&self) -> bool {
        lock(&self.lifecycle).is_occupied()
    }
}

#[cfg(test)]
mod tests;
