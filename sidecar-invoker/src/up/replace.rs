//! Another configuration for a running mesh, without a lost request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::envoy::{EnvoyAdmin, POLL_INTERVAL};
use super::error::RunError;
use super::files::EnvoyFiles;
use super::mesh::Mesh;
use crate::config::{Config, Listen};
use crate::envoy_config::{CLUSTERS, Envoy, Gateway, LISTENERS, ROUTES};
use crate::server::Reloader;

/// The longest wait until Envoy has taken over its files.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time in which requests arrive at the invoker that Envoy has routed before the change. A request with a
/// body arrives once it is whole.
const ROUTED_BEFORE: Duration = Duration::from_secs(60);

/// The statistics that count what Envoy has done with each file.
const STATISTICS: [(&str, &str); 3] = [
    (CLUSTERS, "cluster_manager.cds"),
    (LISTENERS, "listener_manager.lds"),
    (ROUTES, "http.http.rds.http"),
];

/// A mesh that serves.
pub(super) struct Running {
    pub(super) config: Config,
    /// The functions that are served: those of `config`, and the removed ones until they end.
    pub(super) served: Config,
    /// The time at which the removed functions end.
    pub(super) end: Option<Instant>,
    pub(super) gateway: Gateway,
    pub(super) invoker: Listen,
    pub(super) reloader: Arc<Reloader>,
    pub(super) program: Envoy,
    pub(super) files: EnvoyFiles,
}

/// The error if a mesh cannot be replaced.
#[derive(Debug, thiserror::Error)]
enum ReplaceError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("Envoy does not take over {0}; what it said stands above")]
    Rejected(&'static str),
    #[error(
        "Envoy has not taken over {0} within {UPDATE_TIMEOUT:?}; save the project's file once more"
    )]
    Late(&'static str),
    #[error("Envoy cannot be asked for its state: {0}; save the project's file once more")]
    Admin(#[from] io::Error),
}

impl Running {
    /// Serves `mesh` from now on. If that fails, the log says so, and everything is as before. Returns whether
    /// `mesh` is served.
    pub(super) async fn replace(&mut self, mut mesh: Mesh, admin: &EnvoyAdmin) -> bool {
        // The invoker keeps its `callers`, and Envoy its environment.
        mesh.gateway
            .secret_variable
            .clone_from(&self.gateway.secret_variable);
        if let Err(error) = self.try_replace(&mesh, admin).await {
            tracing::error!("{error}");
            tracing::error!("{} was not taken over; all is as before", mesh.config.file);
            // Envoy goes on with the old files, which a later change has to be compared with.
            let _ = self.files.replace(&self.gateway, &self.invoker);
            let _ = self.reloader.restore(&self.served).await;
            return false;
        }
        self.config = mesh.config;
        self.gateway = mesh.gateway;
        if self.served.functions.len() > self.config.functions.len() {
            self.end = Some(Instant::now() + ROUTED_BEFORE);
        }
        true
    }

    /// Waits until the removed functions have to end, if there are any.
    pub(super) async fn end_is_due(&self) {
        match self.end {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    }

    /// Ends the removed functions.
    pub(super) async fn end_removed(&mut self) {
        self.end = None;
        if let Err(error) = self.reloader.reload(&self.config).await {
            tracing::error!("{error}");
        }
        self.served = self.config.clone();
    }

    async fn try_replace(&mut self, mesh: &Mesh, admin: &EnvoyAdmin) -> Result<(), ReplaceError> {
        let gateway = self.files.of_this_envoy(&mesh.gateway, &self.invoker);
        let text = gateway.render().map_err(RunError::from)?;
        let program = self.program.clone();
        let checked = tokio::task::spawn_blocking(move || program.validate(&text)).await;
        checked.map_err(RunError::from)?.map_err(RunError::from)?;
        // First the new functions, then the routes to them, later the end of the removed ones.
        let mut served = mesh.config.clone();
        for (name, function) in &self.served.functions {
            let kept = served.functions.entry(name.clone());
            kept.or_insert_with(|| function.clone());
        }
        self.reloader
            .reload(&served)
            .await
            .map_err(RunError::from)?;
        let before = Counts::read(admin).await?;
        let replaced = self.files.replace(&mesh.gateway, &self.invoker)?;
        before.wait_for(&replaced, admin).await?;
        self.served = served;
        Ok(())
    }
}

/// The numbers of updates of each file, taken over and rejected.
struct Counts([(u64, u64); STATISTICS.len()]);

impl Counts {
    async fn read(admin: &EnvoyAdmin) -> io::Result<Self> {
        let mut counts = [(0, 0); STATISTICS.len()];
        for ((_, statistic), count) in STATISTICS.iter().zip(&mut counts) {
            *count = (
                admin
                    .statistic(&format!("{statistic}.update_success"))
                    .await?,
                admin
                    .statistic(&format!("{statistic}.update_rejected"))
                    .await?,
            );
        }
        Ok(Self(counts))
    }

    /// Waits until Envoy has taken over the files of these names.
    async fn wait_for(
        &self,
        files: &[&'static str],
        admin: &EnvoyAdmin,
    ) -> Result<(), ReplaceError> {
        let limit = Instant::now() + UPDATE_TIMEOUT;
        loop {
            let now = Self::read(admin).await?;
            let counts = STATISTICS.iter().zip(self.0.iter().zip(&now.0));
            let mut late = None;
            for ((file, _), (before, now)) in counts.filter(|((file, _), _)| files.contains(file)) {
                if now.1 > before.1 {
                    return Err(ReplaceError::Rejected(file));
                }
                if now.0 == before.0 {
                    late = Some(*file);
                }
            }
            let Some(file) = late else { return Ok(()) };
            if Instant::now() > limit {
                return Err(ReplaceError::Late(file));
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}
