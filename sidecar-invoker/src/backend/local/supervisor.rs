//! The task that runs one execution environment. It starts the processes, waits for a reason to end
//! them, and removes all that is left.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use rustix::process::Pid;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};

use super::api::runtime;
use super::environment::failure::{ExtensionFailure, Failure};
use super::environment::report;
use super::environment::transitions::Ending;
use super::environment::{Environment, EnvironmentOwner};
use super::process::command::LaunchError;
use super::process::groups::{Exit, Launch, Processes, SHUTDOWN_TIMEOUT};
use super::process::unreserved::extension_variables;
use super::process::{procfs, wrapper};
use super::sandbox::{Sandbox, Scratch};
use crate::config::HostPort;
use crate::util::lock;

/// The cause of the end of an environment.
enum Cause {
    Failed(Failure),
    /// The environment has retired.
    Idle,
    /// The invoker is ending.
    Stopped,
}

impl Cause {
    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Idle | Self::Stopped => None,
        }
    }

    /// Returns the `shutdownReason` of the event `SHUTDOWN`.
    fn shutdown_reason(&self) -> &'static str {
        match self {
            Self::Failed(Failure::TimedOut(_)) => "timeout",
            Self::Failed(_) => "failure",
            Self::Idle | Self::Stopped => "spindown",
        }
    }
}

/// Runs `environment` until none of its processes is left.
pub(super) async fn run(environment: Arc<Environment>, owner: Arc<dyn EnvironmentOwner>) {
    if let Some(address) = &environment.spec.config.attach {
        let cause = attached(&environment, address).await;
        end(&environment, &*owner, &cause).await;
        return owner.removed(&environment);
    }
    let mut supervisor = Supervisor {
        environment: Arc::clone(&environment),
        owner: Arc::clone(&owner),
        processes: Processes::default(),
        scratch: None,
    };
    let started = tokio::select! {
        biased;
        started = supervisor.start() => started,
        cause = start_overdue(&environment) => Err(cause),
    };
    let cause = match started {
        Ok(()) => supervisor.wait_for_end().await,
        Err(cause) => cause,
    };
    end(&environment, &*owner, &cause).await;
    let limit = environment.spec.epoch_ms(SHUTDOWN_TIMEOUT);
    let has_recipient = lock(&environment.lifecycle)
        .extensions
        .announce_shutdown(cause.shutdown_reason(), limit);
    if has_recipient {
        environment.extension_event.notify_waiters();
    }
    let waits_for = |name: &str| {
        let lifecycle = lock(&environment.lifecycle);
        lifecycle.extensions.awaits_shutdown(name)
    };
    let groups = supervisor.processes.end(waits_for).await;
    remove_strays(&environment, groups, supervisor.scratch).await;
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
    scratch: Option<Scratch>,
}

