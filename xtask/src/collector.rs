//! The OpenTelemetry collector, which is published as Go modules.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::lock::Lock;
use crate::{run, target_dir, workspace_root};

/// The folder with the program, whose `go.mod` pins the modules.
const SOURCE: &str = "tests/fixtures/collector";

/// Returns the path of a collector that receives traces over OTLP and writes them to a file. The first call builds
/// it, which takes a minute or two.
///
/// # Errors
/// Go is not there or too old, or the modules cannot be fetched.
pub fn binary() -> Result<PathBuf> {
    let source = workspace_root().join(SOURCE);
    let path = target_dir().join("tools/opentelemetry-collector/collector");
    let _lock = Lock::acquire("opentelemetry-collector")?;
    let modules = path.with_file_name("go.sum");
    let pinned = std::fs::read(source.join("go.sum")).context("cannot read the modules")?;
    if run::is_executable(&path) && std::fs::read(&modules).is_ok_and(|built| built == pinned) {
        return Ok(path);
    }
    if run::find("go").is_none() {
        bail!("Go is not on PATH");
    }
    crate::say("building the OpenTelemetry collector");
    let mut go = Command::new("go");
    go.current_dir(&source)
        .args([
            "build",
            "-mod=readonly",
            "-trimpath",
            "-ldflags=-s -w",
            "-o",
        ])
        .arg(&path)
        .arg(".");
    run::captured(&mut go).context("the OpenTelemetry collector cannot be built")?;
    std::fs::write(modules, pinned).context("cannot write target/tools")?;
    Ok(path)
}
