//! `cargo xtask compat`: the compatibility matrix of `tests/compat`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::{build, envoy, run, target_dir, wasm};

const PACKAGE: &str = "lambda-mesh-compat";

/// Builds what the matrix needs and runs it with these arguments.
///
/// # Errors
/// Something cannot be had, or an answer was wrong.
pub fn run(arguments: &[OsString]) -> Result<()> {
    envoy::binary(envoy::NEWEST)?;
    wasm::build()?;
    build::invoker()?;
    // All its programs: the matrix runs one of them as a function.
    run::shown(
        build::cargo()
            .args(["build", "--locked", "--package", PACKAGE])
            .arg("--target-dir")
            .arg(target_dir()),
        "building the matrix",
    )?;
    run::shown(
        Command::new(target_dir().join("debug/compat"))
            .args(arguments)
            .env(build::PREPARED, "1"),
        "the compatibility matrix",
    )
}
