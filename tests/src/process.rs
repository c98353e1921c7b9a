//! A child process that always ends with its owner, even if the owner is killed.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Result, bail};

use crate::shared::Component;

/// Runs `"$@"` and ends it when standard input is closed, which the operating system does even if the test
/// process is killed. Only this ends a shared component in a `static`, which is never dropped.
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

/// A file that is built or fetched once per test process. If that fails, every test that needs the file
/// fails with the cause.
#[derive(Debug)]
pub(crate) struct Prepared {
    prepare: fn() -> Result<PathBuf>,
    path: OnceLock<Result<PathBuf>>,
}

impl Prepared {
    pub(crate) const fn new(prepare: fn() -> Result<PathBuf>) -> Self {
        Self {
            prepare,
            path: OnceLock::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        let path = self.path.get_or_init(self.prepare);
        path.as_ref().unwrap_or_else(|error| panic!("{error:#}"))
    }
}

/// A running program and its output so far.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    shell: Mutex<Child>,
    leash: Mutex<Option<ChildStdin>>,
    output: Arc<Mutex<String>>,
    readers: [JoinHandle<()>; 2],
}

impl Process {
    /// Starts the program of `command` with its arguments, folder and environment, and an empty input.
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

    /// Returns the exit status as a shell reports it (128 + N for signal N), or `None` while the program is
    /// running.
    pub(crate) fn exit_status(&self) -> Option<i32> {
        let mut shell = lock(&self.shell);
        let status = shell.try_wait().expect("the status of a child");
        status.map(|status| status.code().unwrap_or(-1))
    }

    /// Sends SIGTERM. Whether the program ends shows in [`Self::exit_status`].
    pub(crate) fn terminate(&self) {
        drop(lock(&self.leash).take());
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        let shell = lock(&self.shell).id();
        // The program is the first child of the shell.
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        let children = children.expect("Linux lists children");
        let child = children.split(' ').next().expect("a child");
        child.parse().expect("a number")
    }

    /// Returns the peak of the resident memory in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("the program is running");
        let mut lines = status.lines();
        let peak = lines.find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.expect("the peak").trim();
        let peak = peak.strip_suffix(" kB").expect("in KiB");
        peak.parse().expect("a number")
    }

    /// Waits until the program ends by itself. Returns its exit status as a shell reports it, and its output.
    pub(crate) fn wait(self) -> (i32, String) {
        let status = crate::eventually(&format!("{} has ended", self.name), || self.exit_status());
        crate::eventually("the output ends", || {
            let mut readers = self.readers.iter();
            readers.all(JoinHandle::is_finished).then_some(())
        });
        self.terminate();
        (status, self.log())
    }

    /// Waits until `probe` returns a value.
    ///
    /// # Errors
    /// The program ends before. The error has its output.
    pub(crate) fn wait_until<T>(
        self,
        mut probe: impl FnMut(&Self) -> Option<T>,
    ) -> Result<(Self, T)> {
        let ready = crate::eventually(&format!("{} is ready", self.name), || {
            // After the end of the program, another program could respond to the probe.
            match self.exit_status() {
                Some(status) => Some(Err(status)),
                None => probe(&self).map(Ok),
            }
        });
        match ready {
            Ok(value) => Ok((self, value)),
            Err(_) => {
                let name = self.name;
                let (status, log) = self.wait();
                bail!("{name} ended with status {status}:\n{log}");
            }
        }
    }
}

impl Component for Process {
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
        let ready = process.wait_until(|process| process.log().contains("ready").then_some(()));
        let (process, ()) = ready.unwrap();
        drop(process);
        assert_eq!(std::fs::read_to_string(&ended).unwrap(), "ended\n");
    }

    #[test]
    fn a_program_that_ends_early_is_reported_with_its_output() {
        let ended = shell("echo the cause >&2; exit 7").wait_until(|_| None::<()>);
        let message = ended.unwrap_err().to_string();
        assert!(message.contains("status 7"), "{message}");
        assert!(message.contains("the cause"), "{message}");
    }
}
