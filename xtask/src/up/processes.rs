//! The processes of `up`: starts them, shows their output, watches them, and always stops them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The time limit for a process to end after SIGTERM. The invoker lets running calls finish for 10 s.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);
/// The interval between two checks of the processes.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The processes. `Drop` stops them.
pub(crate) struct Processes {
    running: Vec<Process>,
    sender: SyncSender<Line>,
    lines: Receiver<Line>,
    /// Set by SIGINT, SIGTERM and SIGHUP, and when the reader of our output has closed it.
    interrupted: Arc<AtomicBool>,
}

struct Process {
    name: &'static str,
    child: Child,
}

/// A line of output, and the index of the process.
struct Line {
    process: usize,
    text: String,
}

/// The state of the processes.
#[derive(PartialEq)]
pub(crate) enum State {
    /// All processes are running.
    Running,
    /// A signal has asked to stop.
    Interrupted,
}

impl Processes {
    /// Catches signals from now on, for [`Processes::watch`]. No process is running yet.
    ///
    /// # Errors
    /// The signals cannot be caught.
    pub(crate) fn new() -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .context("cannot catch signals")?;
        }
        // Bounded, so that a process that writes without end waits for the terminal.
        let (sender, lines) = sync_channel(1024);
        Ok(Self {
            running: Vec::new(),
            sender,
            lines,
            interrupted,
        })
    }

    /// Starts `command` in a process group of its own, so that a Ctrl-C in the terminal reaches only us,
    /// and we stop the processes in order.
    ///
    /// # Errors
    /// The command cannot be started.
    pub(crate) fn start(&mut self, name: &'static str, command: &mut Command) -> Result<()> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| {
                let program = command.get_program().display();
                format!("{name} could not be started ({program})")
            })?;
        let process = self.running.len();
        if let Some(output) = child.stdout.take() {
            self.forward(process, output);
        }
        if let Some(errors) = child.stderr.take() {
            self.forward(process, errors);
        }
        self.running.push(Process { name, child });
        Ok(())
    }

    /// Sends the lines of `output` to [`Processes::show`]. A line of more than 64 KiB is split, so that
    /// memory stays bounded.
    fn forward(&self, process: usize, output: impl Read + Send + 'static) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while let Ok(1..) = (&mut output).take(64 << 10).read_until(b'\n', &mut line) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if sender.send(Line { process, text }).is_err() {
                    break;
                }
            }
        });
    }

    /// Shows the output of the processes for a moment, and returns their state.
    ///
    /// # Errors
    /// A process has ended. The error names it; the cause is in the output.
    pub(crate) fn watch(&mut self) -> Result<State> {
        self.show(POLL_INTERVAL);
        if self.interrupted.swap(false, Ordering::Relaxed) {
            return Ok(State::Interrupted);
        }
        for index in 0..self.running.len() {
            let Some(process) = self.running.get_mut(index) else {
                continue;
            };
            if let Some(status) = process.child.try_wait()? {
                // The last output may still be in the channel.
                self.show(POLL_INTERVAL);
                return self.ended(index, status);
            }
        }
        Ok(State::Running)
    }

    fn ended(&self, index: usize, status: ExitStatus) -> Result<State> {
        let Some(process) = self.running.get(index) else {
            bail!("a process ended ({status})");
        };
        bail!(
            "{} ended by itself ({status}); its last lines have the cause",
            process.name
        )
    }

    /// Prints the output of the processes for `time`, with their names.
    fn show(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut output = io::stdout().lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            };
            let Some(process) = self.running.get(line.process) else {
                continue;
            };
            if writeln!(output, "{:>7} | {}", process.name, line.text).is_err() {
                self.interrupted.store(true, Ordering::Relaxed);
            }
        }
    }

    fn any_left(&mut self) -> bool {
        self.running
            .iter_mut()
            .any(|process| matches!(process.child.try_wait(), Ok(None)))
    }

    fn signal(&mut self, signal: Signal) {
        for process in self.running.iter_mut().rev() {
            // After a successful wait, the process id may belong to another process.
            if matches!(process.child.try_wait(), Ok(None)) {
                // An error means that the process has just ended.
                let _ = kill_process_group(Pid::from_child(&process.child), signal);
            }
        }
    }
}

impl Drop for Processes {
    /// Asks all processes to end, and kills those that are left after [`SHUTDOWN_TIMEOUT`] or a second
    /// Ctrl-C.
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        while self.any_left() && Instant::now() < deadline {
            self.show(POLL_INTERVAL);
            if self.interrupted.swap(false, Ordering::Relaxed) {
                break;
            }
        }
        self.signal(Signal::KILL);
        for process in &mut self.running {
            // The process has ended or been killed. This only reaps it.
            let _ = process.child.wait();
        }
    }
}
