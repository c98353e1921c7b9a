//! The memory of one environment: what its processes use, and their limit.
//!
//! Where a control group limits it, the kernel watches. Elsewhere the invoker looks at what the
//! processes have in RAM. Never is the address space limited: runtimes reserve far more of it than
//! they use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::{Instant, sleep_until};

use super::cgroup::Cgroup;
use super::procfs::{ProcessTable, peak_resident_bytes, proportional_bytes, resident_bytes};
use crate::util::lock;

/// How often an environment is looked at: a look takes some ten microseconds.
const ACTIVE_INTERVAL: Duration = Duration::from_millis(25);
/// How often one is that waits for an invocation.
const IDLE_INTERVAL: Duration = Duration::from_millis(250);

/// What the processes of one environment use.
#[derive(Debug)]
pub(crate) struct Memory {
    limit_bytes: u64,
    peak_bytes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The first processes of the groups.
    groups: Vec<Pid>,
    cgroup: Option<Cgroup>,
    /// The processes that were there at the last look at all processes of the machine.
    family: Vec<Pid>,
    /// When it was looked at last, and how long that took.
    last_look: Option<(Instant, Duration)>,
}

impl Memory {
    /// That of an environment that may use `limit_mib`.
    pub(crate) fn new(limit_mib: u32) -> Self {
        Self {
            limit_bytes: u64::from(limit_mib) << 20,
            peak_bytes: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Before there is any process: takes the control group that they are to be in, if there is one.
    pub(crate) fn begin(&self, cgroup: Option<Cgroup>) {
        lock(&self.state).cgroup = cgroup;
    }

    /// From now on looks at this process group too.
    pub(crate) fn add(&self, group: Pid) {
        let mut state = lock(&self.state);
        state.groups.push(group);
        state.family.push(group);
        if let Some(Err(error)) = state.cgroup.as_ref().map(|cgroup| cgroup.add(group)) {
            tracing::debug!("a process is in no control group: {error}");
            if let Some(cgroup) = state.cgroup.take() {
                cgroup.remove();
            }
        }
    }

    /// Most bytes used at once so far, as far as was seen; `None` where that cannot be seen.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let seen = {
            let state = lock(&self.state);
            let counted = state.cgroup.as_ref().and_then(Cgroup::peak_bytes);
            counted.or_else(|| {
                state
                    .family
                    .iter()
                    .copied()
                    .filter_map(peak_resident_bytes)
                    .max()
            })
        };
        let seen = seen.unwrap_or_default();
        let peak = self.peak_bytes.fetch_max(seen, Ordering::Relaxed).max(seen);
        (peak > 0).then_some(peak)
    }

    /// Waits until more is used than may be, and says how many bytes; not if the kernel watches. An
    /// environment that `is_active` is looked at more often. Dropped and called anew it goes on as
    /// before.
    pub(crate) async fn exceeded(
        &self,
        is_active: impl Fn() -> bool,
        process_table: &Arc<ProcessTable>,
    ) -> u64 {
        loop {
            let active = is_active();
            let interval = match active {
                true => ACTIVE_INTERVAL,
                false => IDLE_INTERVAL,
            };
            let next = {
                let mut state = lock(&self.state);
                if state.cgroup.as_ref().is_some_and(Cgroup::limits_memory) {
                    break;
                }
                let began = Instant::now();
                let (last, took) = *state.last_look.get_or_insert((began, Duration::ZERO));
                // A twentieth of the time at most.
                last + interval.max(took * 20)
            };
            sleep_until(next).await;
            let began = Instant::now();
            let used = self.look(active.then_some(process_table));
            lock(&self.state).last_look = Some((began, began.elapsed()));
            self.peak_bytes.fetch_max(used, Ordering::Relaxed);
            if used > self.limit_bytes {
                return used;
            }
        }
        std::future::pending().await
    }

    /// What is used now, in bytes.
    fn look(&self, process_table: Option<&Arc<ProcessTable>>) -> u64 {
        let mut state = lock(&self.state);
        if let Some(process_table) = process_table {
            state.family = process_table.family(&state.groups);
        }
        let resident = |pid: &Pid| resident_bytes(*pid).unwrap_or_default();
        let used = state.family.iter().map(resident).sum();
        if used <= self.limit_bytes || state.family.len() == 1 {
            return used;
        }
        // Processes that were forked share most of their memory.
        let shared = |pid: &Pid| proportional_bytes(*pid).unwrap_or_else(|| resident(pid));
        state.family.iter().map(shared).sum()
    }

    /// Whether the kernel has killed processes because they used too much.
    pub(crate) fn ran_out(&self) -> bool {
        let state = lock(&self.state);
        state.cgroup.as_ref().is_some_and(Cgroup::ran_out_of_memory)
    }

    /// Kills what is left in the control group, if there is one, and removes that. Blocks until the
    /// processes have ended, a second at most.
    pub(crate) fn remove_cgroup(&self) {
        let cgroup = lock(&self.state).cgroup.take();
        if let Some(cgroup) = cgroup {
            cgroup.remove();
        }
    }
}
