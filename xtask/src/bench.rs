//! `cargo xtask bench`: the benchmark of `tests/bench`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{build, cargo_lambda, emulator, envoy, run, target_dir, wasm};

const PACKAGE: &str = "lambda-mesh-bench";

/// Builds what the benchmark needs and runs it with these arguments.
///
/// # Errors
/// Something cannot be had, or an answer was wrong.
pub fn run(arguments: &[OsString]) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!(
            "the benchmark reads CPU time from /proc and gives each program a core: it needs Linux"
        );
    }
    envoy::binary(envoy::NEWEST)?;
    emulator::binary()?;
    cargo_lambda::binary()?;
    wasm::build()?;
    build::invoker()?;
    run::shown(
        build::cargo()
            .args(["build", "--locked", "--release", "--package", PACKAGE])
            .arg("--target-dir")
            .arg(target_dir()),
        "building the benchmark",
    )?;
    run::shown(
        Command::new(target_dir().join("release/bench"))
            .args(arguments)
            .env(build::PREPARED, "1"),
        "the benchmark",
    )
}
