//! The orphan reaper ends the processes of functions if the invoker is killed.
//!
//! The reaper is a second process of the same program. It reads the list of environments from a pipe.
//! The pipe breaks when the invoker ends for any reason, and the reaper then ends all processes that
//! are left. A parent-death signal would reach only a function's first process, and only when the
//! thread that started it ends.
//!
//! The reaper identifies an environment by an environment variable that only its processes have, and
//! by their process groups. It learns the variable before the first process starts.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{cgroup, procfs};

/// The invoker's connection to the orphan reaper.
pub(crate) struct OrphanReaper(Mutex<Option<ReaperProcess>>);

struct ReaperProcess {
    pipe: ChildStdin,
    process: Child,
}

impl OrphanReaper {
    /// Starts `program guard`, which has to run [`reap_orphans`] on its standard input.
    pub(crate) fn start(program: &Path) -> io::Result<Self> {
        let mut process = Command::new(program)
            .arg("guard")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C for the invoker must not reach the reaper.
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self(Mutex::new(Some(ReaperProcess { pipe, process }))))
    }

    /// Registers an environment. All processes with the environment variable `entry` (`NAME=VALUE`),
    /// and those of `group`, end with the invoker.
    pub(crate) async fn watch(&self, entry: &str, group: Option<Pid>) {
        let line = match group {
            Some(group) => format!("+{entry} {group}\n"),
            None => format!("+{entry}\n"),
        };
        self.send(&line).await;
    }

    /// Forgets the environment with this variable, whose processes have ended.
    pub(crate) async fn forget(&self, entry: &str) {
        self.send(&format!("-{entry}\n")).await;
    }

    /// Registers a control group. All its processes end with the invoker.
    pub(crate) async fn watch_cgroup(&self, folder: &Path) {
        self.send(&format!("cgroup {}\n", folder.display())).await;
    }

    async fn send(&self, line: &str) {
        let mut reaper = self.0.lock().await;
        let Some(ReaperProcess { pipe, .. }) = reaper.as_mut() else {
            return;
        };
        let written = match pipe.write_all(line.as_bytes()).await {
            Ok(()) => pipe.flush().await,
            error => error,
        };
        if let Err(error) = written {
            tracing::warn!(
                "the guard has ended ({error}): if the invoker is killed, functions may outlive it"
            );
        }
    }

    /// Closes the pipe, and waits a second at most for the reaper to end.
    pub(crate) async fn end(&self) {
        if let Some(ReaperProcess { pipe, mut process }) = self.0.lock().await.take() {
            drop(pipe);
            let _ = timeout(Duration::from_secs(1), process.wait()).await;
        }
    }
}

/// Runs the orphan reaper. It reads lines until `input` ends, and then ends the processes that are left:
/// with SIGTERM to the process groups, and 300 ms later with SIGKILL to all processes.
///
/// | line | meaning |
/// |---|---|
/// | `+VARIABLE` | An environment begins. Its variable is `NAME=VALUE`, without a space. |
/// | `+VARIABLE GROUP` | The environment has one more process group. |
/// | `-VARIABLE` | All processes of the environment have ended. |
/// | `cgroup FOLDER` | The control group of all environments. |
pub(crate) fn reap_orphans(input: impl BufRead) {
    let mut environments: BTreeMap<String, Vec<Pid>> = BTreeMap::new();
    let mut cgroup = None;
    for line in input.lines().map_while(Result::ok) {
        if let Some(entry) = line.strip_prefix('-') {
            environments.remove(entry);
        } else if let Some(environment) = line.strip_prefix('+') {
            let (entry, group) = environment.split_once(' ').unwrap_or((environment, ""));
            let group = group.parse().ok().and_then(Pid::from_raw);
            environments
                .entry(entry.to_owned())
                .or_default()
                .extend(group);
        } else if let Some(folder) = line.strip_prefix("cgroup ") {
            cgroup = Some(PathBuf::from(folder));
        }
    }
    if !environments.is_empty() {
        signal(environments.values().flatten(), Signal::TERM);
        std::thread::sleep(Duration::from_millis(300));
        signal(environments.values().flatten(), Signal::KILL);
        procfs::kill_strays(&environments.into_keys().collect::<Vec<_>>());
    }
    if let Some(folder) = cgroup {
        cgroup::remove(&folder);
    }
}

fn signal<'g>(groups: impl Iterator<Item = &'g Pid>, signal: Signal) {
    // Fails if the group has ended meanwhile.
    for group in groups {
        let _ = kill_process_group(*group, signal);
    }
}
