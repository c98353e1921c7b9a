//! What `/proc` tells of processes. Where there is none, as on macOS, it tells of no process.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpgid, waitpid};

use crate::util::lock;

/// How often a [`ProcessTable`] looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often processes are looked for that were started while others were being killed.
const KILL_ROUNDS: usize = 20;
/// How long processes have to end before they are looked for again.
const KILL_PAUSE: Duration = Duration::from_millis(2);

/// One process.
#[derive(Debug, Clone, Copy)]
struct Process {
    pid: Pid,
    has_ended: bool,
    parent: i32,
    group: i32,
    session: i32,
}

/// All processes of the machine as they were a second or two ago. To look at them takes
/// milliseconds, so it is done once for all who ask, by a thread of its own, and only if they do.
#[derive(Default)]
pub(crate) struct ProcessTable(Mutex<Look>);

#[derive(Default)]
struct Look {
    began: Option<Instant>,
    found: Arc<Vec<Process>>,
}

impl ProcessTable {
    /// The processes of `groups`, the first of each of which has the same number, and what they
    /// have started, in their groups or out of them.
    pub(crate) fn family(self: &Arc<Self>, groups: &[Pid]) -> Vec<Pid> {
        let processes = self.processes();
        let mut family = groups.to_vec();
        loop {
            let known = family.len();
            for process in processes.iter() {
                let belongs = groups
                    .iter()
                    .any(|group| group.as_raw_pid() == process.group)
                    || family.iter().any(|pid| pid.as_raw_pid() == process.parent);
                if belongs && !family.contains(&process.pid) {
                    family.push(process.pid);
                }
            }
            if family.len() == known {
                return family;
            }
        }
    }

    fn processes(self: &Arc<Self>) -> Arc<Vec<Process>> {
        let mut look = lock(&self.0);
        if look
            .began
            .is_none_or(|began| began.elapsed() > LOOK_INTERVAL)
        {
            look.began = Some(Instant::now());
            let process_table = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                let found = all().collect();
                lock(&process_table.0).found = Arc::new(found);
            });
        }
        Arc::clone(&look.found)
    }
}

/// Every process of the machine.
fn all() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        Some(Process {
            pid: Pid::from_raw(pid)?,
            has_ended: fields.next()? == "Z",
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
        })
    })
}

/// Whether the process was started with the environment variable `entry` (`NAME=VALUE`), itself or
/// by its parents. Of another user's process it cannot be told.
fn carries(pid: Pid, entry: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|&byte| byte == 0)
        .any(|one| one == entry.as_bytes())
}

/// Bytes of memory that the process has in RAM, whether or not it shares them.
pub(crate) fn resident_bytes(pid: Pid) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The most that it ever was.
pub(crate) fn peak_resident_bytes(pid: Pid) -> Option<u64> {
    kib(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// The same as [`resident_bytes`], but of what it shares with others only its part. Far dearer to ask for.
pub(crate) fn proportional_bytes(pid: Pid) -> Option<u64> {
    kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// A line such as `Pss:   12 kB`, in bytes.
fn kib(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Kills every process that carries one of the environment variables `entries`, wherever it has
/// gone: out of its process group, its session, its parents. Blocks until they have ended, for some
/// tenths of a second at most.
///
/// Also takes note of the end of processes that were adopted, as the first process of a container
/// adopts all orphans. Nobody else does it then.
pub(crate) fn kill_strays(entries: &[String]) {
    let own = getpid();
    // As `/proc` numbers it, which is 0 in a container whose runtime holds the session.
    let session = all()
        .find(|process| process.pid == own)
        .map_or(0, |process| process.session);
    for _ in 0..KILL_ROUNDS {
        let mut killed = false;
        for process in all() {
            if process.has_ended {
                // What this process has itself started is in its own session.
                if process.parent == own.as_raw_pid() && process.session != session {
                    let _ = waitpid(Some(process.pid), WaitOptions::NOHANG);
                }
            } else if entries.iter().any(|entry| carries(process.pid, entry)) {
                // It may end of itself meanwhile.
                let _ = kill_process(process.pid, Signal::KILL);
                killed = true;
            }
        }
        if !killed {
            return;
        }
        std::thread::sleep(KILL_PAUSE);
    }
}

/// Takes note of the end of adopted processes of a group whose first process has been waited for.
pub(crate) fn reap_group(group: Pid) {
    for _ in 0..KILL_ROUNDS {
        match waitpgid(group, WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => std::thread::sleep(KILL_PAUSE),
            Err(_) => return,
        }
    }
}
