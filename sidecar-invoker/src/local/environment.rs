//! One execution environment: its processes and their Runtime API.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::HeaderValue;
use rustix::process::Pid;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::command::LogStream;
use super::extensions::Refused;
use super::failure::Failure;
use super::function::Function;
use super::generation::Generation;
use super::lifecycle::{Call, Deadline, Ending, Lifecycle, Next, Refusal, Settled};
use super::log::Log;
use super::memory::Memory;
use super::outcome::Outcome;
use super::process::{self, Exit, Launch, Processes, SHUTDOWN_LIMIT};
use super::report::{self, Facts};
use super::{lock, runtime_api};
use crate::invocation::{FunctionAnswer, Invocation, LogType, Operation, RequestId};
use crate::processes;

/// How long a process that asks for more before its answer has come has to wait for a refusal.
const EARLY_LIMIT: Duration = Duration::from_millis(500);

/// One execution environment.
pub(super) struct Environment {
    /// The state of the files from which it was started.
    pub(super) generation: Generation,
    log_stream: LogStream,
    memory: Memory,
    lifecycle: Mutex<Lifecycle>,
    /// Wakes the Runtime API's `next`: there is an invocation, or an answer has ended.
    delivered: Notify,
    /// Wakes the extensions' `next`.
    told: Notify,
    /// Wakes the task that watches over the processes.
    changed: Notify,
    begun: Instant,
    log: Arc<Log>,
    facts: Mutex<Facts>,
    /// The extensions that the invoker has started.
    external: OnceLock<Vec<String>>,
}

/// Why an environment ends.
enum Cause {
    Failed(Failure),
    /// It has been idle for long.
    Idle,
    /// The invoker ends.
    Stopped,
}

impl Cause {
    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Idle | Self::Stopped => None,
        }
    }

    /// As extensions are told.
    fn shutdown_reason(&self) -> &'static str {
        match self {
            Self::Failed(Failure::TimedOut(_)) => "timeout",
            Self::Failed(_) => "failure",
            Self::Idle | Self::Stopped => "spindown",
        }
    }
}

impl Environment {
    /// An environment whose process is about to be started.
    pub(super) fn new(function: &Function, generation: Generation) -> Arc<Self> {
        let begun = Instant::now();
        Arc::new(Self {
            generation,
            log_stream: LogStream::new((function.context.clock)()),
            memory: Memory::new(function.config.memory_mib),
            lifecycle: Mutex::new(Lifecycle::starting(begun + function.config.init_timeout)),
            delivered: Notify::new(),
            told: Notify::new(),
            changed: Notify::new(),
            begun,
            log: Arc::default(),
            facts: Mutex::default(),
            external: OnceLock::new(),
        })
    }

    /// Starts the processes and watches over them until nothing of them is left.
    pub(super) async fn run(self: Arc<Self>, function: Arc<Function>) {
        let mut processes = Processes::default();
        let cause = match self.start(&function, &mut processes).await {
            Ok(()) => self.watch(&function, &mut processes).await,
            Err(cause) => cause,
        };
        self.end(&function, &cause).await;
        let limit = epoch_ms(&function, SHUTDOWN_LIMIT);
        let told = lock(&self.lifecycle)
            .extensions
            .shut_down(cause.shutdown_reason(), limit);
        if told {
            self.told.notify_waiters();
        }
        let waits_for = |name: &str| lock(&self.lifecycle).extensions.hears_of_the_end(name);
        let groups = processes.end(waits_for).await;
        self.clear(groups).await;
        function.unguard(&self.log_stream).await;
        function.removed(&self);
    }

