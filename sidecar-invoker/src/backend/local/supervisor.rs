//! The task over one execution environment: starts its processes, waits for a reason to end, and
//! sees to it that nothing is left of them.

use std::sync::Arc;

use rustix::process::Pid;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};

use super::api::runtime;
use super::environment::failure::Failure;
use super::environment::report;
use super::environment::transitions::Ending;
use super::environment::{Environment, epoch_ms};
use super::function::Function;
use super::process::groups::{self, Exit, Launch, Processes, SHUTDOWN_LIMIT};
use super::process::procfs;
use crate::util::lock;

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
        let api = runtime::serve(
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
            source: &self.source,
        };
        let extensions = groups::extensions(&function.config.directory);
        let names = extensions.iter().map(|(name, _)| name.clone()).collect();
        let _ = self.external.set(names);
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
        while self.unregistered().is_some() {
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
            procfs::kill_strays(&[environment.log_stream.entry()]);
            for group in groups {
                procfs::reap_group(group);
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
