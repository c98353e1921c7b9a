//! The native programs of the workspace.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{run, target_dir, workspace_root};

/// The invoker's package and program.
pub(crate) const INVOKER: &str = "sidecar-invoker";
/// The package and program of the example in Rust.
pub(crate) const EXAMPLE: &str = "hello";

/// Set for the processes of `cargo xtask test`, which has built everything: each test then
/// takes what is there instead of asking cargo again.
pub(crate) const PREPARED: &str = "LAMBDA_MESH_PREPARED";

/// Whether this process runs under `cargo xtask test`.
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
/// There is no such example, or it does not compile.
pub fn example(name: &str) -> Result<PathBuf> {
    program(name)
}

/// One package at a time: together, each would get the dependencies with the other's features
/// too, and cargo would build them anew whenever the set changes.
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

/// The cargo that runs this task, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace_root());
    cargo
}