impl Supervisor {
    /// Starts the extensions and then the runtime, as AWS does.
    async fn start(&mut self) -> Result<(), Cause> {
        let environment = Arc::clone(&self.environment);
        let spec = &*environment.spec;
        let entrypoint = |reason: LaunchError| {
            Cause::Failed(Failure::Entrypoint {
                program: spec.config.program.clone(),
                reason: Arc::new(reason),
            })
        };
        let program = spec.program().map_err(|error| entrypoint(error.into()))?;
        let no_port = |error| entrypoint(LaunchError::RuntimeApi(error));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.map_err(no_port)?;
        let address = listener.local_addr().map_err(no_port)?;
        let connections = self.processes.connections.clone();
        let api = runtime::serve(listener, connections, Arc::clone(&environment));
        self.processes.api = Some(tokio::spawn(api));

        spec.track_orphans(&environment.log_stream, None).await;
        environment.memory.set_cgroup(spec.cgroup());
        let sandbox = spec.sandbox().await;
        let Sandbox { init, scratch } = sandbox.map_err(|error| entrypoint(error.into()))?;
        self.processes.init = init;
        self.scratch = scratch;
        let directory = spec.view().directory();
        let scratch = self
            .scratch
            .as_ref()
            .map(|scratch| scratch.path().to_owned());
        let launch = Launch {
            directory: &directory,
            variables: &spec.variables,
            output: &spec.context.output,
            tasks: &spec.context.tasks,
            api: address,
            log: &environment.log,
            log_stream: &environment.log_stream,
            source: &environment.source,
            scratch: scratch.as_deref(),
        };
        let extension_variables = extension_variables(&spec.variables);
        let extension_launch = Launch {
            variables: &extension_variables,
            ..launch
        };
        let extensions = spec.view().extensions();
        let names = extensions.iter().map(|(name, _)| name.clone()).collect();
        let _ = environment.external_extensions.set(names);
        for (name, path) in &extensions {
            let group = self
                .processes
                .start_extension(&extension_launch, name, path)
                .await
                .map_err(|error| {
                    let file = spec.view().on_machine(path);
                    let interpreter = spec.check_interpreter(&file);
                    let error = interpreter.map_or_else(std::io::Error::other, |()| error);
                    Cause::Failed(Failure::Extension {
                        name: name.clone(),
                        reason: ExtensionFailure::Launch(Arc::new(error)),
                    })
                })?;
            self.track_process(group).await;
        }
        while environment.unregistered().is_some() {
            if let Some(cause) = self.next_cause().await {
                return Err(cause);
            }
        }
        let command = match spec.runtime_command(program) {
            Ok(command) => command,
            Err(LaunchError::Wrapper { wrapper, reason }) => {
                let (line, status) = wrapper::failure(&wrapper, &reason);
                environment.write(&line).await;
                let status = ExitStatus::from_raw(i32::from(status) << 8);
                return Err(Cause::Failed(Failure::Exit(status)));
            }
            Err(other) => return Err(entrypoint(other)),
        };
        let group = self.processes.start_runtime(&launch, command).await;
        let group = group.map_err(|error| entrypoint(error.into()))?;
        self.track_process(group).await;
        Ok(())
    }

    /// Registers a new process group for memory sampling and with the orphan reaper.
    async fn track_process(&mut self, group: Pid) {
        if let Some(ready) = self.processes.environment().await {
            self.environment.spec.check_sandbox(ready);
            self.environment.memory.set_ready(ready);
        }
        let Environment {
            memory,
            spec,
            log_stream,
            ..
        } = &*self.environment;
        memory.add(group);
        spec.track_orphans(log_stream, Some(group)).await;
    }

    /// Waits for a cause to end the environment.
    async fn wait_for_end(&mut self) -> Cause {
        loop {
            if let Some(cause) = self.next_cause().await {
                return cause;
            }
        }
    }

