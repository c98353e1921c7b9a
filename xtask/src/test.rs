//! `cargo xtask test` runs the tests, and provides what they need.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::dnsmasq::Dnsmasq;
use crate::{
    browser, build, collector, emulator, envoy, native, php, prometheus, python, say, target_dir,
    wasm,
};

/// The environment variable with the path of the file in which tests record that they were skipped.
const SKIPPED: &str = "LAMBDA_MESH_SKIPPED";

/// The environment variable that selects the host of the filter in the end-to-end tests: `wasm`, the
/// default, or `native`.
pub const HOST: &str = "LAMBDA_MESH_HOST";

/// The environment variable with the seconds that the test of hostile load runs.
pub const CHAOS_SECONDS: &str = "LAMBDA_MESH_CHAOS_SECONDS";

/// End-to-end tests that have nothing to do with the host of the filter, and run once.
const ONCE: [&str; 14] = [
    "aws::check",
    "aws::clients",
    "aws::credentials",
    "aws::drain",
    "aws::mistakes",
    "aws::proxy",
    "aws::rust_client",
    "aws::stand_in",
    "example_custom_runtime::",
    "example_lambda_reverse_proxy::",
    "example_lamp::",
    "example_node::",
    "example_private_",
    "wheel::",
];

/// The beginning of a record that is about a part of a test.
const PART: &str = "in part: ";

/// Records that the test `name` is skipped, and the reason. The test then returns. `cargo xtask test`
/// counts it as skipped, not as passed, and prints the reason.
pub fn skip(name: &str, reason: &str) {
    record(&format!("{name}: {reason}"));
}

/// Records that a part of a test is skipped, and the reason. `cargo xtask test` prints it. The test still counts as
/// passed.
pub fn skip_part(name: &str, reason: &str) {
    record(&format!("{PART}{name}: {reason}"));
}

fn record(skipped: &str) {
    eprintln!("skipped: {skipped}");
    let Some(path) = std::env::var_os(SKIPPED) else {
        return;
    };
    // One write, so that the lines of tests that run side by side do not mix.
    let recorded = OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{skipped}\n").as_bytes()));
    if let Err(error) = recorded {
        eprintln!("cannot record it in {}: {error}", path.display());
    }
}

/// Fetches and builds what the tests need, runs `cargo test` with `arguments` (a filter, `-p PACKAGE`,
/// ...), and prints a line `N passed, N failed, N skipped`. Without arguments, the end-to-end tests run
/// twice: with the proxy-wasm module, and with the native module.
///
/// # Errors
/// A tool cannot be fetched, a build fails, a test fails, or no test runs.
pub fn run(arguments: &[OsString]) -> Result<()> {
    prepare()?;
    let records = start_records()?;
    let mut counts = Counts::default();
    let mut arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let runs_everything = arguments.is_empty();
    if !arguments.iter().any(|argument| names_package(argument)) {
        arguments.insert(0, OsStr::new("--workspace"));
    }
    let mut status = cargo_test(&arguments, &[], &records, &mut counts)?;
    if runs_everything && cfg!(target_os = "linux") {
        say("running the end-to-end tests again, with the native module");
        let skipped: Vec<_> = ONCE.iter().flat_map(|tests| ["--skip", tests]).collect();
        let native = Run::end_to_end(&skipped).with(HOST, "native");
        let arguments: Vec<_> = native.arguments.iter().map(OsStr::new).collect();
        let native = cargo_test(&arguments, &native.variables, &records, &mut counts)?;
        if status.success() {
            status = native;
        }
    }
    finish(counts, &records, status)
}

/// Arguments of `cargo test`, and variables of its environment.
pub(crate) struct Run<'r> {
    pub(crate) arguments: Vec<&'r str>,
    pub(crate) variables: Vec<(&'r str, OsString)>,
}

impl<'r> Run<'r> {
    /// Returns the run of the end-to-end tests that `names` select.
    pub(crate) fn end_to_end(names: &[&'r str]) -> Self {
        let tests = ["-p", "lambda-mesh-tests", "--test", "e2e", "--"];
        Self {
            arguments: tests.iter().chain(names).copied().collect(),
            variables: Vec::new(),
        }
    }

    /// Sets a variable.
    pub(crate) fn with(mut self, name: &'r str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }
}

/// Prepares the tests, makes these runs, and prints one line `N passed, N failed, N skipped`.
///
/// # Errors
/// Those of [`run`].
pub(crate) fn run_each(runs: &[Run<'_>]) -> Result<()> {
    prepare()?;
    let records = start_records()?;
    let mut counts = Counts::default();
    let mut failed = None;
    for Run {
        arguments,
        variables,
    } in runs
    {
        let before = counts.ran();
        let names: Vec<_> = arguments.iter().map(OsStr::new).collect();
        let status = cargo_test(&names, variables, &records, &mut counts)?;
        if status.success() && counts.ran() == before {
            bail!("`cargo test {}` ran no test", arguments.join(" "));
        }
        failed = failed.or(Some(status).filter(|status| !status.success()));
    }
    finish(counts, &records, failed.unwrap_or_default())
}

/// Fetches and builds what the tests need.
fn prepare() -> Result<()> {
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
    python::opentelemetry()?;
    let optional = [
        ("a browser", browser::driver().map(drop)),
        ("Prometheus", prometheus::programs().map(drop)),
        ("PHP", php::folder().map(drop)),
        ("a DNS server", Dnsmasq::find().map(drop)),
        ("Laravel", php::laravel().map(drop)),
        ("a collector of traces", collector::binary().map(drop)),
    ];
    for (tool, fetched) in optional {
        if let Err(error) = fetched {
            say(format_args!(
                "the tests with {tool} will be skipped: {error:#}"
            ));
        }
    }
    wasm::build()?;
    if cfg!(target_os = "linux") {
        native::build_with_panics()?;
        native::build()?;
    }
    build::invoker()?;
    build::example(build::EXAMPLE)?;
    say("running the tests");
    Ok(())
}

/// Prints the results.
fn finish(mut counts: Counts, records: &Path, status: ExitStatus) -> Result<()> {
    let records = fs::read_to_string(records).context("cannot read which tests were skipped")?;
    counts.move_to_skipped(&records);
    println!("{counts}");
    if !status.success() {
        bail!("cargo test failed ({status}); the cause is shown above");
    }
    if counts.ran() == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// Runs the commands in the documents.
///
/// # Errors
/// Those of [`run`].
pub fn documents() -> Result<()> {
    run(&["-p", "lambda-mesh-tests", "--test", "docs"].map(OsString::from))
}

/// Runs `cargo test` with these variables, prints its output and adds its results to `counts`.
fn cargo_test(
    arguments: &[&OsStr],
    variables: &[(&str, OsString)],
    records: &Path,
    counts: &mut Counts,
) -> Result<ExitStatus> {
    let mut cargo = build::cargo()
        .args(["test", "--locked", "--no-fail-fast"])
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env(build::PREPARED, "1")
        .env(SKIPPED, records)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo could not be started")?;
    if let Some(output) = cargo.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read the output of the tests")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            counts.add(&line);
        }
    }
    cargo.wait().context("cannot wait for cargo")
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
    /// Returns the number of tests that ran.
    fn ran(&self) -> usize {
        self.passed + self.failed
    }

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
            if record.starts_with(PART) {
                continue;
            }
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
        counts.move_to_skipped(
            "e2e::emulator: no emulator for this platform\n\
             in part: README.md:1: no PHP\n\
             in part: README.md:9: no PHP\n",
        );
        assert_eq!(counts.to_string(), "4 passed, 1 failed, 2 skipped");
    }
}
