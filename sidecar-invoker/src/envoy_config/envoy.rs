//! The programs and files that a configuration needs: Envoy itself, and the filter.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Obstacle;

/// The filter's file, as it is released.
const FILTER: &str = "lambda_filter.wasm";

/// An Envoy that is installed on this machine.
#[derive(Debug, Clone)]
pub struct Envoy(PathBuf);

impl Envoy {
    /// The program `named`, or `envoy` on `PATH`.
    ///
    /// # Errors
    /// There is none.
    pub fn find(named: Option<&Path>) -> Result<Self, Obstacle> {
        if let Some(path) = named {
            return if is_executable(path) {
                Ok(Self(path.to_owned()))
            } else {
                Err(format!(
                    "--envoy {}: not an executable file",
                    path.display()
                ))
            };
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut candidates = std::env::split_paths(&folders).map(|folder| folder.join("envoy"));
        candidates
            .find(|path| is_executable(path))
            .map(Self)
            .ok_or_else(|| {
                "there is no `envoy` on PATH; install Envoy 1.36 or newer, or name one with --envoy \
                 PATH"
                    .to_owned()
            })
    }

    /// Has Envoy itself check a configuration (`--mode validate`). Nothing is listened on.
    ///
    /// # Errors
    /// What Envoy says against it, or why it cannot be asked.
    pub fn validate(&self, config: &str) -> Result<(), Obstacle> {
        let asked = || -> std::io::Result<_> {
            // Envoy tells YAML by the name.
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
        let path = self.0.display();
        let output = asked().map_err(|error| format!("{path} cannot be asked: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{path} refuses the configuration: {}", said.trim()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// The filter's file: the one that the variable `LAMBDA_MESH_FILTER` names, else
/// `lambda_filter.wasm` beside this program.
///
/// # Errors
/// There is none.
pub fn find_filter() -> Result<String, Obstacle> {
    if let Some(named) = std::env::var_os("LAMBDA_MESH_FILTER") {
        return named
            .into_string()
            .map_err(|named| format!("LAMBDA_MESH_FILTER: {} is not UTF-8", named.display()));
    }
    let program = std::env::current_exe();
    let beside = program.ok().map(|program| program.with_file_name(FILTER));
    beside
        .filter(|path| path.is_file())
        .and_then(|path| path.into_os_string().into_string().ok())
        .ok_or_else(|| {
            format!(
                "the filter, {FILTER}, is not beside this program; name it with --filter PATH or \
                 the variable LAMBDA_MESH_FILTER"
            )
        })
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
