//! `cargo xtask bench` runs the benchmark in `tests/bench`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{build, cargo_lambda, emulator, envoy, native, run, target_dir, wasm};

const PACKAGE: &str = "lambda-mesh-bench";

/// Builds what the benchmark needs and runs it with these arguments.
///
/// # Errors
/// A tool cannot be fetched, a build fails, or the benchmark received a wrong response.
pub fn run(arguments: &[OsString]) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the benchmark needs Linux: it reads CPU time from /proc and pins programs to cores");
    }
    envoy::binary(envoy::NEWEST)?;
    emulator::binary()?;
    cargo_lambda::binary()?;
    wasm::build()?;
    native::build()?;
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
