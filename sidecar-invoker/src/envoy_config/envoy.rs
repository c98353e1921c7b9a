//! The program and the file that a configuration needs: Envoy, and the filter.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{EnvoyConfigError, FILTER};

/// An Envoy that is installed on this machine.
#[derive(Debug, Clone)]
pub struct Envoy(PathBuf);

impl Envoy {
    /// Returns the program `named`, or `envoy` on `PATH`.
    ///
    /// # Errors
    /// Returns an error if there is no such program.
    pub fn find(named: Option<&Path>) -> Result<Self, EnvoyConfigError> {
        if let Some(path) = named {
            return if is_executable(path) {
                Ok(Self(path.to_owned()))
            } else {
                Err(EnvoyConfigError::NotExecutable(path.to_owned()))
            };
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut candidates = std::env::split_paths(&folders).map(|folder| folder.join("envoy"));
        candidates
            .find(|path| is_executable(path))
            .map(Self)
            .ok_or(EnvoyConfigError::NoEnvoy)
    }

    /// Lets Envoy check a configuration (`--mode validate`). Envoy does not listen on its addresses.
    ///
    /// # Errors
    /// Returns an error if Envoy refuses the configuration, or cannot be run.
    pub fn validate(&self, config: &str) -> Result<(), EnvoyConfigError> {
        let run = || -> std::io::Result<_> {
            // Envoy recognizes YAML by the name of the file.
            let mut file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
            file.write_all(config.as_bytes())?;
            Command::new(&self.0)
                .args([
                    "--mode",
                    "validate",
                    "--log-level",
                    "error",
                    "--config-path",
                ])
                .arg(file.path())
                .stdin(Stdio::null())
                .output()
        };
        let envoy = || self.0.clone();
        let output = run().map_err(|error| EnvoyConfigError::NotAsked {
            envoy: envoy(),
            error,
        })?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(EnvoyConfigError::Refused {
            envoy: envoy(),
            message,
        })
    }

    /// Returns the path of the program.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Returns the file of the filter: the value of the variable `LAMBDA_MESH_FILTER`, or
/// `lambda_filter.wasm` beside this program.
///
/// # Errors
/// Returns an error if there is no such file.
pub fn find_filter() -> Result<String, EnvoyConfigError> {
    if let Some(named) = std::env::var_os("LAMBDA_MESH_FILTER") {
        return named.into_string().map_err(EnvoyConfigError::FilterName);
    }
    let program = std::env::current_exe();
    let beside = program.ok().map(|program| program.with_file_name(FILTER));
    beside
        .filter(|path| path.is_file())
        .and_then(|path| path.into_os_string().into_string().ok())
        .ok_or(EnvoyConfigError::NoFilter)
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
