//! No process outlives the invoker, even if the invoker is killed.
//!
//! A small process of the same program reads from a pipe which environments there are. The pipe
//! ends with the invoker, however it ends; then the guard ends what is left of them. (A
//! parent-death signal would reach only a function's first process, and it is bound to the thread
//! that started it.)
//!
//! An environment is known by an environment variable that only its processes have, told before
//! there is any, and by its process groups once there are some.

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

/// The invoker's side of the guard.
pub(crate) struct OrphanReaper(Mutex<Option<Running>>);

struct Running {
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
            // Out of the reach of a Ctrl-C that is meant for the invoker.
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self(Mutex::new(Some(Running { pipe, process }))))
    }

    /// From now on all processes with the environment variable `entry` (`NAME=VALUE`) end with the
    /// invoker, and so does their group.
    pub(crate) async fn watch(&self, entry: &str, group: Option<Pid>) {
        let line = match group {
            Some(group) => format!("+{entry} {group}\n"),
            None => format!("+{entry}\n"),
        };
        self.send(&line).await;
    }

    /// The processes with this environment variable have ended.
    pub(crate) async fn forget(&self, entry: &str) {
        self.send(&format!("-{entry}\n")).await;
    }

    /// From now on all that is in this control group ends with the invoker.
    pub(crate) async fn watch_cgroup(&self, folder: &Path) {
        self.send(&format!("cgroup {}\n", folder.display())).await;
    }

    async fn send(&self, line: &str) {
        let mut running = self.0.lock().await;
        let Some(Running { pipe, .. }) = running.as_mut() else {
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

    /// Lets the guard end, for a second at most.
    pub(crate) async fn end(&self) {
        if let Some(Running { pipe, mut process }) = self.0.lock().await.take() {
            drop(pipe);
            let _ = timeout(Duration::from_secs(1), process.wait()).await;
        }
    }
}

/// The guard's own work: reads lines until `input` ends, then ends what is left: by SIGTERM to the
/// process groups, and 300 ms later by SIGKILL to all.
///
/// The lines are `+VARIABLE`, `+VARIABLE GROUP` and `-VARIABLE` for an environment that begins, has
/// one more process group, and has ended, where the variable stands as `NAME=VALUE` without a space; and
/// `cgroup FOLDER`.
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
    // A group that has ended meanwhile needs no signal.
    for group in groups {
        let _ = kill_process_group(*group, signal);
    }
}
