//! `cargo lambda`, a peer of the invoker in the benchmark.

use std::path::PathBuf;

use anyhow::Result;

use crate::pypi;

/// Returns the path of `cargo-lambda`. The first call fetches it.
///
/// # Errors
/// The platform is not supported, or the fetch failed.
pub fn binary() -> Result<PathBuf> {
    pypi::program("cargo-lambda", "bin/cargo-lambda", "cargo-lambda")
}
