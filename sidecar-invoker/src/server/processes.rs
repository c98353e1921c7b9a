//! The resources for the processes of local functions: control groups, isolation, orphan reaper.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ServeError;
use super::options::Options;
use crate::backend::local::{Cgroups, Isolation, LocalContext, OrphanReaper, WITHOUT_NAMESPACES};
use crate::config::{BackendConfig, Config};

/// The means to run processes, as far as the options allow them.
pub(super) struct Means {
    orphan_reaper: Option<PathBuf>,
    cgroups: bool,
    fork_server: Option<PathBuf>,
}

impl Means {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            orphan_reaper: options.orphan_reaper.clone(),
            cgroups: options.cgroups,
            fork_server: options.fork_server.clone(),
        }
    }

    /// Returns `context` with everything that the local functions of `config` need. Nothing is started twice.
    ///
    /// # Errors
    /// Returns an error if the orphan reaper does not start.
    pub(super) async fn add_to(
        &self,
        context: LocalContext,
        config: &Config,
    ) -> Result<LocalContext, ServeError> {
        let mut functions = config.functions.values();
        let has_local =
            functions.any(|function| matches!(function.backend, BackendConfig::Local(_)));
        let is_there = context.isolation.is_some() || context.orphan_reaper.is_some();
        if is_there {
            return Ok(context);
        }
        let cgroups = match self.cgroups && has_local {
            true => Cgroups::make().map(Arc::new),
            false => None,
        };
        let cgroups_folder = cgroups.as_ref().map(|cgroups| cgroups.folder());
        if let Some(folder) = cgroups_folder {
            tracing::debug!("functions run in the control group {}", folder.display());
        }
        let isolation = match self.fork_server.as_deref().filter(|_| has_local) {
            Some(program) => start_isolation(program, cgroups_folder).await,
            None => None,
        };
        // The inits and the fork server do the work of the orphan reaper.
        let orphan_reaper = self.orphan_reaper.as_deref();
        let orphan_reaper = orphan_reaper.filter(|_| has_local && isolation.is_none());
        let orphan_reaper = orphan_reaper.map(OrphanReaper::start);
        let orphan_reaper = orphan_reaper
            .transpose()
            .map_err(ServeError::OrphanReaper)?;
        if let (Some(orphan_reaper), Some(folder)) = (&orphan_reaper, cgroups_folder) {
            orphan_reaper.watch_cgroup(folder).await;
        }
        Ok(LocalContext {
            orphan_reaper: orphan_reaper.map(Arc::new),
            cgroups,
            isolation: isolation.map(Arc::new),
            ..context
        })
    }
}

/// Starts the isolation of execution environments, and logs what they share.
async fn start_isolation(program: &Path, cgroups: Option<&Path>) -> Option<Isolation> {
    match Isolation::start(program, cgroups).await {
        Ok(isolation) => {
            if let Some(shared) = isolation.shared() {
                tracing::info!("{shared}");
            }
            Some(isolation)
        }
        Err(error) => {
            tracing::info!("there is no isolation ({error}): {WITHOUT_NAMESPACES}");
            None
        }
    }
}
