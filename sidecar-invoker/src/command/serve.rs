//! `sidecar-invoker serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::error::CommandError;
use super::setup;
use crate::config::{BackendConfig, Config, HostPort, Listen};
use crate::server::Server;

/// The options of `serve`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The configuration file, invoker.yaml.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where to serve the Invoke API, instead of the file's `listen`: HOST:PORT or
    /// unix:///PATH.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<Listen>,
    /// Where to serve the admin endpoints, instead of the file's `admin`.
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<HostPort>,
}

/// Serves until a signal asks to end.
pub(super) fn run(options: Options) -> Result<ExitCode, CommandError> {
    setup::log_to_stderr();
    let mut config = Config::load(&options.config)?;
    config.listen = options.listen.unwrap_or(config.listen);
    config.admin = options.admin.unwrap_or(config.admin);
    let mut functions = config.functions.values();
    if config.aws.is_some() || functions.any(|one| matches!(one.backend, BackendConfig::Aws(_))) {
        setup::raise_open_files();
    }
    setup::server_runtime()?.block_on(serve(config))
}

async fn serve(config: Config) -> Result<ExitCode, CommandError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(CommandError::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CommandError::failed)?;
    let server = Server::bind(config, setup::server_options()?)
        .await
        .map_err(CommandError::failed)?;
    tracing::info!(
        "serving the Invoke API on {}, admin on {}",
        server.address().map_err(CommandError::failed)?,
        server.admin_address().map_err(CommandError::failed)?
    );
    server
        .run(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await;
    Ok(ExitCode::SUCCESS)
}
