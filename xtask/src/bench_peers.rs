//! The programs in Go that the benchmark compares with.

use std::path::PathBuf;

use anyhow::Result;

use crate::go;

/// Returns the path of the service that does the filter's work behind Envoy's `ext_proc`.
///
/// # Errors
/// Go is not there or too old, or the modules cannot be fetched.
pub fn ext_proc() -> Result<PathBuf> {
    go::build("tests/bench/ext-proc", "ext-proc")
}

/// Returns the path of the Lambda Reverse Proxy.
///
/// # Errors
/// Go is not there or too old, or the module cannot be fetched.
pub fn lambda_reverse_proxy() -> Result<PathBuf> {
    go::install("github.com/gabrielelana/lambda-reverse-proxy", "v0.0.4")
}