    /// First the extensions, then the runtime, as on AWS.
    async fn start(
        self: &Arc<Self>,
        function: &Arc<Function>,
        processes: &mut Processes,
    ) -> Result<(), Cause> {
        let entrypoint = |reason: String| {
            Cause::Failed(Failure::Entrypoint {
                program: function.config.program.clone(),
                reason,
            })
        };
        let program = function.program().map_err(entrypoint)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener
            .map_err(|error| entrypoint(format!("no port for its Runtime API: {error}")))?;
        let address = listener
            .local_addr()
            .map_err(|error| entrypoint(error.to_string()))?;
        let connections = processes.connections.clone();
        let api = runtime_api::serve(
            listener,
            connections,
            Arc::clone(self),
            Arc::clone(function),
        );
        processes.api = Some(tokio::spawn(api));

        function.guard(&self.log_stream, None).await;
        self.memory.begin(function.cgroup());
        let launch = Launch {
            function,
            api: address,
            log: &self.log,
            log_stream: &self.log_stream,
        };
        let extensions = process::extensions(&function.config.directory);
        let names = extensions.iter().map(|(name, _)| name.clone()).collect();
        let names = self.external.get_or_init(|| names);
        for (name, path) in &extensions {
            let group = processes
                .start_extension(&launch, name, path)
                .map_err(|error| {
                    Cause::Failed(Failure::Extension {
                        error_type: "Extension.LaunchError".to_owned(),
                        name: name.clone(),
                        reason: error.to_string(),
                    })
                })?;
            self.look_after(group, function).await;
        }
        let registered = || {
            let lifecycle = lock(&self.lifecycle);
            names.iter().all(|name| lifecycle.extensions.has(name))
        };
        while !registered() {
            if let Some(cause) = self.event(function, processes).await {
                return Err(cause);
            }
        }
        let group = processes.start_runtime(&launch, program);
        let group = group.map_err(|error| entrypoint(error.to_string()))?;
        self.look_after(group, function).await;
        Ok(())
    }

    /// A process has been started, in a group of its own.
    async fn look_after(&self, group: Pid, function: &Function) {
        self.memory.add(group);
        function.guard(&self.log_stream, Some(group)).await;
    }

    /// Waits for a reason to end.
    async fn watch(self: &Arc<Self>, function: &Function, processes: &mut Processes) -> Cause {
        loop {
            if let Some(cause) = self.event(function, processes).await {
                return cause;
            }
        }
    }

    /// Waits for whatever happens next, and tells if that is a reason to end.
    async fn event(
        self: &Arc<Self>,
        function: &Function,
        processes: &mut Processes,
    ) -> Option<Cause> {
        let (deadline, reported, is_retired) = {
            let mut lifecycle = lock(&self.lifecycle);
            let timer = lifecycle.arm();
            (timer, lifecycle.reported(), lifecycle.is_ended())
        };
        if let Some(failure) = reported {
            return Some(Cause::Failed(failure));
        }
        if is_retired {
            return Some(Cause::Idle);
        }
        let expired = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let is_active = || !lock(&self.lifecycle).is_idle();
        let exit = tokio::select! {
            exit = processes.exit() => {
                if self.memory.ran_out() {
                    self.report_memory(function, None);
                }
                exit
            }
            used = self.memory.exceeded(is_active, &function.context.census) => {
                self.report_memory(function, Some(used));
                // It ends as if the kernel had ended it.
                processes.kill_first();
                processes.exit().await
            }
            () = function.stopped() => return Some(Cause::Stopped),
            () = self.changed.notified() => return None,
            () = expired => return self.expired(function),
        };
        processes.heard_out().await;
        Some(exited(exit))
    }

    fn report_memory(&self, function: &Function, used: Option<u64>) {
        let limit = function.config.memory_mib;
        let used = used
            .or_else(|| self.memory.peak_bytes())
            .unwrap_or_default()
            >> 20;
        tracing::warn!(
            function = %function.name,
            environment = self.log_stream.short(),
            "killed, as it used {used} MiB of memory and may use {limit}: raise `memory` if it needs more"
        );
    }

    /// Ends what has left the process groups, and takes note of the end of all of it.
    async fn clear(self: &Arc<Self>, groups: Vec<Pid>) {
        let environment = Arc::clone(self);
        let cleared = tokio::task::spawn_blocking(move || {
            environment.memory.remove_cgroup();
            processes::kill_strays(&[environment.log_stream.entry()]);
            for group in groups {
                processes::reap_group(group);
            }
        });
        // Fails only if it panicked.
        let _ = cleared.await;
    }

