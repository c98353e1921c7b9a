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
use super::environment::{Environment, EnvironmentOwner};
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

/// Starts the processes of `environment` and watches over them until nothing of them is left.
pub(super) async fn run(environment: Arc<Environment>, owner: Arc<dyn EnvironmentOwner>) {
    let mut supervisor = Supervisor {
        environment: Arc::clone(&environment),
        owner: Arc::clone(&owner),
        processes: Processes::default(),
    };
    let cause = match supervisor.start().await {
        Ok(()) => supervisor.watch().await,
        Err(cause) => cause,
    };
    supervisor.end(&cause).await;
    let limit = environment.spec.epoch_ms(SHUTDOWN_LIMIT);
    let is_awaited = lock(&environment.lifecycle)
        .extensions
        .shut_down(cause.shutdown_reason(), limit);
    if is_awaited {
        environment.extension_event.notify_waiters();
    }
    let waits_for = |name: &str| {
        let lifecycle = lock(&environment.lifecycle);
        lifecycle.extensions.awaits_shutdown(name)
    };
    let groups = supervisor.processes.end(waits_for).await;
    clear(&environment, groups).await;
    environment
        .spec
        .forget_orphans(&environment.log_stream)
        .await;
    owner.removed(&environment);
}

struct Supervisor {
    environment: Arc<Environment>,
    owner: Arc<dyn EnvironmentOwner>,
    processes: Processes,
}

impl Supervisor {
    /// First the extensions, then the runtime, as on AWS.
    async fn start(&mut self) -> Result<(), Cause> {
        let environment = Arc::clone(&self.environment);
        let spec = &*environment.spec;
        let entrypoint = |reason: String| {
            Cause::Failed(Failure::Entrypoint {
                program: spec.config.program.clone(),
                reason,
            })
        };
        let program = spec.program();
        let program = program.map_err(|error| entrypoint(error.to_string()))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener
            .map_err(|error| entrypoint(format!("no port for its Runtime API: {error}")))?;
        let address = listener
            .local_addr()
            .map_err(|error| entrypoint(error.to_string()))?;
        let connections = self.processes.connections.clone();
        let api = runtime::serve(listener, connections, Arc::clone(&environment));
        self.processes.api = Some(tokio::spawn(api));

        spec.track_orphans(&environment.log_stream, None).await;
        environment.memory.begin(spec.cgroup());
        let launch = Launch {
            directory: &spec.config.directory,
            variables: &spec.variables,
            output: &spec.context.output,
            tasks: &spec.context.tasks,
            api: address,
            log: &environment.log,
            log_stream: &environment.log_stream,
            source: &environment.source,
        };
        let extensions = groups::extensions(&spec.config.directory);
        let names = extensions.iter().map(|(name, _)| name.clone()).collect();
        let _ = environment.external.set(names);
        for (name, path) in &extensions {
            let group = self
                .processes
                .start_extension(&launch, name, path)
                .map_err(|error| {
                    Cause::Failed(Failure::Extension {
                        error_type: "Extension.LaunchError".to_owned(),
                        name: name.clone(),
                        reason: error.to_string(),
                    })
                })?;
            self.track_process(group).await;
        }
        while environment.unregistered().is_some() {
            if let Some(cause) = self.event().await {
                return Err(cause);
            }
        }
        let command = spec.runtime_command(program);
        let group = command.and_then(|command| self.processes.start_runtime(&launch, command));
        let group = group.map_err(|error| entrypoint(error.to_string()))?;
        self.track_process(group).await;
        Ok(())
    }

    /// A process has been started, in a group of its own.
    async fn track_process(&self, group: Pid) {
        let Environment {
            memory,
            spec,
            log_stream,
            ..
        } = &*self.environment;
        memory.add(group);
        spec.track_orphans(log_stream, Some(group)).await;
    }

    /// Waits for a reason to end.
    async fn watch(&mut self) -> Cause {
        loop {
            if let Some(cause) = self.event().await {
                return cause;
            }
        }
    }

    /// Waits for whatever happens next, and tells if that is a reason to end.
    async fn event(&mut self) -> Option<Cause> {
        let environment = &self.environment;
        let spec = &environment.spec;
        let (deadline, reported, is_retired) = {
            let mut lifecycle = lock(&environment.lifecycle);
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
        let is_active = || !lock(&environment.lifecycle).is_idle();
        let exit = tokio::select! {
            exit = self.processes.exit() => {
                if environment.memory.ran_out() {
                    report_memory(environment, None);
                }
                exit
            }
            used = environment.memory.exceeded(is_active, &spec.context.process_table) => {
                report_memory(environment, Some(used));
                // It ends as if the kernel had ended it.
                self.processes.kill_first();
                self.processes.exit().await
            }
            () = spec.stopped() => return Some(Cause::Stopped),
            () = environment.changed.notified() => return None,
            () = expired => return self.expired(),
        };
        self.processes.drain_connections().await;
        Some(exited(exit))
    }

    /// The time limit of some phase has passed; of the present one, maybe.
    fn expired(&self) -> Option<Cause> {
        let environment = &self.environment;
        let config = &environment.spec.config;
        {
            let lifecycle = lock(&environment.lifecycle);
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
        if self.owner.retire(environment) {
            return Some(Cause::Idle);
        }
        lock(&environment.lifecycle).keep_until(Instant::now() + config.idle_timeout);
        None
    }

    async fn end(&self, cause: &Cause) {
        let environment = &self.environment;
        let failure = cause.failure();
        let ending = lock(&environment.lifecycle).end(failure);
        match (ending, failure) {
            (Ending::FailedToStart, Some(failure)) => {
                let line = report::init_failed(environment.begun.elapsed(), failure);
                environment.write(&line).await;
                self.owner.failed_to_start(environment, failure.clone());
            }
            (Ending::During(outcome), _) => environment.conclude(outcome).await,
            (Ending::Quiet, Some(failure)) => {
                tracing::warn!(function = %environment.spec.name, "an execution environment ended: {failure}");
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

fn report_memory(environment: &Environment, used: Option<u64>) {
    let limit = environment.spec.config.memory_mib;
    let used = used
        .or_else(|| environment.memory.peak_bytes())
        .unwrap_or_default()
        >> 20;
    tracing::warn!(
        function = %environment.spec.name,
        environment = environment.log_stream.short(),
        "killed, as it used {used} MiB of memory and may use {limit}: raise `memory` if it needs more"
    );
}

/// Ends what has left the process groups, and takes note of the end of all of it.
async fn clear(environment: &Arc<Environment>, groups: Vec<Pid>) {
    let environment = Arc::clone(environment);
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
