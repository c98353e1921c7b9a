//! The native programs of the workspace.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{run, target_dir, workspace_root};

/// The package of the invoker, and its program.
pub(crate) const INVOKER: &str = "sidecar-invoker";
/// The package of the Rust example, and its program.
pub(crate) const EXAMPLE: &str = "hello";

/// The environment variable that tells a process that `cargo xtask test` has built everything, so that
/// tests use the existing programs instead of asking cargo again.
pub(crate) const PREPARED: &str = "LAMBDA_MESH_PREPARED";

/// Returns whether this process runs under `cargo xtask test`.
pub(crate) fn prepared() -> bool {
    std::env::var_os(PREPARED).is_some()
}

/// Builds the invoker (release) and returns its path.
///
/// # Errors
/// It does not compile.
pub fn invoker() -> Result<PathBuf> {
    program(INVOKER)
}

/// Builds the example function of the folder `examples/NAME` (release) and returns its path.
///
/// # Errors
/// The example does not exist, or does not compile.
pub fn example(name: &str) -> Result<PathBuf> {
    program(name)
}

/// Builds the program of `cargo xtask` and returns its path.
///
/// # Errors
/// It does not compile.
pub fn xtask() -> Result<PathBuf> {
    let path = target_dir().join("debug/xtask");
    if !(prepared() && path.is_file()) {
        let mut build = cargo();
        build.args(["build", "--locked", "--package", "xtask", "--target-dir"]);
        run::shown(build.arg(target_dir()), "building xtask")?;
    }
    Ok(path)
}

/// Builds one package at a time. If several were built together, their dependencies would have the
/// features of all of them, and cargo would build the dependencies anew whenever the set changes.
fn program(package: &str) -> Result<PathBuf> {
    let path = target_dir().join("release").join(package);
    if !(prepared() && path.is_file()) {
        run::shown(
            cargo()
                .args(["build", "--locked", "--release", "--package", package])
                .arg("--target-dir")
                .arg(target_dir()),
            &format!("building {package}"),
        )?;
    }
    Ok(path)
}

/// Returns a command for the cargo that runs this task, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace_root());
    cargo
}

/// Returns compiler flags, and those that keep the names of this machine's folders out of what is built from
/// the checkout `root`.
pub(crate) fn rustflags(root: &Path, flags: &[&str]) -> Result<OsString> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let mut all = OsString::from("--remap-path-prefix=");
    all.push(cargo_home);
    all.push("=/cargo\u{1f}--remap-path-prefix=");
    all.push(root);
    all.push("=/lambda-mesh");
    for flag in flags {
        all.push("\u{1f}");
        all.push(flag);
    }
    Ok(all)
}
