//! The files from which Envoy reads its configuration, and reads it again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::RunError;
use crate::config::Listen;
use crate::envoy_config::Gateway;

/// A folder with the files of a running Envoy.
pub(super) struct EnvoyFiles {
    folder: PathBuf,
}

impl EnvoyFiles {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Returns the path of the socket of Envoy's admin interface.
    pub(super) fn admin(&self) -> PathBuf {
        self.folder.join("envoy-admin.sock")
    }

    /// Returns the gateway with the addresses of this Envoy and of the invoker.
    pub(super) fn of_this_envoy(&self, gateway: &Gateway, invoker: &Listen) -> Gateway {
        Gateway {
            admin: Listen::Unix(self.admin()),
            invoker: invoker.clone(),
            ..gateway.clone()
        }
    }

    /// Writes all files, and returns the one with which Envoy is started.
    pub(super) fn write(&self, gateway: &Gateway, invoker: &Listen) -> Result<PathBuf, RunError> {
        let gateway = self.of_this_envoy(gateway, invoker);
        let files = gateway.files(&self.folder)?;
        for (name, text) in &files {
            fs::write(self.folder.join(name), text)?;
        }
        let [(bootstrap, _), ..] = files;
        Ok(self.folder.join(bootstrap))
    }

    /// Replaces the files whose text has changed, in the order in which Envoy needs them, and returns their
    /// names.
    pub(super) fn replace(
        &self,
        gateway: &Gateway,
        invoker: &Listen,
    ) -> Result<Vec<&'static str>, RunError> {
        let gateway = self.of_this_envoy(gateway, invoker);
        let [_bootstrap, resources @ ..] = gateway.files(&self.folder)?;
        let mut replaced = Vec::new();
        for (name, text) in resources {
            let file = self.folder.join(name);
            if fs::read_to_string(&file).is_ok_and(|before| before == text) {
                continue;
            }
            replace(&file, &text)?;
            replaced.push(name);
        }
        Ok(replaced)
    }
}

/// Replaces a file at once. Envoy notices no other kind of change.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, file)
}
