//! The init of one execution environment: a process that the fork server has forked. It creates the
//! namespaces and mounts of the environment, starts its processes, and reports their exits. Once the
//! connection to the invoker closes, for any reason, it ends all processes that are left.
//!
//! The init itself stays in the PID namespace of the invoker, so that the invoker can use the process
//! numbers that the init reports. PID 1 of the environment's namespace is a child of the init, which
//! only reaps orphans. The kernel ends all processes of the namespace with it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fork::Fork;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal as BlockedSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, mount};
use rustix::process::{
    Pid, Signal, WaitOptions, getegid, geteuid, getpid, kill_process, kill_process_group,
    set_child_subreaper, set_parent_process_death_signal, wait,
};
use rustix::thread::set_name;

use super::message::{
    Decoder, EXITED, Encoder, NOT_STARTED, PREPARE, READY, REFUSED, SET_UP, START, STARTED,
    decode_command, malformed, receive,
};
use super::mounts::{self, Mounts};
use super::plan::{Level, Plan, SetUpError, step};
use crate::backend::local::process::procfs;

/// The time between SIGTERM and SIGKILL if the invoker has been killed.
const TERMINATION_GRACE: Duration = Duration::from_millis(300);
/// The pause before the next search, in which killed processes end.
const KILL_PAUSE: Duration = Duration::from_millis(2);

/// Serves the invoker at the other end of `socket` until the connection closes, and then ends the
/// environment.
pub(super) fn run(socket: UnixStream) {
    // The name is for a reader of the process table only.
    let _ = set_name(c"lambda-init");
    let Ok(signals) = child_signals() else { return };
    let mut init = InitProcess {
        socket,
        signals,
        reaper: None,
        prepared: None,
        processes: BTreeSet::new(),
        scratch: None,
    };
    init.serve();
    init.end();
}

/// Blocks SIGCHLD and returns a descriptor that can be read when a child has ended.
pub(super) fn child_signals() -> io::Result<SignalFd> {
    let signals = child_signal();
    signals.thread_block()?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    Ok(SignalFd::with_flags(&signals, flags)?)
}

fn child_signal() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(BlockedSignal::SIGCHLD);
    signals
}

/// Waits until one of the sources can be read, and returns for each source whether it can.
pub(super) fn wait_for<const N: usize>(
    sources: [&dyn AsFd; N],
    limit: Option<Duration>,
) -> [bool; N] {
    let mut polled = sources.map(|source| PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN));
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let ready = poll(&mut polled, limit.as_ref()).unwrap_or_default();
    polled.map(|source| ready > 0 && !source.revents().is_empty())
}

struct InitProcess {
    socket: UnixStream,
    /// Can be read when a child has ended.
    signals: SignalFd,
    /// PID 1 of the environment's namespace.
    reaper: Option<Pid>,
    /// The result of the preparation, if there was one.
    prepared: Option<Result<Option<Mounts>, SetUpError>>,
    /// The running processes that the invoker has asked for.
    processes: BTreeSet<i32>,
    /// The folder for temporary files, which is removed at the end.
    scratch: Option<PathBuf>,
}

impl InitProcess {
    fn serve(&mut self) {
        loop {
            let [has_request, has_ended_child] = wait_for([&self.socket, &self.signals], None);
            if has_ended_child && self.reap().is_err() {
                return;
            }
            if has_request {
                let Ok(Some((message, fds))) = receive(&mut self.socket) else {
                    return;
                };
                if self.carry_out(&message, fds).is_err() {
                    return;
                }
            }
        }
    }

