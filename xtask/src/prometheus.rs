//! A real Prometheus, from `PATH` or from Debian's package.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{build, debian, run};

/// Debian's package of the server and of promtool. It does not have to be installed.
const PACKAGE: &str = "prometheus";

/// The programs of Prometheus.
#[derive(Debug)]
pub struct Programs {
    /// The server.
    pub server: PathBuf,
    /// The program that checks rules.
    pub promtool: PathBuf,
}

/// Returns the programs of Prometheus. The first call fetches them where `PATH` does not have both.
///
/// # Errors
/// Debian's package cannot be fetched. The error names the cure.
pub fn programs() -> Result<Programs> {
    if let (Some(server), Some(promtool)) = (run::find("prometheus"), run::find("promtool")) {
        return Ok(Programs { server, promtool });
    }
    // `cargo xtask test` has tried it before its tests.
    let packages = || Ok(vec![PACKAGE.to_owned()]);
    let folder = debian::unpacked(PACKAGE, packages, !build::prepared())
        .with_context(|| "neither `prometheus` nor `promtool` is on PATH")?;
    Ok(Programs {
        server: folder.join("usr/bin/prometheus"),
        promtool: folder.join("usr/bin/promtool"),
    })
}
