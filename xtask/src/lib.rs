//! The tasks of the workspace (`cargo xtask --help`). The tests use this library too, to find the tools
//! and to build the programs.
//!
//! Everything that a task fetches or builds is in `target/` of the workspace, also if
//! `CARGO_TARGET_DIR` is set, because the shipped configurations name files there:
//!
//! | folder | content |
//! |---|---|
//! | `target/tools/` | Envoy, the Lambda emulator, Python packages, checkers; fetched once |
//! | `target/dist/` | the files of a release, see [`dist`] |
//! | `target/compose/` | the content of stand-in images, for machines without an image registry |
//! | `target/reproduce/` | the second build of `dist --reproduce` |
//! | `target/release/` | the invoker and the example function |
//! | `target/arm64/` | the native module and Envoy for 64-bit ARM |
//! | `target/up/` | the Envoy configuration of an `up` with changed ports |

pub mod arm64;
pub mod bench;
pub mod bench_core;
pub mod browser;
pub mod build;
pub mod cargo_lambda;
pub mod ci;
pub mod collector;
pub mod compat;
pub mod compose;
mod debian;
pub mod dist;
pub mod dnsmasq;
pub mod docs;
pub mod emulator;
pub mod envoy;
pub mod go;
pub mod layers;
mod lock;
pub mod native;
pub mod php;
pub mod ports;
pub mod prometheus;
mod pypi;
pub mod python;
mod run;
pub mod schema;
pub mod soak;
pub mod test;
pub mod up;
pub mod wasm;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use test::{skip, skip_part};

/// Returns the folder of the workspace's `Cargo.toml`.
#[must_use]
pub fn workspace_root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Returns `target/` of the workspace.
#[must_use]
pub fn target_dir() -> PathBuf {
    workspace_root().join("target")
}

/// Prints a line of progress on standard error. Standard output is for the result of a command.
pub fn say(message: impl Display) {
    // The terminal may be gone. `eprintln!` would panic before `up` has stopped its processes.
    let _ = writeln!(io::stderr(), "xtask: {message}");
}

/// Returns `path` relative to the workspace, as a person would type it.
fn display(path: &Path) -> String {
    path.strip_prefix(workspace_root())
        .unwrap_or(path)
        .display()
        .to_string()
}
