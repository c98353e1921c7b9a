//! The OpenTelemetry collector, which is published as Go modules.

use std::path::PathBuf;

use anyhow::Result;

use crate::go;

/// Returns the path of a collector that receives traces over OTLP and writes them to a file. The first call builds
/// it, which takes a minute or two.
///
/// # Errors
/// Go is not there or too old, or the modules cannot be fetched.
pub fn binary() -> Result<PathBuf> {
    go::build("tests/fixtures/collector", "opentelemetry-collector")
}
