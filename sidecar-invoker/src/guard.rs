//! No process outlives the invoker, even if the invoker is killed.
//!
//! A small process of the same program reads from a pipe which process groups there are. The pipe
//! ends with the invoker, however it ends; then the guard ends those groups that are left. (A
//! parent-death signal would reach only a function's first process, and it is bound to the thread
//! that started it.)

use std::collections::BTreeSet;
use std::io::{self, BufRead};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// The invoker's side of the guard.
pub(crate) struct Guard(Mutex<Option<Running>>);

struct Running {
    pipe: ChildStdin,
    process: Child,
}

impl Guard {
    /// Starts `program guard`, which has to run [`watch_over_groups`] on its standard input.
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

    /// From now on the group ends with the invoker.
    pub(crate) async fn watch(&self, group: Pid) {
        self.tell(&format!("+{group}\n")).await;
    }

    /// The group has ended.
    pub(crate) async fn forget(&self, group: Pid) {
        self.tell(&format!("-{group}\n")).await;
    }

    async fn tell(&self, line: &str) {
        let mut running = self.0.lock().await;
        let Some(Running { pipe, .. }) = running.as_mut() else {
            return;
        };
        let told = match pipe.write_all(line.as_bytes()).await {
            Ok(()) => pipe.flush().await,
            error => error,
        };
        if let Err(error) = told {
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

/// The guard's own work: reads lines `+GROUP` and `-GROUP` until `input` ends, then ends the process
/// groups that are left, by SIGTERM and 300 ms later by SIGKILL.
pub fn watch_over_groups(input: impl BufRead) {
    let mut groups = BTreeSet::new();
    for line in input.lines().map_while(Result::ok) {
        match (
            line.strip_prefix('+').map(str::parse),
            line.strip_prefix('-').map(str::parse),
        ) {
            (Some(Ok(group)), _) => _ = groups.insert(group),
            (_, Some(Ok(group))) => _ = groups.remove(&group),
            _ => {}
        }
    }
    signal(&groups, Signal::TERM);
    if !groups.is_empty() {
        std::thread::sleep(Duration::from_millis(300));
    }
    signal(&groups, Signal::KILL);
}

fn signal(groups: &BTreeSet<i32>, signal: Signal) {
    // A group that has ended meanwhile needs no signal.
    for group in groups.iter().filter_map(|&group| Pid::from_raw(group)) {
        let _ = kill_process_group(group, signal);
    }
}