    fn carry_out(&mut self, message: &[u8], fds: Vec<OwnedFd>) -> io::Result<()> {
        let (kind, mut fields) = Decoder::new(message)?;
        let answer = match kind {
            PREPARE => {
                let level = Level::decode(fields.number()?)?;
                self.prepared = Some(self.prepare(level));
                return Ok(());
            }
            SET_UP => {
                let plan = Plan::decode(&mut fields)?;
                match self.set_up(&plan) {
                    Ok(answer) => answer,
                    Err(SetUpError { step, errno }) => Encoder::new(REFUSED)
                        .text(step)
                        .number(errno.cast_unsigned().into()),
                }
            }
            START => match self.start(decode_command(&mut fields)?, fds) {
                Ok(pid) => Encoder::new(STARTED).number(pid.into()),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or_default();
                    Encoder::new(NOT_STARTED).number(errno.cast_unsigned().into())
                }
            },
            _ => return Err(malformed()),
        };
        self.socket.write_all(&answer.finish())?;
        // A signal that arrived during a start was lost.
        self.reap()
    }

    /// Sets up the parts that are the same for all environments of this level.
    fn prepare(&mut self, level: Level) -> Result<Option<Mounts>, SetUpError> {
        if level != Level::Namespaces {
            let subreaper = set_child_subreaper(Some(getpid()));
            step(|| "become a subreaper".to_owned(), subreaper)?;
        }
        if !level.has_mounts() {
            return Ok(None);
        }
        enter_namespaces(level)?;
        let mounts = Mounts::detach()?;
        // PID 1 starts while this process goes on.
        let reaper = (level == Level::Namespaces)
            .then(Reaper::start)
            .transpose()?;
        self.reaper = reaper.as_ref().map(|reaper| reaper.pid);
        mounts::prepare()?;
        reaper.map(Reaper::wait).transpose()?;
        Ok(Some(mounts))
    }

    fn set_up(&mut self, plan: &Plan) -> Result<Encoder, SetUpError> {
        let prepared = self.prepared.take();
        let prepared = prepared.unwrap_or_else(|| self.prepare(plan.level));
        let (mounts, mut obstacle) = match prepared {
            Ok(mounts) => (mounts, String::new()),
            Err(error) if plan.scratch.is_some() && error.is_of_the_system() => {
                (self.prepare(Level::Processes)?, error.to_string())
            }
            Err(error) => return Err(error),
        };
        let has_mounts = mounts.is_some();
        match (mounts, &plan.scratch) {
            (Some(mounts), _) => mounts::set_up(plan, mounts)?,
            (None, None) => {}
            (None, Some(scratch)) => match fs::DirBuilder::new().mode(0o700).create(scratch) {
                Ok(()) => self.scratch = Some(scratch.clone()),
                Err(error) => obstacle = format!("make {}: {error}", scratch.display()),
            },
        }
        let reaper = self.reaper.map_or(0, Pid::as_raw_pid);
        Ok(Encoder::new(READY)
            .number(std::process::id().into())
            .number(reaper.cast_unsigned().into())
            .number(has_mounts.into())
            .text(obstacle))
    }

    fn start(&mut self, mut command: Command, fds: Vec<OwnedFd>) -> io::Result<u32> {
        let [stdout, stderr] = <[OwnedFd; 2]>::try_from(fds).map_err(|_| malformed())?;
        if let Some(scratch) = &self.scratch
            && command.get_envs().all(|(name, _)| name != "TMPDIR")
        {
            command.env("TMPDIR", scratch);
        }
        command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        // A process inherits the blocked signals. With SIGCHLD among them, a shell's `wait` would never return.
        let signals = child_signal();
        signals.thread_unblock()?;
        let child = command.spawn();
        signals.thread_block()?;
        let child = child?;
        self.processes.insert(child.id().cast_signed());
        Ok(child.id())
    }

    /// Reaps all ended children, and reports the exits of those that the invoker has asked for.
    fn reap(&mut self) -> io::Result<()> {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_pid();
            if self.processes.remove(&pid) {
                let message = Encoder::new(EXITED)
                    .number(pid.cast_unsigned().into())
                    .number(status.as_raw().cast_unsigned().into());
                self.socket.write_all(&message.finish())?;
            }
        }
        Ok(())
    }

    /// Ends all processes that are left. If the invoker was killed, they get SIGTERM first.
    fn end(mut self) {
        for &pid in &self.processes {
            if let Some(group) = Pid::from_raw(pid) {
                let _ = kill_process_group(group, Signal::TERM);
            }
        }
        let deadline = Instant::now() + TERMINATION_GRACE;
        loop {
            // Fails if the invoker has ended.
            let _ = self.reap();
            let left = deadline.saturating_duration_since(Instant::now());
            if self.processes.is_empty() || left.is_zero() {
                break;
            }
            wait_for([&self.signals], Some(left));
        }
        match self.reaper {
            Some(reaper) => {
                let _ = kill_process(reaper, Signal::KILL);
                // The kernel ends the others of the namespace. Some of them are children too.
                while wait(WaitOptions::empty()).is_ok() {}
            }
            None => kill_descendants(&mut BTreeSet::new()),
        }
        if let Some(scratch) = &self.scratch {
            let _ = fs::remove_dir_all(scratch);
        }
    }
}

