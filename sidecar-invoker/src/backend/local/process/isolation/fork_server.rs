//! The fork server: a process of the same program that has one thread and forks the inits of
//! execution environments. Forking takes a fraction of the time of starting the program.
//!
//! The fork server is a subreaper. If an init is killed, the processes of its environment become
//! children of the fork server, which kills them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fork::Fork;
use nix::sys::signalfd::SignalFd;
use rustix::process::{WaitOptions, getpid, set_child_subreaper, wait};
use rustix::thread::set_name;

use super::init::{self, child_signals, kill_descendants, wait_for};
use super::message::{CGROUPS, Decoder, ENVIRONMENT, Encoder, FORKED, REFUSED, receive};
use crate::backend::local::process::cgroup;

/// The time in which inits end their environments once the invoker has ended.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the invoker at the other end of standard input until the connection closes.
pub(super) fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    // A fork copies only one thread. It could wait forever for a lock of another thread.
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    set_name(c"lambda-fork")?;
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // A forked process must not hold the connection open.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    set_child_subreaper(Some(getpid()))?;
    let signals = child_signals()?;
    let mut inits = BTreeSet::new();
    let mut cgroups = None;
    loop {
        let [has_request, has_ended_child] = wait_for([&socket, &signals], None);
        if has_ended_child {
            reap(&signals, &mut inits);
        }
        if !has_request {
            continue;
        }
        let Ok(Some((message, fds))) = receive(&mut socket) else {
            break;
        };
        let (kind, mut fields) = Decoder::new(&message)?;
        match (kind, <[OwnedFd; 1]>::try_from(fds)) {
            (ENVIRONMENT, Ok([connection])) => {
                let mut connection = UnixStream::from(connection);
                match fork::fork() {
                    Ok(Fork::Child) => {
                        drop((socket, signals));
                        init::run(connection);
                        std::process::exit(0);
                    }
                    Ok(Fork::Parent(pid)) => {
                        inits.insert(pid);
                        let message = Encoder::new(FORKED).number(pid.cast_unsigned().into());
                        // The invoker may have given up.
                        let _ = connection.write_all(&message.finish());
                    }
                    Err(error) => {
                        let errno = error.raw_os_error().unwrap_or_default();
                        let message = Encoder::new(REFUSED)
                            .text("fork")
                            .number(errno.cast_unsigned().into());
                        // The invoker may have given up.
                        let _ = connection.write_all(&message.finish());
                    }
                }
            }
            (CGROUPS, _) => cgroups = Some(fields.path()?),
            _ => {}
        }
    }
    end(&signals, inits, cgroups);
    Ok(())
}

/// Reaps ended children. If an init was killed, kills the processes that it has left. An init that
/// ends by itself leaves none.
fn reap(signals: &SignalFd, inits: &mut BTreeSet<i32>) {
    while let Ok(Some(_)) = signals.read_signal() {}
    let mut was_killed = false;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        let is_init = inits.remove(&pid.as_raw_pid());
        was_killed |= is_init && status.exit_status() != Some(0);
    }
    if was_killed {
        kill_descendants(inits);
    }
}

/// Waits for the inits, which also know that the invoker has ended.
fn end(signals: &SignalFd, mut inits: BTreeSet<i32>, cgroups: Option<PathBuf>) {
    let deadline = Instant::now() + END_TIMEOUT;
    loop {
        reap(signals, &mut inits);
        let left = deadline.saturating_duration_since(Instant::now());
        if inits.is_empty() || left.is_zero() {
            break;
        }
        wait_for([signals], Some(left));
    }
    kill_descendants(&mut BTreeSet::new());
    if let Some(folder) = cgroups {
        cgroup::remove(&folder);
    }
}
