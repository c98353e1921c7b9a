//! `cargo xtask test` runs the tests, and provides what they need.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::{build, emulator, envoy, python, say, target_dir, wasm};

/// The environment variable with the path of the file in which tests record that they were skipped.
const SKIPPED: &str = "LAMBDA_MESH_SKIPPED";

/// Records that the test `name` is skipped, and the reason. The test then returns. `cargo xtask test`
/// counts it as skipped, not as passed, and prints the reason.
pub fn skip(name: &str, reason: &str) {
    eprintln!("skipped: {name}: {reason}");
    let Some(path) = std::env::var_os(SKIPPED) else {
        return;
    };
    // One write, so that the lines of tests that run side by side do not mix.
    let recorded = OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{name}: {reason}\n").as_bytes()));
    if let Err(error) = recorded {
        eprintln!("cannot record it in {}: {error}", path.display());
    }
}

/// Fetches and builds what the tests need, runs `cargo test` with `arguments` (a filter, `-p PACKAGE`,
/// ...), and prints a line `N passed, N failed, N skipped`.
///
/// # Errors
/// A tool cannot be fetched, a build fails, a test fails, or no test runs.
pub fn run(arguments: &[OsString]) -> Result<()> {
    envoy::binary(envoy::NEWEST)?;
    // Published for Linux only. On other systems, the tests that need them are skipped.
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

    let records = start_records()?;
    let mut command = build::cargo();
    command.args(["test", "--locked", "--no-fail-fast"]);
    if !arguments.iter().any(|argument| names_package(argument)) {
        command.arg("--workspace");
    }
    let mut cargo = command
        .args(arguments)
        .env(build::PREPARED, "1")
        .env(SKIPPED, &records)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo could not be started")?;
    let mut counts = Counts::default();
    if let Some(output) = cargo.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read the output of the tests")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            counts.add(&line);
        }
    }
    let status = cargo.wait().context("cannot wait for cargo")?;

    let records = fs::read_to_string(&records).context("cannot read which tests were skipped")?;
    counts.move_to_skipped(&records);
    println!("{counts}");
    if !status.success() {
        bail!("cargo test failed ({status}); the cause is shown above");
    }
    if counts.passed + counts.failed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// Makes an empty file for [`skip`].
fn start_records() -> Result<PathBuf> {
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

/// The number of tests by their results.
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

    /// Counts the skipped tests, which `cargo test` counts as passed.
    fn move_to_skipped(&mut self, records: &str) {
        for record in records.lines() {
            println!("skipped: {record}");
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
    fn results_of_several_binaries_add_up_and_a_skipped_test_is_not_passed() {
        let mut counts = Counts::default();
        counts.add("running 4 tests");
        counts.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        counts.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.00s");
        counts.move_to_skipped("e2e::emulator: no emulator for this platform\n");
        assert_eq!(counts.to_string(), "4 passed, 1 failed, 2 skipped");
    }
}
