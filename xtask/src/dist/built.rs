//! The programs of a release.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{build, native, wasm};

/// The programs of a release, built for this machine's platform.
pub(super) struct Built {
    pub(super) invoker: PathBuf,
    /// The filter as a proxy-wasm module.
    pub(super) filter: PathBuf,
    /// The filter as a native module, on Linux.
    pub(super) module: Option<PathBuf>,
}

impl Built {
    /// Builds the programs.
    ///
    /// # Errors
    /// A program does not compile.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            filter: wasm::build()?,
            invoker: build::invoker()?,
            module: cfg!(target_os = "linux").then(native::build).transpose()?,
        })
    }

    /// Returns the modules of the filter.
    pub(super) fn modules(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&*self.filter).chain(self.module.as_deref())
    }
}