/// Kills all descendants of this process except for the processes `spared` and their descendants, and
/// waits for the end of the killed ones. Removes ended processes from `spared`.
///
/// This process is a subreaper, so every process that was ever started below it is a descendant.
pub(super) fn kill_descendants(spared: &mut BTreeSet<i32>) {
    loop {
        let found = procfs::descendants(getpid(), spared);
        for &process in &found {
            // Fails if the process has ended meanwhile.
            let _ = kill_process(process, Signal::KILL);
        }
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, _))) => _ = spared.remove(&pid.as_raw_pid()),
                Ok(None) if found.is_empty() => return,
                Ok(None) => break,
                Err(_) => return,
            }
        }
        std::thread::sleep(KILL_PAUSE);
    }
}

/// Moves this process into new namespaces. Only later children are in the PID namespace. A process
/// without the privilege gets it in a new user namespace, in which its user keeps the same number.
fn enter_namespaces(level: Level) -> Result<(), SetUpError> {
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC;
    flags.set(CloneFlags::CLONE_NEWPID, level == Level::Namespaces);
    let named = || "make namespaces".to_owned();
    match unshare(flags) {
        Err(nix::Error::EPERM) => {}
        result => return step(named, result),
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    step(
        || "make user namespaces".to_owned(),
        unshare(flags | CloneFlags::CLONE_NEWUSER),
    )?;
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{user} {user} 1")),
        ("gid_map", format!("{group} {group} 1")),
    ];
    for (file, text) in maps {
        let written = fs::write(format!("/proc/self/{file}"), text);
        step(|| format!("write {file}"), written)?;
    }
    Ok(())
}

/// PID 1 of the namespace that this process has created.
struct Reaper {
    pid: Pid,
    mounted: io::PipeReader,
}

impl Reaper {
    fn start() -> Result<Self, SetUpError> {
        let named = || "start PID 1".to_owned();
        let (mounted, writer) = step(named, io::pipe())?;
        let pid = match step(named, fork::fork())? {
            Fork::Child => {
                drop(mounted);
                reap(writer);
                std::process::exit(0);
            }
            Fork::Parent(pid) => Pid::from_raw(pid),
        };
        let pid = step(named, pid.ok_or(io::ErrorKind::NotFound))?;
        Ok(Self { pid, mounted })
    }

    /// Waits until PID 1 has mounted `/proc`.
    fn wait(mut self) -> Result<(), SetUpError> {
        let mut errno = [0; 4];
        step(
            || "start PID 1".to_owned(),
            self.mounted.read_exact(&mut errno),
        )?;
        let mounted = match i32::from_le_bytes(errno) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        };
        step(|| "mount /proc".to_owned(), mounted)
    }
}

/// Runs PID 1, which reaps orphans until its parent ends.
fn reap(mut parent: io::PipeWriter) {
    let _ = set_name(c"lambda-reaper");
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
        return;
    }
    let flags = MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOSUID;
    let mounted = mount("proc", "/proc", "proc", flags, None);
    let errno = mounted.map_or_else(rustix::io::Errno::raw_os_error, |()| 0);
    // If the parent ended before the signal was requested, the pipe is broken.
    if parent.write_all(&errno.to_le_bytes()).is_err() || errno != 0 {
        return;
    }
    drop(parent);
    let signals = child_signal();
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        if signals.wait().is_err() {
            return;
        }
    }
}
