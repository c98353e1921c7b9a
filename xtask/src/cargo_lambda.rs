//! `cargo lambda`, which the benchmark compares the invoker with.

use std::path::PathBuf;

use anyhow::Result;

use crate::pypi;

/// The path of `cargo-lambda`; fetched once.
///
/// # Errors
/// There is none for this platform, or the fetch failed.
pub fn binary() -> Result<PathBuf> {
    pypi::program("cargo-lambda-1.9.2", "bin/cargo-lambda", "cargo-lambda")
}