    /// The time limit of some phase has passed; of the present one, maybe.
    fn expired(self: &Arc<Self>, function: &Function) -> Option<Cause> {
        let config = &function.config;
        {
            let lifecycle = lock(&self.lifecycle);
            if lifecycle.deadline().is_none_or(|at| at > Instant::now()) {
                return None;
            }
            if !lifecycle.is_idle() {
                let limit = match lifecycle.is_starting() {
                    true => config.init_timeout,
                    false => config.timeout,
                };
                return Some(Cause::Failed(Failure::TimedOut(limit)));
            }
        }
        if function.retire(self) {
            return Some(Cause::Idle);
        }
        lock(&self.lifecycle).keep_until(Instant::now() + config.idle_timeout);
        None
    }

    async fn end(&self, function: &Arc<Function>, cause: &Cause) {
        let failure = cause.failure();
        let ending = lock(&self.lifecycle).end(failure);
        match (ending, failure) {
            (Ending::FailedToStart, Some(failure)) => {
                let line = report::init_failed(self.begun.elapsed(), failure);
                self.write(function, &line).await;
                function.failed_to_start(self, failure.clone());
            }
            (Ending::During(outcome), _) => self.conclude(function, outcome).await,
            (Ending::Quiet, Some(failure)) => {
                tracing::warn!(function = %function.name, "an execution environment ended: {failure}");
            }
            (_, None) => {}
        }
    }

    /// The process asks for its next invocation; waits until there is one.
    pub(super) async fn next(
        self: &Arc<Self>,
        function: &Arc<Function>,
    ) -> Result<(Arc<Invocation>, Deadline), Refusal> {
        let limit = Instant::now() + EARLY_LIMIT;
        loop {
            let next = lock(&self.lifecycle).next();
            match next {
                Next::Deliver(invocation, deadline) => {
                    self.log.begin(invocation.log_type == LogType::Tail);
                    let line = report::start(&invocation.request_id);
                    self.write(function, &line).await;
                    return Ok((invocation, deadline));
                }
                Next::Refused => return Err(Refusal::WrongState),
                Next::Early if Instant::now() >= limit => return Err(Refusal::WrongState),
                Next::Early => _ = timeout_at(limit, self.delivered.notified()).await,
                Next::Wait => {
                    self.settle(function).await;
                    self.delivered.notified().await;
                }
            }
        }
    }

    /// The extension `id` asks for its next event; waits until there is one.
    pub(super) async fn extension_next(
        self: &Arc<Self>,
        function: &Arc<Function>,
        id: Option<&str>,
    ) -> Result<Bytes, Refused> {
        loop {
            let mut told = std::pin::pin!(self.told.notified());
            told.as_mut().enable();
            if let Some(event) = lock(&self.lifecycle).extensions.next(id)? {
                return Ok(event);
            }
            self.settle(function).await;
            told.await;
        }
    }

    /// Goes on to the next phase if all have asked for more.
    async fn settle(self: &Arc<Self>, function: &Arc<Function>) {
        loop {
            let idle_until = Instant::now() + function.config.idle_timeout;
            let settled = lock(&self.lifecycle).settle(idle_until);
            match settled {
                Settled::No => return,
                Settled::Over(outcome) => self.conclude(function, outcome).await,
                Settled::Idle { first } => {
                    if first {
                        lock(&self.facts).init = Some(self.begun.elapsed());
                    }
                    return function.ready(Arc::clone(self));
                }
            }
        }
    }

    /// An invocation is over.
    async fn conclude(&self, function: &Function, outcome: Outcome) {
        self.log.passed_on().await;
        let lines = {
            let mut facts = lock(&self.facts);
            facts.ask_memory(&self.memory);
            let now = (function.context.clock)();
            facts.end(&outcome, function.config.memory_mib, now)
        };
        self.write(function, &lines).await;
        if let Some(answer) = outcome.held {
            answer.release(self.log.tail());
        }
    }

    /// Writes a line of the service's own into the function's log.
    async fn write(&self, function: &Function, lines: &str) {
        self.log.note(lines.as_bytes());
        let dropped = self.log.dropped.load(Ordering::Relaxed);
        let dropped = function.write(self.log_stream.short(), lines, dropped);
        self.log.dropped.store(dropped.await, Ordering::Relaxed);
    }

