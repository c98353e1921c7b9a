//! The memory of one environment: the use of its processes, and its limit.
//!
//! The kernel enforces the limit where there is a control group. Elsewhere the invoker samples the
//! resident memory of the processes. The address space is never limited, because runtimes reserve far
//! more of it than they use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::{Instant, sleep_until};

use super::cgroup::Cgroup;
use super::isolation::Ready;
use super::procfs::{ProcessTable, peak_resident_bytes, proportional_bytes, resident_bytes};
use crate::util::lock;

/// The interval between samples of an active environment. A sample takes some ten microseconds.
const ACTIVE_INTERVAL: Duration = Duration::from_millis(25);
/// The interval between samples of an idle environment.
const IDLE_INTERVAL: Duration = Duration::from_millis(250);

/// The memory that the processes of one environment use.
#[derive(Debug)]
pub(crate) struct Memory {
    limit_bytes: u64,
    peak_bytes: AtomicU64,
    tracked: Mutex<TrackedProcesses>,
}

#[derive(Debug, Default)]
struct TrackedProcesses {
    /// The first processes of the process groups.
    groups: Vec<Pid>,
    cgroup: Option<Cgroup>,
    /// The processes that start the others. Their own memory does not count.
    init_processes: Vec<Pid>,
    /// Set if the kernel counts files in the control group too.
    counts_files: bool,
    /// The processes of the environment, by the last reading of the process table.
    processes: Vec<Pid>,
    /// The time of the last sample, and its duration.
    last_sample: Option<(Instant, Duration)>,
}

impl Memory {
    /// Creates the record of an environment that may use `limit_mib`.
    pub(crate) fn new(limit_mib: u32) -> Self {
        Self {
            limit_bytes: u64::from(limit_mib) << 20,
            peak_bytes: AtomicU64::new(0),
            tracked: Mutex::default(),
        }
    }

    /// Takes the control group of the environment, if it has one, before the first process starts.
    pub(crate) fn set_cgroup(&self, cgroup: Option<Cgroup>) {
        lock(&self.tracked).cgroup = cgroup;
    }

    /// Takes the report of the init that has set up the environment.
    pub(crate) fn set_ready(&self, ready: &Ready) {
        let mut tracked = lock(&self.tracked);
        tracked.init_processes.clone_from(&ready.init_processes);
        // The files in the environment's `/tmp` are memory, which the kernel counts.
        tracked.counts_files = ready.has_mounts;
    }

    /// Adds a process group.
    pub(crate) fn add(&self, group: Pid) {
        let mut tracked = lock(&self.tracked);
        tracked.groups.push(group);
        tracked.processes.push(group);
        if let Some(Err(error)) = tracked.cgroup.as_ref().map(|cgroup| cgroup.add(group)) {
            tracing::debug!("a process has no control group: {error}");
            if let Some(cgroup) = tracked.cgroup.take() {
                cgroup.remove();
            }
        }
    }

    /// Returns the highest known use in bytes, or `None` where the use cannot be read.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let seen = {
            let tracked = lock(&self.tracked);
            let cgroup = tracked.cgroup.as_ref().filter(|_| !tracked.counts_files);
            let counted = cgroup.and_then(Cgroup::peak_bytes);
            counted.or_else(|| {
                tracked
                    .processes
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

    /// Waits until the processes use more memory than the limit, and returns their use in bytes.
    ///
    /// Never returns if the kernel enforces the limit. The kernel's limit includes the files of an
    /// environment with a `/tmp` of its own, so that environment is sampled too. An environment that `is_active` is sampled more
    /// often. The future can be dropped and created again without delaying the next sample.
    pub(crate) async fn wait_until_exceeded(
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
                let mut tracked = lock(&self.tracked);
                let cgroup = tracked.cgroup.as_ref().filter(|_| !tracked.counts_files);
                if cgroup.is_some_and(Cgroup::limits_memory) {
                    break;
                }
                let began = Instant::now();
                let (last, took) = *tracked.last_sample.get_or_insert((began, Duration::ZERO));
                // Sampling takes a twentieth of the time at most.
                last + interval.max(took * 20)
            };
            sleep_until(next).await;
            let began = Instant::now();
            let used = self.sample(active.then_some(process_table));
            lock(&self.tracked).last_sample = Some((began, began.elapsed()));
            self.peak_bytes.fetch_max(used, Ordering::Relaxed);
            if used > self.limit_bytes {
                return used;
            }
        }
        std::future::pending().await
    }

    /// Returns the present use in bytes.
    fn sample(&self, process_table: Option<&Arc<ProcessTable>>) -> u64 {
        let mut tracked = lock(&self.tracked);
        if let Some(process_table) = process_table {
            let init_processes = &tracked.init_processes;
            let roots = tracked.groups.iter().chain(init_processes);
            let roots: Vec<_> = roots.copied().collect();
            let mut processes = process_table.tree(&roots);
            processes.retain(|pid| !init_processes.contains(pid));
            tracked.processes = processes;
        }
        let resident = |pid: &Pid| resident_bytes(*pid).unwrap_or_default();
        let used = tracked.processes.iter().map(resident).sum();
        if used <= self.limit_bytes || tracked.processes.len() == 1 {
            return used;
        }
        // Forked processes share most of their memory.
        let shared = |pid: &Pid| proportional_bytes(*pid).unwrap_or_else(|| resident(pid));
        tracked.processes.iter().map(shared).sum()
    }

    /// Returns true if the kernel has killed processes for their memory.
    pub(crate) fn was_exhausted(&self) -> bool {
        let tracked = lock(&self.tracked);
        tracked
            .cgroup
            .as_ref()
            .is_some_and(Cgroup::ran_out_of_memory)
    }

    /// Kills the processes that are left in the control group, if there is one, and removes the group.
    /// Blocks until the processes have ended, for a second at most.
    pub(crate) fn remove_cgroup(&self) {
        let cgroup = lock(&self.tracked).cgroup.take();
        if let Some(cgroup) = cgroup {
            cgroup.remove();
        }
    }
}
