//! One execution environment: a process in a process group of its own, and its Runtime API.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::command::LogStream;
use super::failure::Failure;
use super::function::Function;
use super::lifecycle::{Call, Deadline, Ending, Lifecycle, Next, Refusal};
use super::memory::Memory;
use super::{lock, runtime_api};
use crate::invocation::{FunctionAnswer, Invocation, RequestId};
use crate::processes;

/// How long a process has between SIGTERM and SIGKILL, as on AWS.
const TERMINATION_GRACE: Duration = Duration::from_millis(300);

/// One execution environment.
pub(super) struct Environment {
    log_stream: LogStream,
    memory: Memory,
    lifecycle: Mutex<Lifecycle>,
    /// Wakes the Runtime API's `next`.
    delivered: Notify,
    /// Wakes the task that watches over the process.
    changed: Notify,
}

struct Process {
    child: Child,
    group: Pid,
    api: JoinHandle<()>,
}

impl Environment {
    /// An environment whose process is about to be started.
    pub(super) fn new(function: &Function) -> Arc<Self> {
        Arc::new(Self {
            log_stream: LogStream::new((function.context.clock)()),
            memory: Memory::new(function.config.memory_mib),
            lifecycle: Mutex::new(Lifecycle::starting(
                Instant::now() + function.config.init_timeout,
            )),
            delivered: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Starts the process and watches over it until nothing of it is left.
    pub(super) async fn run(self: Arc<Self>, function: Arc<Function>) {
        match self.start(&function).await {
            Err(failure) => self.end(&function, Some(failure)),
            Ok(mut process) => {
                let failure = self.watch(&function, &mut process).await;
                self.end(&function, failure);
                terminate(&mut process).await;
                self.clear(process.group).await;
                process.api.abort();
            }
        }
        function.unguard(&self.log_stream).await;
        function.removed(&self);
    }

    async fn start(self: &Arc<Self>, function: &Arc<Function>) -> Result<Process, Failure> {
        let entrypoint = |reason: String| Failure::Entrypoint {
            program: function.config.program.clone(),
            reason,
        };
        let program = function.program().map_err(entrypoint)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener
            .map_err(|error| entrypoint(format!("no port for its Runtime API: {error}")))?;
        let address = listener
            .local_addr()
            .map_err(|error| entrypoint(error.to_string()))?;
        function.guard(&self.log_stream, None).await;
        let mut child = Command::new(program)
            .args(&function.config.arguments)
            .current_dir(&function.config.directory)
            .env_clear()
            .envs(&function.variables)
            .envs([self.log_stream.variable()])
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| entrypoint(error.to_string()))?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let group = group.ok_or_else(|| entrypoint("ended at once".to_owned()))?;
        function.guard(&self.log_stream, Some(group)).await;
        self.memory.watch(group, function.cgroup_of(group));
        if let Some(stdout) = child.stdout.take() {
            function.forward(self.log_stream.short(), stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            function.forward(self.log_stream.short(), stderr);
        }
        let api = tokio::spawn(runtime_api::serve(
            listener,
            Arc::clone(self),
            Arc::clone(function),
        ));
        Ok(Process { child, group, api })
    }

    /// Waits for the process's end or for a reason to end it; `None` if it was told to.
    async fn watch(&self, function: &Function, process: &mut Process) -> Option<Failure> {
        loop {
            let (deadline, reported) = {
                let lifecycle = lock(&self.lifecycle);
                (lifecycle.deadline(), lifecycle.reported())
            };
            if reported.is_some() {
                return reported;
            }
            let expired = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                status = process.child.wait() => {
                    if self.memory.ran_out() {
                        self.report_memory(function, None);
                    }
                    return status.ok().map(Failure::Exit);
                }
                used = self.memory.exceeded(deadline.is_some(), &function.context.census) => {
                    self.report_memory(function, Some(used));
                    // It ends as if the kernel had ended it.
                    let _ = kill_process_group(process.group, Signal::KILL);
                    return process.child.wait().await.ok().map(Failure::Exit);
                }
                () = function.stopped() => return None,
                () = self.changed.notified() => {}
                () = expired => {
                    let lifecycle = lock(&self.lifecycle);
                    // The phase may have changed since the timer was set.
                    if lifecycle.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                        let config = &function.config;
                        let limit = if lifecycle.is_starting() { config.init_timeout } else { config.timeout };
                        return Some(Failure::TimedOut(limit));
                    }
                }
            }
        }
    }

    fn report_memory(&self, function: &Function, used: Option<u64>) {
        let limit = function.config.memory_mib;
        let used = used.unwrap_or_else(|| self.memory.peak_bytes()) >> 20;
        tracing::warn!(
            function = %function.name,
            environment = self.log_stream.short(),
            "killed, as it used {used} MiB of memory and may use {limit}: raise `memory` if it needs more"
        );
    }

    /// Ends what has left the process group, and takes note of the end of all of it.
    async fn clear(self: &Arc<Self>, group: Pid) {
        let environment = Arc::clone(self);
        let cleared = tokio::task::spawn_blocking(move || {
            environment.memory.remove_cgroup();
            processes::kill_strays(&[environment.log_stream.entry()]);
            processes::reap_group(group);
        });
        // Fails only if it panicked.
        let _ = cleared.await;
    }

    fn end(&self, function: &Arc<Function>, failure: Option<Failure>) {
        let ending = lock(&self.lifecycle).end(failure.as_ref());
        let Some(failure) = failure else { return };
        match ending {
            Ending::FailedToStart => function.failed_to_start(failure),
            Ending::Quiet => {
                tracing::warn!(function = %function.name, "an execution environment ended: {failure}");
            }
        }
    }

    /// The process asks for its next invocation; waits until there is one.
    pub(super) async fn next(
        self: &Arc<Self>,
        function: &Arc<Function>,
    ) -> Result<(Arc<Invocation>, Deadline), Refusal> {
        loop {
            let next = lock(&self.lifecycle).next();
            match next {
                Next::Deliver(invocation, deadline) => return Ok((invocation, deadline)),
                Next::Refused => return Err(Refusal::WrongState),
                Next::Wait { newly } => {
                    if newly {
                        function.ready(Arc::clone(self));
                    }
                    self.delivered.notified().await;
                }
            }
        }
    }

    /// Gives the environment work; back comes the call if it is not idle any more.
    pub(super) fn deliver(&self, call: Call, function: &Function) -> Result<(), Call> {
        let limit = function.config.timeout;
        let now = (function.context.clock)()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let deadline = Deadline {
            at: Instant::now() + limit,
            epoch_ms: (now + limit).as_millis(),
        };
        lock(&self.lifecycle).deliver(call, deadline)?;
        self.delivered.notify_one();
        self.changed.notify_one();
        Ok(())
    }

    /// Whether the process may answer invocation `id` now.
    pub(super) fn expects(&self, id: Option<RequestId>) -> Result<(), Refusal> {
        lock(&self.lifecycle).expects(id)
    }

    /// The process answers invocation `id`.
    pub(super) fn answer(&self, id: RequestId, answer: FunctionAnswer) -> Result<(), Refusal> {
        lock(&self.lifecycle).answer(id, answer)
    }

    /// The process reports that it cannot be initialised.
    pub(super) fn init_error(&self, payload: Bytes) -> Result<(), Refusal> {
        lock(&self.lifecycle).init_error(payload)?;
        self.changed.notify_one();
        Ok(())
    }

    /// Whether the process has not yet asked for its first invocation.
    pub(super) fn is_starting(&self) -> bool {
        lock(&self.lifecycle).is_starting()
    }

    /// Whether the process has answered and not yet asked for more.
    pub(super) fn is_settling(&self) -> bool {
        lock(&self.lifecycle).is_settling()
    }

    /// Whether it can take no more for now.
    pub(super) fn is_occupied(&self) -> bool {
        lock(&self.lifecycle).is_occupied()
    }
}

/// Ends the process and all that it started in its group.
async fn terminate(process: &mut Process) {
    // Fails only if nothing is left in the group.
    let _ = kill_process_group(process.group, Signal::TERM);
    let _ = timeout(TERMINATION_GRACE, process.child.wait()).await;
    let _ = kill_process_group(process.group, Signal::KILL);
    let _ = process.child.wait().await;
}
