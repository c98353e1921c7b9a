//! Programs under measurement: on a core of their own, with their CPU time and memory.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that the measured programs and the load run on.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    /// Envoy's.
    pub proxy: usize,
    /// The load generator's, the upstream's and the invoker's.
    pub load: usize,
}

impl Cores {
    /// The last two cores that this process may use, and the present thread moved to the second.
    ///
    /// # Errors
    /// There is only one.
    pub fn claim() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot read which cores may be used")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let (Some(proxy), Some(load)) = (cores.next(), cores.next()) else {
            bail!("the benchmark needs two cores: one for Envoy, one for the load");
        };
        let cores = Self { proxy, load };
        pin(cores.load)?;
        Ok(cores)
    }
}

/// The present thread back on the core of the load when it is dropped.
#[derive(Debug)]
pub struct Shared(Cores);

impl Cores {
    /// Lets the present thread run on both cores, and what it starts without a core of its own.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn share(&self) -> Result<Shared> {
        let mut both = CpuSet::new();
        both.set(self.proxy);
        both.set(self.load);
        sched_setaffinity(None, &both).context("cannot use both cores")?;
        Ok(Shared(*self))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // It was there before.
        let _ = pin(self.0.load);
    }
}

fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot move to core {core}"))
}

/// A running program, ended when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: std::path::PathBuf,
}

/// CPU time and memory of a process.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// The most that its resident memory has been since its start, or since
    /// [`Process::forget_peak`], in KiB.
    pub peak_kib: u64,
}

impl Process {
    /// Starts `command` on `core`, or where the present thread may run; its output goes to a file in
    /// `folder`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        name: &str,
        command: &mut Command,
        core: impl Into<Option<usize>>,
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log)?;
        let own = sched_getaffinity(None)?;
        // A child starts where its parent is.
        if let Some(core) = core.into() {
            pin(core)?;
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn();
        sched_setaffinity(None, &own)?;
        Ok(Self {
            child: child.with_context(|| format!("{name} cannot be started"))?,
            name: name.to_owned(),
            log,
        })
    }

    /// Waits until `ready` says so, for at most 3 minutes: an Envoy with 10,000 clusters takes one.
    ///
    /// # Errors
    /// The program has ended, or is not ready in time; with the end of its output.
    pub fn wait_until(&mut self, ready: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(180);
        while !ready() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let output = fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<&str> = output.lines().rev().take(15).collect();
                let lines: Vec<&str> = lines.into_iter().rev().collect();
                let what = ended.map_or("is not ready after 180 s".to_owned(), |status| {
                    format!("ended with {status}")
                });
                bail!("{} {what}:\n{}", self.name, lines.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Has the peak of its memory begin at what it is now.
    ///
    /// # Errors
    /// It has ended.
    pub fn forget_peak(&self) -> Result<()> {
        // proc(5): 5 resets the peak resident set size.
        let file = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(file, "5").with_context(|| format!("{} has ended", self.name))
    }

    /// For how long it could have run so far, and did not have a core.
    ///
    /// # Errors
    /// It has ended.
    pub fn waiting(&self) -> Result<Duration> {
        schedule(&self.child.id().to_string(), 1)
            .with_context(|| format!("{} has ended", self.name))
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage(&self) -> Result<Usage> {
        let pid = self.child.id();
        let gone = || format!("{} has ended", self.name);
        let cpu = cpu(&pid.to_string()).with_context(gone)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(gone)?;
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim_start_matches(':')
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        };
        Ok(Usage {
            cpu,
            resident_kib: kib("VmRSS").with_context(gone)?,
            peak_kib: kib("VmHWM").with_context(gone)?,
        })
    }
}

/// CPU time of this very process so far.
///
/// # Errors
/// There is no /proc.
pub fn own_cpu() -> io::Result<Duration> {
    cpu("self")
}

/// For how long this very process so far could have run, and did not have a core.
///
/// # Errors
/// There is no /proc.
pub fn own_waiting() -> io::Result<Duration> {
    schedule("self", 1)
}

fn cpu(pid: &str) -> io::Result<Duration> {
    schedule(pid, 0)
}

/// A field of `schedstat`, over all threads.
fn schedule(pid: &str, field: usize) -> io::Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while the list is read.
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        let time = text
            .split(' ')
            .nth(field)
            .and_then(|time| time.parse().ok());
        nanoseconds += time.unwrap_or(0_u64);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

impl Drop for Process {
    fn drop(&mut self) {
        let Ok(pid) = i32::try_from(self.child.id()) else {
            return;
        };
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                _ => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// CPU time of itself and of the processes that it has started and that still run.
    ///
    /// # Errors
    /// It has ended.
    pub fn family_cpu(&self) -> Result<(Duration, Duration)> {
        let mut children = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let list = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
            for child in list.split_whitespace() {
                // One may have ended since.
                let text = fs::read_to_string(format!("/proc/{child}/schedstat"));
                let time = text
                    .ok()
                    .and_then(|text| text.split(' ').next()?.parse().ok());
                children += Duration::from_nanos(time.unwrap_or_default());
            }
        }
        Ok((self.usage()?.cpu, children))
    }
}

/// A TCP address that is free now.
///
/// # Errors
/// There is none.
pub fn free_address() -> io::Result<std::net::SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}
