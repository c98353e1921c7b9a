//! The processes that `up` runs: started, shown, watched, and always ended.

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

/// How long a part has to end by itself; the invoker lets running calls finish for 10 s.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often the parts are looked at.
const TICK: Duration = Duration::from_millis(50);

/// The processes, which end when this is dropped.
pub(crate) struct Parts {
    running: Vec<Part>,
    sender: SyncSender<Line>,
    lines: Receiver<Line>,
    /// Set by SIGINT, SIGTERM and SIGHUP, and when nobody reads our output any more.
    interrupted: Arc<AtomicBool>,
}

struct Part {
    name: &'static str,
    child: Child,
}

struct Line {
    part: usize,
    text: String,
}

/// What became of the parts.
#[derive(PartialEq)]
pub(crate) enum State {
    /// All of them run.
    Running,
    /// We were asked to end.
    Interrupted,
}

impl Parts {
    /// None yet; from now on a signal to end is kept for [`Parts::watch`].
    ///
    /// # Errors
    /// The signals cannot be caught.
    pub(crate) fn new() -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .context("cannot catch signals")?;
        }
        // Bounded, so that a part that writes without end waits for the terminal.
        let (sender, lines) = sync_channel(1024);
        Ok(Self {
            running: Vec::new(),
            sender,
            lines,
            interrupted,
        })
    }

    /// Starts `command` in a process group of its own: a Ctrl-C in the terminal reaches only
    /// us, and we end the parts in order.
    ///
    /// # Errors
    /// It cannot be started.
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
        let part = self.running.len();
        if let Some(output) = child.stdout.take() {
            self.forward(part, output);
        }
        if let Some(errors) = child.stderr.take() {
            self.forward(part, errors);
        }
        self.running.push(Part { name, child });
        Ok(())
    }

    /// Sends what comes from `output` to [`Parts::show`], line by line. A longer line than
    /// 64 KiB is cut in pieces, so that memory stays bounded.
    fn forward(&self, part: usize, output: impl Read + Send + 'static) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while let Ok(1..) = (&mut output).take(64 << 10).read_until(b'\n', &mut line) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if sender.send(Line { part, text }).is_err() {
                    break;
                }
            }
        });
    }

    /// Shows the parts' output for a moment and looks after them.
    ///
    /// # Errors
    /// A part has ended: the error names it, and its output has said why.
    pub(crate) fn watch(&mut self) -> Result<State> {
        self.show(TICK);
        if self.interrupted.swap(false, Ordering::Relaxed) {
            return Ok(State::Interrupted);
        }
        for index in 0..self.running.len() {
            let Some(part) = self.running.get_mut(index) else {
                continue;
            };
            if let Some(status) = part.child.try_wait()? {
                // What it said last may still be on its way.
                self.show(TICK);
                return self.died(index, status);
            }
        }
        Ok(State::Running)
    }

    fn died(&self, index: usize, status: ExitStatus) -> Result<State> {
        let Some(part) = self.running.get(index) else {
            bail!("a part ended ({status})");
        };
        bail!(
            "{} ended by itself ({status}); its last lines say why",
            part.name
        )
    }

    /// Prints what the parts say, prefixed, until nothing has come for `time`.
    fn show(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut output = io::stdout().lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            };
            let Some(part) = self.running.get(line.part) else {
                continue;
            };
            if writeln!(output, "{:>7} | {}", part.name, line.text).is_err() {
                self.interrupted.store(true, Ordering::Relaxed);
            }
        }
    }

    fn any_left(&mut self) -> bool {
        self.running
            .iter_mut()
            .any(|part| matches!(part.child.try_wait(), Ok(None)))
    }

    fn signal(&mut self, signal: Signal) {
        for part in self.running.iter_mut().rev() {
            // Its number may belong to another process once it has been waited for.
            if matches!(part.child.try_wait(), Ok(None)) {
                // An error means that it has just ended.
                let _ = kill_process_group(Pid::from_child(&part.child), signal);
            }
        }
    }
}

impl Drop for Parts {
    /// Asks all parts to end, and makes those that have not within [`PATIENCE`], or at the
    /// second Ctrl-C.
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while self.any_left() && Instant::now() < deadline {
            self.show(TICK);
            if self.interrupted.swap(false, Ordering::Relaxed) {
                break;
            }
        }
        self.signal(Signal::KILL);
        for part in &mut self.running {
            // It has ended or been killed; this only collects it.
            let _ = part.child.wait();
        }
    }
}
