//! Envoy as a program under measurement.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::{Placement, Process};

/// Starts an Envoy with this configuration, whose first listener has this address.
///
/// # Errors
/// Envoy does not start.
pub fn start(
    name: &str,
    address: SocketAddr,
    config: &Value,
    workers: usize,
    placement: Placement<'_>,
) -> Result<Process> {
    let binary = xtask::envoy::binary(xtask::envoy::NEWEST)?;
    let file = placement.folder.join(format!("{name}.json"));
    std::fs::write(&file, config.to_string())
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(binary);
    command
        .args(["--concurrency", &workers.to_string()])
        .args(["--disable-hot-restart", "--log-level", "warning"])
        .arg("-c")
        .arg(&file);
    let mut process = Process::start(name, &mut command, placement)?;
    process.wait_until(|| TcpStream::connect(address).is_ok())?;
    Ok(process)
}
