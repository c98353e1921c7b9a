//! Programs under measurement, each on a core, with their CPU time and memory.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of the measured programs and of the load.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    /// The core of Envoy.
    pub proxy: usize,
    /// The core of the load generator, the upstream and the invoker.
    pub load: usize,
}

impl Cores {
    /// Selects the first two cores that this process may use, and moves the current thread to the second.
    ///
    /// # Errors
    /// This process may use only one core.
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

/// The use of both cores by the current thread. `Drop` moves the thread back to the core of the load.
#[derive(Debug)]
pub struct Shared(Cores);

impl Cores {
    /// Lets the current thread run on both cores, and the programs that it starts without a core.
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
        // An error is impossible: the thread was there before.
        let _ = pin(self.0.load);
    }
}

fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot move to core {core}"))
}

/// The core of a program, and the folder for its files.
#[derive(Debug, Clone, Copy)]
pub struct Placement<'a> {
    /// The core, or `None` for the cores of the current thread.
    pub core: Option<usize>,
    /// The folder.
    pub folder: &'a Path,
    /// The program runs below callgrind, which can [count its instructions](Process::count_instructions).
    pub is_counted: bool,
}

/// A running program. `Drop` ends it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: std::path::PathBuf,
}

/// CPU time and memory of a process.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// The user and system time of all threads.
    pub cpu: Duration,
    /// The resident memory in KiB.
    pub resident_kib: u64,
    /// The peak of the resident memory since the start, or since [`Process::forget_peak`], in KiB.
    pub peak_kib: u64,
}

impl Process {
    /// Starts `command`. Its output goes to a file in the folder of `placement`.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(name: &str, command: &mut Command, placement: Placement<'_>) -> Result<Self> {
        let log = placement.folder.join(format!("{name}.log"));
        let file = File::create(&log)?;
        let own = sched_getaffinity(None)?;
        // A child starts on the core of its parent.
        if let Some(core) = placement.core {
            pin(core)?;
        }
        let mut counted = placement
            .is_counted
            .then(|| counted(command, placement.folder));
        let child = counted
            .as_mut()
            .unwrap_or(command)
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

    /// Waits until `ready` returns `true`, for at most 3 minutes. An Envoy with 10,000 clusters takes one.
    ///
    /// # Errors
    /// The program has ended, or is not ready in time. The error has the end of its output.
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

    /// Resets the peak of the memory to the current value.
    ///
    /// # Errors
    /// The program has ended.
    pub fn forget_peak(&self) -> Result<()> {
        // proc(5): 5 resets the peak resident set size.
        let file = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(file, "5").with_context(|| format!("{} has ended", self.name))
    }

    /// Returns the time for which the program has waited for a core.
    ///
    /// # Errors
    /// The program has ended.
    pub fn waiting(&self) -> Result<Duration> {
        schedule(&self.child.id().to_string(), 1)
            .with_context(|| format!("{} has ended", self.name))
    }

    /// Returns the number of instructions that the program executes during `work`, without the kernel's, if it
    /// was placed to be counted.
    ///
    /// # Errors
    /// `work` fails, or the program has ended.
    pub fn count_instructions(&self, work: impl FnOnce() -> Result<()>) -> Result<u64> {
        self.control_callgrind("--instr=on")?;
        work()?;
        self.control_callgrind("--dump")?;
        self.control_callgrind("--instr=off")?;
        let file = format!("{COUNTS}.{}.1", self.child.id());
        let text = fs::read_to_string(self.log.with_file_name(file))?;
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
        let totals = totals.with_context(|| format!("callgrind has no figure of {}", self.name))?;
        Ok(totals.trim().parse()?)
    }

    fn control_callgrind(&self, order: &str) -> Result<()> {
        let mut command = Command::new("callgrind_control");
        command.args([order, &self.child.id().to_string()]);
        let output = command
            .output()
            .context("callgrind_control cannot be started")?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            bail!("callgrind_control {order} for {}: {message}", self.name);
        }
        Ok(())
    }

    /// Returns the CPU time and the memory.
    ///
    /// # Errors
    /// The program has ended.
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

/// The program with callgrind in it.
const VALGRIND: &str = "valgrind";

/// Returns whether callgrind is installed.
pub fn has_callgrind() -> bool {
    let version = Command::new(VALGRIND).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// Returns `command` below callgrind, which counts nothing at first, and leaves the children of the program alone.
fn counted(command: &Command, folder: &Path) -> Command {
    let mut counted = Command::new(VALGRIND);
    counted
        .args(["--tool=callgrind", "--instr-atstart=no"])
        .arg(format!(
            "--callgrind-out-file={}/{COUNTS}.%p",
            folder.display()
        ))
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => counted.env(name, value),
            None => counted.env_remove(name),
        };
    }
    counted
}

/// The start of the names of callgrind's files.
const COUNTS: &str = "callgrind";

/// Returns the CPU time of this process.
///
/// # Errors
/// The system has no /proc.
pub fn own_cpu() -> io::Result<Duration> {
    cpu("self")
}

/// Returns the time for which this process has waited for a core.
///
/// # Errors
/// The system has no /proc.
pub fn own_waiting() -> io::Result<Duration> {
    schedule("self", 1)
}

fn cpu(pid: &str) -> io::Result<Duration> {
    schedule(pid, 0)
}

/// Returns a field of `schedstat`, summed over all threads.
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
    /// Returns the CPU time of the program, and that of the running processes below it.
    ///
    /// # Errors
    /// The program has ended.
    pub fn family_cpu(&self) -> Result<(Duration, Duration)> {
        let own = self.usage()?.cpu;
        let mut below = Duration::ZERO;
        let mut parents = vec![self.child.id().to_string()];
        while let Some(parent) = parents.pop() {
            for child in children(&parent) {
                // The child may have ended since.
                below += cpu(&child).unwrap_or_default();
                parents.push(child);
            }
        }
        Ok((own, below))
    }
}

/// Returns the child processes of a process, of which there are none if it has ended.
fn children(pid: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let lists = threads.into_iter().flatten().flatten().map(|thread| {
        // A thread may end while the list is read.
        fs::read_to_string(thread.path().join("children")).unwrap_or_default()
    });
    let of_list = |list: String| {
        list.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    lists.flat_map(of_list).collect()
}

/// Returns a TCP address on which nothing listens.
///
/// # Errors
/// The system has no port left.
pub fn free_address() -> io::Result<std::net::SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}
