//! Running other programs to their end.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs `command`, which writes to this process's output. If it fails, its output has the cause.
///
/// # Errors
/// The command cannot be started, or does not end with 0. `what` names the task in the error.
pub(crate) fn shown(command: &mut Command, what: &str) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|error| not_started(command, &error))?;
    if !status.success() {
        bail!("{what} failed ({status}); the cause is shown above");
    }
    Ok(())
}

/// Runs `command` and returns its standard output, trimmed.
///
/// # Errors
/// The command cannot be started, or does not end with 0. The error has the cause that the command
/// wrote to standard error.
pub(crate) fn captured(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_started(command, &error))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} ({})", cause(&errors), output.status);
    }
    String::from_utf8(output.stdout)
        .map(|text| text.trim().to_owned())
        .with_context(|| format!("{} did not print text", name(command)))
}

/// Runs `command` without its output, and kills it after `timeout`.
///
/// # Errors
/// The command cannot be started, does not end with 0, or takes longer than `timeout`.
pub(crate) fn quiet_within(command: &mut Command, timeout: Duration) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    let deadline = Instant::now() + timeout;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("{status}"),
            None if Instant::now() > deadline => {
                child.kill()?;
                child.wait()?;
                bail!("it took longer than {} s", timeout.as_secs());
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Returns the first executable file on `PATH` with the name `program`.
pub(crate) fn find(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let program = program.as_ref();
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| is_executable(path))
}

/// Returns whether `path` is a file with an execute permission.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Returns the line with the cause: the line that pip, apt-get or rustup marks, or else the last line.
fn cause(errors: &str) -> &str {
    let mut lines = errors.lines().map(str::trim);
    let marked = ["ERROR: ", "E: ", "error: "];
    lines
        .clone()
        .find(|line| marked.iter().any(|mark| line.starts_with(mark)))
        .or_else(|| lines.rfind(|line| !line.is_empty()))
        .unwrap_or("it gave no reason")
}

fn not_started(command: &Command, error: &std::io::Error) -> anyhow::Error {
    let name = name(command);
    if error.kind() == ErrorKind::NotFound {
        anyhow::anyhow!("`{name}` is not installed, or not on PATH")
    } else {
        anyhow::anyhow!("`{name}` could not be started: {error}")
    }
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_the_marked_line_or_else_the_last() {
        assert_eq!(
            cause("note\nE: no such package\nbye\n"),
            "E: no such package"
        );
        assert_eq!(cause("one\ntwo\n\n"), "two");
        assert_eq!(cause(""), "it gave no reason");
    }
}
