//! `cargo xtask compat` runs the compatibility matrix in `tests/compat`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::{build, envoy, run, target_dir, wasm};

const PACKAGE: &str = "lambda-mesh-compat";

/// Builds what the matrix needs and runs it with these arguments.
///
/// # Errors
/// A tool cannot be fetched, a build fails, or the matrix received a wrong response.
pub fn run(arguments: &[OsString]) -> Result<()> {
    envoy::binary(envoy::NEWEST)?;
    wasm::build()?;
    build::invoker()?;
    // Builds all programs of the package: the matrix runs one of them as a function.
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
