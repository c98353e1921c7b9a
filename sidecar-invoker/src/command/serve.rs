//! `sidecar-invoker serve`.

use std::process::ExitCode;

use super::error::CommandError;
use super::log;
use super::setup::{self, ConfigFile};
use super::signals::{Request, Signals};
use crate::backend::local::raise_open_files;
use crate::config::{Config, HostPort, Listen};
use crate::server::{Reloader, Server};

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

impl ServeArgs {
    /// Reads and checks the file.
    fn load(&self) -> Result<Config, CommandError> {
        let mut config = self.config.load()?;
        config.listen = self.listen.clone().unwrap_or(config.listen);
        config.admin = self.admin.clone().unwrap_or(config.admin);
        config.check_exposure(&config.listen)?;
        Ok(config)
    }
}

/// Serves until SIGTERM or SIGINT, or until its terminal closes. SIGHUP has the file read again.
pub(super) fn run(args: &ServeArgs) -> Result<ExitCode, CommandError> {
    let _log = log::to_stderr();
    let config = args.load()?;
    log::use_format(config.log_format);
    raise_open_files();
    setup::server_runtime()?.block_on(serve(args, config))
}

async fn serve(args: &ServeArgs, config: Config) -> Result<ExitCode, CommandError> {
    let mut signals = Signals::new().map_err(CommandError::failed)?;
    let server = Server::bind(config, setup::server_options()?)
        .await
        .map_err(CommandError::failed)?;
    tracing::info!(
        "serving the Invoke API on {}, admin on {}",
        server.address().map_err(CommandError::failed)?,
        server.admin_address().map_err(CommandError::failed)?
    );
    let reloader = server.reloader();
    let shutdown = async {
        while signals.recv().await == Request::Reload {
            reload(args, &reloader).await;
        }
    };
    server.run(shutdown).await;
    Ok(ExitCode::SUCCESS)
}

/// Reads the file again. A file with mistakes changes nothing.
async fn reload(args: &ServeArgs, reloader: &Reloader) {
    let reloaded = match args.load() {
        Ok(config) => reloader.reload(&config).await.map_err(CommandError::failed),
        Err(error) => Err(error),
    };
    if let Err(error) = reloaded {
        setup::log_mistakes(&error);
    }
}
