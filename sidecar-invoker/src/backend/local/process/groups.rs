//! The processes of one execution environment. The runtime and each extension have a process group
//! of their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncRead;
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use super::command::{FUNCTION_VERSION, LogStream};
use super::isolation::{self, ChildProcess, Init, Ready};
use super::open_files;
use crate::backend::local::log::tail::{Log, Tap};
use crate::backend::local::log::writer::{LogSource, Output};

/// The time between SIGTERM and SIGKILL for the runtime, as on AWS.
const TERMINATION_GRACE: Duration = Duration::from_millis(300);
/// The time between the event `SHUTDOWN` and SIGKILL for extensions, as on AWS.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum time for reading what a process sent before its end.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// The running processes of an environment, and its API.
#[derive(Default)]
pub(crate) struct Processes {
    pub(crate) api: Option<JoinHandle<()>>,
    /// The open connections to the API.
    pub(crate) connections: TaskTracker,
    /// Starts the processes, and ends all that are left.
    pub(crate) init: Option<Init>,
    runtime: Option<(ChildProcess, Pid)>,
    extensions: JoinSet<(String, Option<ExitStatus>)>,
    groups: Vec<(String, Pid)>,
}

/// The end of a process. The status may be unknown.
pub(crate) enum Exit {
    Runtime(Option<ExitStatus>),
    Extension(String, Option<ExitStatus>),
}

impl Processes {
    /// Starts the runtime.
    ///
    /// # Errors
    /// The operating system cannot start the process.
    pub(crate) async fn start_runtime(
        &mut self,
        launch: &Launch<'_>,
        command: Command,
    ) -> std::io::Result<Pid> {
        let (child, group) = launch.spawn(command, self.init.as_mut()).await?;
        self.runtime = Some((child, group));
        Ok(group)
    }

    /// Starts an extension, whose name is that of its file.
    ///
    /// # Errors
    /// The operating system cannot start the process.
    pub(crate) async fn start_extension(
        &mut self,
        launch: &Launch<'_>,
        name: &str,
        program: &Path,
    ) -> std::io::Result<Pid> {
        let command = Command::new(program);
        let (mut child, group) = launch.spawn(command, self.init.as_mut()).await?;
        self.groups.push((name.to_owned(), group));
        let name = name.to_owned();
        self.extensions
            .spawn(async move { (name, child.wait().await) });
        Ok(group)
    }

    /// Returns the report of the init, if there is one.
    pub(crate) async fn environment(&mut self) -> Option<&Ready> {
        self.init.as_mut()?.ready().await.ok()
    }

    /// Kills the runtime, or the extensions if the runtime has not started.
    pub(crate) fn kill_first(&self) {
        match &self.runtime {
            Some((_, group)) => kill(*group, Signal::KILL),
            None => self
                .groups
                .iter()
                .for_each(|(_, group)| kill(*group, Signal::KILL)),
        }
    }

    /// Waits until the requests of ended processes have been read. A process may respond and end at
    /// once.
    pub(crate) async fn drain_connections(&self) {
        self.connections.close();
        let _ = timeout(DRAIN_TIMEOUT, self.connections.wait()).await;
    }

    /// Waits until a process ends.
    pub(crate) async fn exit(&mut self) -> Exit {
        let Self {
            runtime,
            extensions,
            ..
        } = self;
        let runtime = async {
            match runtime {
                Some((child, _)) => child.wait().await,
                None => std::future::pending().await,
            }
        };
        let extension = async {
            match extensions.join_next().await {
                Some(Ok((name, status))) => (name, status),
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            // If the kernel kills the runtime for its memory, the extensions may end with it.
            biased;
            status = runtime => Exit::Runtime(status),
            (name, status) = extension => Exit::Extension(name, status),
        }
    }

    /// Ends the processes and all others in their groups, and returns the groups. An init ends all
    /// processes that were ever started, so there is no group to return.
    ///
    /// Extensions for which `waits_for` returns true have time to end by themselves.
    pub(crate) async fn end(mut self, waits_for: impl Fn(&str) -> bool) -> Vec<Pid> {
        let limit = Instant::now() + SHUTDOWN_TIMEOUT;
        let must_wait = self.groups.iter().any(|(name, _)| waits_for(name));
        for (_, group) in self.groups.iter().filter(|(name, _)| !waits_for(name)) {
            kill(*group, Signal::KILL);
        }
        if let Some((child, group)) = &mut self.runtime {
            kill(*group, Signal::TERM);
            let _ = timeout(TERMINATION_GRACE, child.wait()).await;
            kill(*group, Signal::KILL);
            if self.init.is_none() {
                let _ = child.wait().await;
            }
        }
        if must_wait {
            let all_ended = async { while self.extensions.join_next().await.is_some() {} };
            let _ = timeout_at(limit, all_ended).await;
        }
        for (_, group) in &self.groups {
            kill(*group, Signal::KILL);
        }
        if let Some(api) = self.api {
            api.abort();
        }
        if let Some(init) = self.init {
            // A function may have stopped the init, which then reports no exit.
            init.end().await;
            return Vec::new();
        }
        while self.extensions.join_next().await.is_some() {}
        let runtime = self.runtime.map(|(_, group)| group);
        let extensions = self.groups.into_iter().map(|(_, group)| group);
        extensions.chain(runtime).collect()
    }
}

fn kill(group: Pid, signal: Signal) {
    // Fails only if the group is empty.
    let _ = kill_process_group(group, signal);
}

/// The parameters that all processes of an environment share.
pub(crate) struct Launch<'e> {
    pub(crate) directory: &'e Path,
    pub(crate) variables: &'e BTreeMap<OsString, OsString>,
    /// The destination of the processes' output.
    pub(crate) output: &'e Output,
    pub(crate) tasks: &'e TaskTracker,
    /// The address of the Runtime API.
    pub(crate) api: SocketAddr,
    pub(crate) log: &'e Arc<Log>,
    pub(crate) log_stream: &'e LogStream,
    pub(crate) source: &'e LogSource,
    /// The folder for temporary files. An init sets `TMPDIR` itself where it is needed.
    pub(crate) scratch: Option<&'e Path>,
}

impl Launch<'_> {
    async fn spawn(
        &self,
        mut command: Command,
        init: Option<&mut Init>,
    ) -> std::io::Result<(ChildProcess, Pid)> {
        let tmpdir = self.scratch.filter(|_| init.is_none());
        command
            .current_dir(self.directory)
            .env_clear()
            .envs(tmpdir.map(|scratch| ("TMPDIR", scratch)))
            .env(FUNCTION_VERSION, self.log_stream.version())
            .envs(self.variables)
            .envs([self.log_stream.variable()])
            .env("AWS_LAMBDA_RUNTIME_API", self.api.to_string());
        let started = isolation::start(command, init).await?;
        open_files::restore(started.pid);
        self.forward(self.log.tap(started.stdout)?);
        self.forward(self.log.tap(started.stderr)?);
        Ok((started.process, started.pid))
    }

    /// Starts a task that passes on the output of a process.
    fn forward(&self, process: Tap<impl AsyncRead + Send + Unpin + 'static>) {
        let output = self.output.clone();
        self.tasks
            .spawn(output.forward(self.source.clone(), process));
    }
}
