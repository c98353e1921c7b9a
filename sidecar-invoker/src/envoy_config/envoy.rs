//! The Envoy that a configuration is for.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::EnvoyConfigError;
use super::installed;

/// The first Envoy that runs the filter, as major and minor version.
const FIRST: (u32, u32) = (1, 36);

/// An Envoy that is installed on this machine.
#[derive(Debug, Clone)]
pub struct Envoy(PathBuf);

impl Envoy {
    /// Returns the program `named`, the Envoy that is installed with this program, or `envoy` on `PATH`.
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
        let on_path = std::env::split_paths(&folders).map(|folder| folder.join("envoy"));
        let mut candidates = installed::envoys().chain(on_path);
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

    /// Returns the major and minor version, such as `(1, 40)`.
    ///
    /// # Errors
    /// Returns an error if Envoy cannot be run, or does not say its version.
    pub fn version(&self) -> Result<(u32, u32), EnvoyConfigError> {
        let output = Command::new(&self.0)
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        let output = output.map_err(|error| EnvoyConfigError::NotAsked {
            envoy: self.0.clone(),
            error,
        })?;
        let text = String::from_utf8_lossy(&output.stdout);
        version(&text).ok_or_else(|| EnvoyConfigError::NoVersion(self.0.clone()))
    }

    /// Checks that the filter runs in this Envoy at all.
    ///
    /// # Errors
    /// Returns an error if Envoy is too old, cannot be run, or does not say its version.
    pub fn check_version(&self) -> Result<(), EnvoyConfigError> {
        match self.version()? {
            version if version < FIRST => Err(EnvoyConfigError::TooOld {
                envoy: self.0.clone(),
                version,
            }),
            _ => Ok(()),
        }
    }

    /// Returns the path of the program.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Reads the output of `envoy --version`: `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, build) = text.split_once(" version: ")?;
    let version = build.split('/').nth(1)?;
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next()?, numbers.next()?) {
        (Ok(major), Ok(minor)) => Some((major, minor)),
        _ => None,
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_between_slashes() {
        for (text, expected) in [
            (
                "\n/usr/bin/envoy  version: 6eb0d2d/1.39.3/Clean/RELEASE/BoringSSL\n\n",
                Some((1, 39)),
            ),
            (
                "envoy version: 6eb0d2d/2.0.0-dev/Modified/DEBUG/BoringSSL",
                Some((2, 0)),
            ),
            ("another program", None),
            ("envoy version: a/b/c", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }
}
