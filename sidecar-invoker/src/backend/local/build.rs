//! The command that builds a function before its environments start: `build`.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::log::tail::Log;
use super::log::writer::LogSource;
use super::spec::FunctionSpec;

/// The time after the end of a build in which the rest of its output is read.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// The process group of a build, which is killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Lets the processes that are left go on.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The reason why a build has failed. The command's own output is in the log.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum BuildFailure {
    #[error("the build `{command}` cannot be run: {error}")]
    Start {
        command: String,
        error: Arc<io::Error>,
    },
    #[error(
        "the build `{command}` failed with {status}, and its output is in the log; it runs again after a change that `watch` sees, or once the invoker is started again"
    )]
    Failed { command: String, status: ExitStatus },
}

/// The state of a function's files.
#[derive(Debug, Clone)]
enum State {
    /// The first build has not ended.
    Unbuilt,
    /// The last build succeeded, or the function has none.
    Built,
    /// The last build failed, and none has succeeded.
    Failed(BuildFailure),
}

/// The builds of a function.
pub(super) struct Build {
    spec: Arc<FunctionSpec>,
    state: watch::Sender<State>,
}

impl Build {
    /// Returns the builds of a function, none of which has run.
    pub(super) fn new(spec: Arc<FunctionSpec>) -> Arc<Self> {
        let state = match spec.config.build.is_empty() {
            true => State::Built,
            false => State::Unbuilt,
        };
        Arc::new(Self {
            spec,
            state: watch::Sender::new(state),
        })
    }

    /// Waits for the first build.
    ///
    /// # Errors
    /// Returns an error if no build has succeeded.
    pub(super) async fn wait(&self) -> Result<(), BuildFailure> {
        let mut state = self.state.subscribe();
        let known = state
            .wait_for(|state| !matches!(state, State::Unbuilt))
            .await;
        match known.as_deref() {
            Ok(State::Failed(failure)) => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until a build has succeeded.
    pub(super) async fn succeeded(&self) {
        let mut state = self.state.subscribe();
        let is_built = |state: &State| matches!(state, State::Built);
        // Fails only if this value is dropped meanwhile.
        let _ = state.wait_for(is_built).await;
    }

    /// Returns whether the function has been built.
    pub(super) fn is_built(&self) -> bool {
        matches!(*self.state.borrow(), State::Built)
    }

    /// Runs the command, if the function has one. Returns false, and logs the reason, if it fails.
    pub(super) async fn run(&self) -> bool {
        if self.spec.config.build.is_empty() {
            return true;
        }
        let failure = self.try_run().await.err();
        if let Some(failure) = &failure {
            tracing::error!(function = %self.spec.name, "{failure}");
        }
        let succeeded = failure.is_none();
        self.state.send_modify(|state| match (failure, &state) {
            // What was built before still serves.
            (Some(_), State::Built) => {}
            (Some(failure), _) => *state = State::Failed(failure),
            (None, _) => *state = State::Built,
        });
        succeeded
    }

    async fn try_run(&self) -> Result<(), BuildFailure> {
        let FunctionSpec {
            name,
            config,
            context,
            ..
        } = &*self.spec;
        let command = config.build.join(" ");
        let start = |error| BuildFailure::Start {
            command: command.clone(),
            error: Arc::new(error),
        };
        let [program, arguments @ ..] = config.build.as_slice() else {
            return Ok(());
        };
        tracing::info!(function = %name, "building: {command}");
        // The user's own variables, because a build needs their tools.
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&config.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(start)?;
        let source = LogSource {
            function: name.to_string(),
            environment: "build".to_owned(),
        };
        // A build that is given up ends with all processes that it has started.
        let group = Group::of(&child);
        let log: Arc<Log> = Arc::default();
        let mut lines = JoinSet::new();
        let output = child.stdout.take().map(|output| log.tap(output));
        if let Some(Ok(output)) = output {
            lines.spawn(context.output.clone().forward(source.clone(), output));
        }
        let errors = child.stderr.take().map(|errors| log.tap(errors));
        if let Some(Ok(errors)) = errors {
            lines.spawn(context.output.clone().forward(source, errors));
        }
        let status = child.wait().await;
        // A server that the build has started may hold its output open, and goes on.
        let written = async { while lines.join_next().await.is_some() {} };
        let _ = timeout(OUTPUT_TIMEOUT, written).await;
        group.forget();
        let status = status.map_err(start)?;
        match status.success() {
            true => Ok(()),
            false => Err(BuildFailure::Failed { command, status }),
        }
    }
}
