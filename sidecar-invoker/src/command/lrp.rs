//! `sidecar-invoker lrp`.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::envoy::EnvoyArgs;
use super::error::CommandError;
use super::log;
use super::setup;
use super::signals::Signals;
use crate::backend::local::raise_open_files;
use crate::envoy_config::Gateway;
use crate::lrp::Lrp;
use crate::up::{self, ExitReason, Mesh, Request, Settings};

/// The arguments of `lrp`.
#[derive(clap::Args)]
pub(super) struct LrpArgs {
    /// The configuration file, lrp.yaml. Without one, Envoy answers only health checks, on port 8080
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    envoy: EnvoyArgs,
}

/// Serves until a signal, or until Envoy ends.
pub(super) fn run(args: &LrpArgs) -> Result<ExitCode, CommandError> {
    let _log = log::to_stderr();
    raise_open_files();
    let lrp = match &args.file {
        Some(file) => Lrp::load(file)?,
        None => Lrp::without_file(),
    };
    for warning in lrp.warnings() {
        tracing::warn!("{warning}");
    }
    let (envoy, filter) = args.envoy.find()?;
    let config = lrp.invoker()?;
    let gateway = lrp.gateway(filter, config.listen.clone(), config.listen.clone());
    let mesh = Mesh { config, gateway };
    let settings = Settings {
        envoy: &envoy,
        arguments: &args.envoy.arguments,
        is_private: true,
    };
    let reason = setup::runtime()?.block_on(async {
        let mut signals = Signals::new().map_err(CommandError::failed)?;
        let mut quit = signal(SignalKind::quit()).map_err(CommandError::failed)?;
        let next = async || {
            tokio::select! {
                _ = signals.recv() => {}
                _ = quit.recv() => {}
            }
            Request::Shutdown
        };
        let ready =
            |_: &Gateway, addresses: &up::Addresses| println!("listening on {}", addresses.gateway);
        let server = setup::server_options()?;
        let reason = up::run(mesh, &settings, server, ready, next).await;
        reason.map_err(CommandError::failed)
    })?;
    match reason {
        ExitReason::Signal => Ok(ExitCode::SUCCESS),
        ExitReason::Envoy(code) => Err(CommandError::EnvoyEnded(code)),
    }
}
