//! A child process on a leash: it ends with its owner, however the owner ends.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use crate::shared::Part;

/// Runs `"$@"` and ends it when standard input is closed, which the system does for a test
/// process that is killed too. A shared part in a `static` is never dropped: only this ends it.
const LEASH: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ read -r _; kill $child; sleep 5; kill -9 $child; } <&3 >/dev/null 2>&1 &
leash=$!
exec 3<&-
wait $child
status=$?
kill $leash 2>/dev/null
exit $status
"#;

/// A file that is built or fetched once per test process; if that fails, every test that needs
/// it says why.
#[derive(Debug)]
pub(crate) struct Prepared {
    prepare: fn() -> anyhow::Result<PathBuf>,
    path: OnceLock<Result<PathBuf, String>>,
}

impl Prepared {
    pub(crate) const fn new(prepare: fn() -> anyhow::Result<PathBuf>) -> Self {
        Self {
            prepare,
            path: OnceLock::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        let path = self.path.get_or_init(|| {
            let path = (self.prepare)();
            path.map_err(|error| format!("{error:#}"))
        });
        path.as_ref().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A running program, with what it has written so far.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    shell: Mutex<Child>,
    leash: Mutex<Option<ChildStdin>>,
    output: Arc<Mutex<String>>,
    readers: [JoinHandle<()>; 2],
}

impl Process {
    /// Starts the program of `command` with its arguments, in its folder, with its changes of this
    /// process's environment and an empty input.
    pub(crate) fn start(name: &'static str, command: &Command) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", LEASH, name]).arg(command.get_program());
        shell.args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = Arc::default();
        let readers = [
            collect(shell.stdout.take(), &output),
            collect(shell.stderr.take(), &output),
        ];
        Self {
            name,
            leash: Mutex::new(shell.stdin.take()),
            shell: Mutex::new(shell),
            output,
            readers,
        }
    }

    /// Its exit status as a shell gives it (128 + N for signal N), or `None` while it runs.
    pub(crate) fn exit_status(&self) -> Option<i32> {
        let mut shell = lock(&self.shell);
        let status = shell.try_wait().expect("a child can be asked");
        status.map(|status| status.code().unwrap_or(-1))
    }

    /// Asks it to end, with SIGTERM; what it makes of that is [`Self::exit_status`].
    pub(crate) fn terminate(&self) {
        drop(lock(&self.leash).take());
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        let shell = lock(&self.shell).id();
        // The program is the first child of its shell.
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        let children = children.expect("Linux lists children");
        let child = children.split(' ').next().expect("a child");
        child.parse().expect("a number")
    }

    /// The most memory that it has ever had in use, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("the program runs");
        let mut lines = status.lines();
        let peak = lines.find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.expect("the peak is told").trim();
        let peak = peak.strip_suffix(" kB").expect("in KiB");
        peak.parse().expect("a number")
    }

    /// Waits until it ends by itself: its exit status as a shell gives it, and what it wrote.
    pub(crate) fn ended(self) -> (i32, String) {
        let status = crate::eventually(&format!("{} has ended", self.name), || self.exit_status());
        crate::eventually("the output ends", || {
            let mut readers = self.readers.iter();
            readers.all(JoinHandle::is_finished).then_some(())
        });
        self.terminate();
        (status, self.log())
    }

    /// Waits until `probe` gives a value.
    ///
    /// # Errors
    /// What the program wrote, if it ended first.
    pub(crate) fn until<T>(
        self,
        mut probe: impl FnMut(&Self) -> Option<T>,
    ) -> Result<(Self, T), String> {
        let ready = crate::eventually(&format!("{} is ready", self.name), || {
            // Asked first: an answer after the end would be somebody else's.
            match self.exit_status() {
                Some(status) => Some(Err(status)),
                None => probe(&self).map(Ok),
            }
        });
        match ready {
            Ok(value) => Ok((self, value)),
            Err(_) => {
                let name = self.name;
                let (status, log) = self.ended();
                Err(format!("{name} ended with status {status}:\n{log}"))
            }
        }
    }
}

impl Part for Process {
    fn log(&self) -> String {
        lock(&self.output).clone()
    }

    fn alive(&self) -> bool {
        self.exit_status().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(leash) = lock(&self.leash).take() else {
            return;
        };
        let early = self.exit_status();
        drop(leash);
        let ended = lock(&self.shell).wait();
        if std::thread::panicking() {
            eprintln!("--- log of {} ({ended:?}):\n{}", self.name, self.log());
        } else if let Some(status) = early {
            panic!("{} ended with status {status}:\n{}", self.name, self.log());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn collect(
    pipe: Option<impl Read + Send + 'static>,
    output: &Arc<Mutex<String>>,
) -> JoinHandle<()> {
    let output = Arc::clone(output);
    let mut pipe = BufReader::new(pipe.expect("the output is a pipe"));
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while pipe
            .read_until(b'\n', &mut line)
            .is_ok_and(|length| length > 0)
        {
            lock(&output).push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]);
        Process::start("a shell", &shell)
    }

    #[test]
    fn a_program_ends_with_its_owner() {
        let ended = tempfile::NamedTempFile::new().unwrap();
        let path = ended.path().display();
        let process = shell(&format!(
            "trap 'echo ended > {path}' TERM; sleep 600 & echo ready; wait; kill $!"
        ));
        let ready = process.until(|process| process.log().contains("ready").then_some(()));
        let (process, ()) = ready.unwrap();
        drop(process);
        assert_eq!(std::fs::read_to_string(&ended).unwrap(), "ended\n");
    }

    #[test]
    fn a_program_that_ends_early_is_told_with_its_output() {
        let ended = shell("echo the cause >&2; exit 7").until(|_| None::<()>);
        let message = ended.unwrap_err();
        assert!(message.contains("status 7"), "{message}");
        assert!(message.contains("the cause"), "{message}");
    }
}
