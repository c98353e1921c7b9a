//! A lock between processes.

use std::fs::{self, File};

use anyhow::{Context, Result};

/// A lock, held until it is dropped. The operating system releases it if the process dies.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

impl Lock {
    /// Waits until no other process (or thread) holds the lock `name`.
    ///
    /// # Errors
    /// `target/tools` cannot be written, or its file system has no locks.
    pub(crate) fn acquire(name: &str) -> Result<Self> {
        let folder = crate::target_dir().join("tools");
        let path = folder.join(format!("{name}.lock"));
        fs::create_dir_all(&folder)
            .and_then(|()| File::create(&path))
            .and_then(|file| file.lock().map(|()| Self(file)))
            .with_context(|| format!("cannot lock {}", crate::display(&path)))
    }
}
