//! `sidecar-invoker lrp`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::error::CommandError;
use super::setup;
use crate::envoy_config::{Envoy, find_filter};
use crate::lrp::{Ended, Lrp, run as run_both};

/// The options of `lrp`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The configuration file of lrp.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The Envoy to start, instead of the `envoy` on PATH.
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// The filter's file, instead of $LAMBDA_MESH_FILTER or lambda_filter.wasm beside this program.
    #[arg(long, value_name = "PATH")]
    filter: Option<String>,
    /// Arguments for Envoy, such as `--concurrency 2`.
    #[arg(last = true, value_name = "ENVOY_ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Serves until a signal asks to end, or Envoy has ended.
pub(super) fn run(options: Options) -> Result<ExitCode, CommandError> {
    setup::log_to_stderr();
    let lrp = Lrp::load(&options.file)?;
    let envoy = Envoy::find(options.envoy.as_deref()).map_err(CommandError::failed)?;
    let filter = options.filter.map_or_else(find_filter, Ok);
    let filter = filter.map_err(CommandError::failed)?;
    let ended = setup::runtime()?.block_on(async {
        let mut signals = [
            signal(SignalKind::hangup()).map_err(CommandError::failed)?,
            signal(SignalKind::interrupt()).map_err(CommandError::failed)?,
            signal(SignalKind::quit()).map_err(CommandError::failed)?,
            signal(SignalKind::terminate()).map_err(CommandError::failed)?,
        ];
        let [hangup, interrupt, quit, terminate] = &mut signals;
        let end = async || {
            tokio::select! {
                _ = hangup.recv() => {}
                _ = interrupt.recv() => {}
                _ = quit.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let ready = |address| println!("listening on {address}");
        let server = setup::server_options()?;
        run_both(
            &lrp,
            (&envoy, filter),
            &options.arguments,
            server,
            ready,
            end,
        )
        .await
        .map_err(CommandError::failed)
    })?;
    match ended {
        Ended::Asked => Ok(ExitCode::SUCCESS),
        Ended::Envoy(code) => Err(CommandError::EnvoyEnded(code)),
    }
}
