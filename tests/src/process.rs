//! A child process on a leash: it ends with its owner, however the owner ends.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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
    leash: Option<ChildStdin>,
    output: Arc<Mutex<String>>,
    readers: [JoinHandle<()>; 2],
}

impl Process {
    /// Starts the program of `command` with its arguments, in its folder, with this process's
    /// environment and an empty input.
    pub(crate) fn start(name: &'static str, command: &Command) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", LEASH, name]).arg(command.get_program());
        shell.args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
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
            leash: shell.stdin.take(),
            shell: Mutex::new(shell),
            output,
            readers,
        }
    }

    /// Its exit status as a shell gives it (128 + N for signal N), or `None` while it runs.
    fn exit_status(&self) -> Option<i32> {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let status = shell.try_wait().expect("a child can be asked");
        status.map(|status| status.code().unwrap_or(-1))
    }

    /// Waits until `probe` gives a value.
    ///
    /// # Errors
    /// What the program wrote, if it ended first.
    pub(crate) fn until<T>(
        mut self,
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
            Err(status) => {
                crate::eventually("the output ends", || {
                    let mut readers = self.readers.iter();
                    readers.all(JoinHandle::is_finished).then_some(())
                });
                self.leash = None;
                let log = self.log();
                Err(format!("{} ended with status {status}:\n{log}", self.name))
            }
        }
    }
}

impl Part for Process {
    fn log(&self) -> String {
        let output = self.output.lock();
        output.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn alive(&self) -> bool {
        self.exit_status().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(leash) = self.leash.take() else {
            return;
        };
        let early = self.exit_status();
        drop(leash);
        let shell = self.shell.get_mut();
        let ended = shell.unwrap_or_else(PoisonError::into_inner).wait();
        if std::thread::panicking() {
            eprintln!("--- log of {} ({ended:?}):\n{}", self.name, self.log());
        } else if let Some(status) = early {
            panic!("{} ended with status {status}:\n{}", self.name, self.log());
        }
    }
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
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.push_str(&String::from_utf8_lossy(&line));
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