    /// Waits for the next change, and returns the cause if the change ends the environment.
    async fn next_cause(&mut self) -> Option<Cause> {
        let environment = &self.environment;
        let spec = &environment.spec;
        let (timer, reported, is_retired) = {
            let mut lifecycle = lock(&environment.lifecycle);
            let timer = lifecycle.set_timer();
            (timer, lifecycle.reported_failure(), lifecycle.is_ended())
        };
        if let Some(failure) = reported {
            return Some(Cause::Failed(failure));
        }
        if is_retired {
            return Some(Cause::Idle);
        }
        let expired = async {
            match timer {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let is_active = || !lock(&environment.lifecycle).is_idle();
        let exit = tokio::select! {
            exit = self.processes.exit() => {
                if environment.memory.was_exhausted() {
                    report_memory(environment, None);
                }
                exit
            }
            used = environment.memory.wait_until_exceeded(is_active, &spec.context.process_table) => {
                report_memory(environment, Some(used));
                // The environment ends as if the kernel had killed its process.
                self.processes.kill_first();
                self.processes.exit().await
            }
            () = spec.stopped() => return Some(Cause::Stopped),
            () = environment.changed.notified() => return None,
            () = expired => return self.expired(),
        };
        self.processes.drain_connections().await;
        Some(exit_cause(exit))
    }

    /// Handles the timer, which may have been set for an earlier phase.
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
}

/// Reports the end of an environment to those who wait for it.
async fn end(environment: &Arc<Environment>, owner: &dyn EnvironmentOwner, cause: &Cause) {
    let failure = cause.failure();
    let ending = lock(&environment.lifecycle).end(failure);
    match (ending, failure) {
        (Ending::FailedToStart, Some(failure)) => {
            let line = report::init_failed(environment.started.elapsed(), failure);
            environment.write(&line).await;
            if let (Failure::Exit(_), Err(missing)) =
                (failure, environment.spec.check_module().await)
            {
                tracing::warn!(function = %environment.spec.name, "line {missing}");
            }
            owner.failed_to_start(environment, failure.clone());
        }
        (Ending::During(outcome), _) => environment.conclude(outcome).await,
        (Ending::Quiet, Some(failure)) => {
            tracing::warn!(function = %environment.spec.name, "an execution environment ended: {failure}");
        }
        (_, None) => {}
    }
}

/// Waits for a cause to end an environment whose process is started by somebody else.
async fn attached(environment: &Arc<Environment>, address: &HostPort) -> Cause {
    let spec = &environment.spec;
    loop {
        let (limit, reported, is_ended) = {
            let mut lifecycle = lock(&environment.lifecycle);
            (
                lifecycle.set_timer(),
                lifecycle.reported_failure(),
                lifecycle.is_ended(),
            )
        };
        if let Some(failure) = reported {
            return Cause::Failed(failure);
        }
        if is_ended {
            return Cause::Idle;
        }
        let expired = async {
            match limit {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = spec.stopped() => return Cause::Stopped,
            () = environment.changed.notified() => continue,
            () = expired => {}
        }
        let mut lifecycle = lock(&environment.lifecycle);
        if lifecycle.deadline().is_none_or(|at| at > Instant::now()) {
            continue;
        }
        if lifecycle.is_starting() {
            return Cause::Failed(Failure::NotAttached(address.clone()));
        }
        if !lifecycle.is_idle() {
            return Cause::Failed(Failure::TimedOut(spec.config.timeout));
        }
        // The process is not ours to end.
        lifecycle.keep_until(Instant::now() + spec.config.idle_timeout);
    }
}

/// Waits until the time for the start is over, or the invoker ends. An init may hang, for example while
/// it mounts a directory of a network share that does not answer.
async fn start_overdue(environment: &Environment) -> Cause {
    let limit = lock(&environment.lifecycle).deadline();
    let expired = async {
        if let Some(limit) = limit {
            sleep_until(limit).await;
        }
        if !environment.is_starting() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = expired => Cause::Failed(Failure::TimedOut(environment.spec.config.init_timeout)),
        () = environment.spec.stopped() => Cause::Stopped,
    }
}

fn exit_cause(exit: Exit) -> Cause {
    match exit {
        Exit::Runtime(Some(status)) => Cause::Failed(Failure::Exit(status)),
        Exit::Runtime(None) => Cause::Stopped,
        Exit::Extension(name, status) => Cause::Failed(Failure::Extension {
            name,
            reason: ExtensionFailure::Exit(status),
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
        "killed: it used {used} MiB of memory, and its limit is {limit} MiB; raise `memory` if the function needs more"
    );
}

/// Kills the processes that have left their groups, reaps all ended ones, and removes the temporary
/// files.
async fn remove_strays(environment: &Arc<Environment>, groups: Vec<Pid>, scratch: Option<Scratch>) {
    let environment = Arc::clone(environment);
    let removed = tokio::task::spawn_blocking(move || {
        environment.memory.remove_cgroup();
        if !groups.is_empty() {
            procfs::kill_strays(&[environment.log_stream.entry()]);
        }
        for group in groups {
            procfs::reap_group(group);
        }
        drop(scratch);
    });
    // Fails only if the closure panicked.
    let _ = removed.await;
}
