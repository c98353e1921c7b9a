//! The workspace's tasks (`cargo xtask --help`), and what they share with the tests: where
//! the tools are, and how the parts are built.
//!
//! Everything that is fetched or built for a task lies in `target/` of the workspace,
//! whatever `CARGO_TARGET_DIR` says, because the shipped configurations name files there:
//!
//! | folder | what it holds |
//! |---|---|
//! | `target/tools/` | Envoy, the Lambda emulator, Python packages, checkers; fetched once |
//! | `target/dist/` | what a release holds: see [`dist`] |
//! | `target/compose/` | what images are made of where no image registry can be reached |
//! | `target/reproduce/` | the second build of `dist --reproduce` |
//! | `target/release/` | the invoker and the example function |
//! | `target/up/` | the configuration that `up` runs with when a port is changed |

pub mod bench;
pub mod bench_core;
pub mod build;
pub mod cargo_lambda;
pub mod ci;
pub mod compat;
pub mod compose;
mod debian;
pub mod dist;
pub mod emulator;
pub mod envoy;
pub mod layers;
mod lock;
pub mod ports;
mod pypi;
pub mod python;
mod run;
pub mod schema;
pub mod test;
pub mod up;
pub mod wasm;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use test::skip;

/// The folder that holds the workspace's `Cargo.toml`.
#[must_use]
pub fn workspace_root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// `target/` of the workspace.
#[must_use]
pub fn target_dir() -> PathBuf {
    workspace_root().join("target")
}

/// Says on standard error what is being done, one line at a time: standard output belongs to
/// a command's result.
pub fn say(message: impl Display) {
    // The terminal may be gone; `eprintln!` would panic before `up` has ended its parts.
    let _ = writeln!(io::stderr(), "xtask: {message}");
}

/// `path` as a person in the workspace would type it.
fn display(path: &Path) -> String {
    path.strip_prefix(workspace_root())
        .unwrap_or(path)
        .display()
        .to_string()
}