    /// Gives the environment work; back comes the call if it is not idle any more.
    pub(super) fn deliver(&self, call: Call, function: &Function) -> Result<(), Call> {
        let limit = function.config.timeout;
        let deadline = Deadline {
            at: Instant::now() + limit,
            epoch_ms: epoch_ms(function, limit),
        };
        let arn = function.arn(&call.invocation.target);
        let wake = lock(&self.lifecycle).deliver(call, &arn, deadline)?;
        self.delivered.notify_one();
        self.told.notify_waiters();
        if wake {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Whether the process may answer invocation `id` now, and how its caller wants the answer.
    pub(super) fn expects(&self, id: Option<RequestId>) -> Result<Operation, Refusal> {
        lock(&self.lifecycle).expects(id)
    }

    /// The process answers invocation `id`, by `failure` if that is not the function's own answer.
    pub(super) fn answer(
        &self,
        id: RequestId,
        answer: FunctionAnswer,
        failure: Option<&Failure>,
    ) -> Result<(), Refusal> {
        let answered = lock(&self.lifecycle).answer(id, answer, failure);
        self.delivered.notify_one();
        answered
    }

    /// The process begins to answer invocation `id`.
    pub(super) fn begin_stream(
        &self,
        id: RequestId,
        content_type: Option<HeaderValue>,
    ) -> Result<mpsc::Sender<Bytes>, Refusal> {
        lock(&self.lifecycle).begin_stream(id, content_type)
    }

    /// All of the answer that was begun has come; it ended well, in the function's own `error`, or
    /// in a `failure`.
    pub(super) fn end_stream(
        &self,
        error: Option<Bytes>,
        failure: Option<&Failure>,
    ) -> Result<(), Refusal> {
        let ended = lock(&self.lifecycle).end_stream(error, failure);
        self.delivered.notify_one();
        ended
    }

    /// The process broke off the answer that it had begun.
    pub(super) fn cut_off_stream(&self) {
        lock(&self.lifecycle).cut_off_stream();
        self.delivered.notify_one();
    }

    /// The process or an extension reports that it cannot be initialised.
    pub(super) fn init_error(&self, failure: Failure) -> Result<(), Refusal> {
        lock(&self.lifecycle).init_error(failure)?;
        self.changed.notify_one();
        Ok(())
    }

    /// An extension asks to be told of events; back comes what it goes by.
    pub(super) fn register(&self, name: &str, body: &[u8]) -> Result<Uuid, Refused> {
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
    pub(super) fn extension_error(
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
    pub(super) fn retire(&self) -> bool {
        lock(&self.lifecycle).retire()
    }

    /// The same, from without.
    pub(super) fn dismiss(&self) {
        if self.retire() {
            self.changed.notify_one();
        }
    }

    /// Whether the process has not yet asked for its first invocation.
    pub(super) fn is_starting(&self) -> bool {
        lock(&self.lifecycle).is_starting()
    }

    /// Whether the process has answered and not yet asked for more.
    pub(super) fn is_settling(&self) -> bool {
        lock(&self.lifecycle).is_settling()
    }

    /// Whether it is about to end.
    pub(super) fn is_ended(&self) -> bool {
        lock(&self.lifecycle).is_ended()
    }

    /// Whether it can take no more for now.
    pub(super) fn is_occupied(&self) -> bool {
        lock(&self.lifecycle).is_occupied()
    }
}

fn exited(exit: Exit) -> Cause {
    match exit {
        Exit::Runtime(Some(status)) => Cause::Failed(Failure::Exit(status)),
        Exit::Runtime(None) => Cause::Stopped,
        Exit::Extension(name, status) => Cause::Failed(Failure::Extension {
            error_type: "Extension.Crash".to_owned(),
            name,
            reason: status.map_or("ended".to_owned(), |status| status.to_string()),
        }),
    }
}

/// The time in `ahead`, in milliseconds since 1970.
fn epoch_ms(function: &Function, ahead: Duration) -> u128 {
    let now = (function.context.clock)().duration_since(UNIX_EPOCH);
    (now.unwrap_or_default() + ahead).as_millis()
}
