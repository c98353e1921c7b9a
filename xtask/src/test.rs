//! `cargo xtask test`: all tests, with all that they need.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::{build, emulator, envoy, python, say, target_dir, wasm};

/// Names the file in which tests note that they were skipped.
const SKIPPED: &str = "LAMBDA_MESH_SKIPPED";

/// Notes that the test `name` does not run, and why; the test returns after it.
/// `cargo xtask test` counts it as skipped, not as passed, and shows the reason.
pub fn skip(name: &str, reason: &str) {
    eprintln!("skipped: {name}: {reason}");
    let Some(path) = std::env::var_os(SKIPPED) else {
        return;
    };
    // One write, so that the lines of tests that run side by side do not mix.
    let noted = OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{name}: {reason}\n").as_bytes()));
    if let Err(error) = noted {
        eprintln!("cannot note it in {}: {error}", path.display());
    }
}

/// Fetches and builds what the tests need, runs them with `cargo test` (`arguments` are added:
/// a filter, `-p PACKAGE`, ...), and prints a line `N passed, N failed, N skipped`.
///
/// # Errors
/// Something cannot be had, a test failed, or none ran.
pub fn run(arguments: &[OsString]) -> Result<()> {
    envoy::binary(envoy::NEWEST)?;
    // Published for Linux alone; elsewhere the tests that need them say so and are skipped.
    if cfg!(target_os = "linux") {
        envoy::binary(envoy::OLDEST)?;
        emulator::binary()?;
    }
    python::environment()?;
    python::with_aws_clients()?;
    python::with_kubernetes_schemas()?;
    python::with_schemas()?;
    wasm::build()?;
    build::invoker()?;
    build::example(build::EXAMPLE)?;
    say("running the tests");

    let notes = start_notes()?;
    let mut command = build::cargo();
    command.args(["test", "--locked", "--no-fail-fast"]);
    if !arguments.iter().any(|argument| names_package(argument)) {
        command.arg("--workspace");
    }
    let mut cargo = command
        .args(arguments)
        .env(build::PREPARED, "1")
        .env(SKIPPED, &notes)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo could not be started")?;
    let mut counts = Counts::default();
    if let Some(output) = cargo.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read what the tests say")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            counts.add(&line);
        }
    }
    let status = cargo.wait().context("cargo was lost")?;

    let notes = fs::read_to_string(&notes).context("cannot read which tests were skipped")?;
    counts.move_to_skipped(&notes);
    println!("{counts}");
    if !status.success() {
        bail!("cargo test failed ({status}); the cause is shown above");
    }
    if counts.passed + counts.failed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// An empty file for [`skip`].
fn start_notes() -> Result<PathBuf> {
    let folder = target_dir().join("test");
    let path = folder.join("skipped.txt");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, ""))
        .with_context(|| format!("cannot write {}", crate::display(&path)))?;
    Ok(path)
}

fn names_package(argument: &OsStr) -> bool {
    let argument = argument.to_string_lossy();
    argument.starts_with("-p") || argument.starts_with("--package")
}

/// What became of the tests.
#[derive(Default, Debug, PartialEq)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    /// Adds the figures of a line such as
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ...`.
    fn add(&mut self, line: &str) {
        let Some((_, figures)) = line
            .strip_prefix("test result: ")
            .and_then(|result| result.split_once(". "))
        else {
            return;
        };
        for figure in figures.split("; ") {
            let Some((Ok(number), what)) = figure
                .split_once(' ')
                .map(|(number, what)| (number.parse::<usize>(), what))
            else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// A test that notes a skip and returns looks passed to `cargo test`.
    fn move_to_skipped(&mut self, notes: &str) {
        for note in notes.lines() {
            println!("skipped: {note}");
            self.passed = self.passed.saturating_sub(1);
            self.skipped += 1;
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(
            formatter,
            "{passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_add_up_and_skips_are_not_passes() {
        let mut counts = Counts::default();
        counts.add("running 4 tests");
        counts.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        counts.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.00s");
        counts.move_to_skipped("e2e::emulator: no emulator for this platform\n");
        assert_eq!(counts.to_string(), "4 passed, 1 failed, 2 skipped");
    }
}
