//! A process of an environment: a child of the invoker, or of an init.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::client::Init;

/// A process, which is the first of a process group of its own.
pub(crate) enum ChildProcess {
    /// A child of the invoker.
    OfInvoker(Child),
    /// A child of an init.
    OfInit(oneshot::Receiver<ExitStatus>),
    /// The process has ended.
    Ended(Option<ExitStatus>),
}

/// A process that has just started.
pub(crate) struct Started {
    pub(crate) process: ChildProcess,
    pub(crate) pid: Pid,
    pub(crate) stdout: Receiver,
    pub(crate) stderr: Receiver,
}

/// Starts a program with exactly the variables that `command` sets. `init` starts it if there is one.
///
/// # Errors
/// The operating system cannot start the process.
pub(crate) async fn start(mut command: Command, init: Option<&mut Init>) -> io::Result<Started> {
    let (stdout, stdout_end) = io::pipe()?;
    let (stderr, stderr_end) = io::pipe()?;
    let (process, pid) = match init {
        Some(init) => {
            let (pid, exit) = init.start(command.as_std(), stdout_end, stderr_end).await?;
            (ChildProcess::OfInit(exit), pid)
        }
        None => {
            let child = command
                .stdin(Stdio::null())
                .stdout(stdout_end)
                .stderr(stderr_end)
                .process_group(0)
                .kill_on_drop(true)
                .spawn()?;
            let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            let pid = pid.ok_or_else(|| io::Error::other("ended at once"))?;
            (ChildProcess::OfInvoker(child), pid)
        }
    };
    Ok(Started {
        process,
        pid,
        stdout: Receiver::from_owned_fd(stdout.into())?,
        stderr: Receiver::from_owned_fd(stderr.into())?,
    })
}

impl ChildProcess {
    /// Waits for the end of the process. The status may be unknown.
    pub(crate) async fn wait(&mut self) -> Option<ExitStatus> {
        let status = match self {
            Self::OfInvoker(child) => child.wait().await.ok(),
            // If an init is killed, its processes are killed too.
            Self::OfInit(exit) => Some(exit.await.unwrap_or_else(|_| killed())),
            Self::Ended(status) => return *status,
        };
        *self = Self::Ended(status);
        status
    }
}

fn killed() -> ExitStatus {
    ExitStatus::from_raw(Signal::KILL.as_raw())
}
