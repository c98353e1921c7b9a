//! `sidecar-invoker serve`.

use std::process::ExitCode;

use super::error::CommandError;
use super::setup::{self, ConfigFile};
use super::signals::ShutdownSignals;
use crate::backend::local::raise_open_files;
use crate::config::{Config, HostPort, Listen};
use crate::server::Server;

/// The arguments of `serve`.
#[derive(clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Address of the Invoke API, HOST:PORT or unix:///PATH [default: `listen` of the file]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<Listen>,
    /// Address of the admin endpoints [default: `admin` of the file]
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<HostPort>,
}

/// Serves until SIGTERM, SIGINT or SIGHUP.
pub(super) fn run(args: ServeArgs) -> Result<ExitCode, CommandError> {
    setup::log_to_stderr();
    let mut config = args.config.load()?;
    config.listen = args.listen.unwrap_or(config.listen);
    config.admin = args.admin.unwrap_or(config.admin);
    config.check_exposure(&config.listen)?;
    raise_open_files();
    setup::server_runtime()?.block_on(serve(config))
}

async fn serve(config: Config) -> Result<ExitCode, CommandError> {
    let mut signals = ShutdownSignals::new().map_err(CommandError::failed)?;
    let server = Server::bind(config, setup::server_options()?)
        .await
        .map_err(CommandError::failed)?;
    tracing::info!(
        "serving the Invoke API on {}, admin on {}",
        server.address().map_err(CommandError::failed)?,
        server.admin_address().map_err(CommandError::failed)?
    );
    server.run(signals.recv()).await;
    Ok(ExitCode::SUCCESS)
}
