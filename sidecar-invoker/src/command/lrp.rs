//! `sidecar-invoker lrp`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use sidecar_invoker::envoy_config::{Envoy, find_filter};
use sidecar_invoker::lrp::{Ended, Lrp, run as run_both};
use tokio::signal::unix::{SignalKind, signal};

use super::super::server_options;

/// Its options.
#[derive(clap::Args)]
pub struct Options {
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

/// Runs it. Exits with 2 if the file has mistakes, with Envoy's own status if that ends, with 1 if
/// there is another obstacle.
pub fn run(options: Options) -> ExitCode {
    let lrp = match Lrp::load(&options.file) {
        Ok(lrp) => lrp,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match serve(&lrp, options) {
        Ok(Ended::Asked) => ExitCode::SUCCESS,
        Ok(Ended::Envoy(code)) => {
            eprintln!("Envoy has ended, with exit status {code}; what it said stands above");
            // It was not asked to end: that is no success, whatever it says.
            ExitCode::from(code.max(1))
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn serve(lrp: &Lrp, options: Options) -> Result<Ended, String> {
    let envoy = Envoy::find(options.envoy.as_deref())?;
    let filter = options.filter.map_or_else(find_filter, Ok)?;
    let text = |error: std::io::Error| error.to_string();
    let runtime = tokio::runtime::Runtime::new().map_err(text)?;
    runtime.block_on(async {
        let mut signals = [
            signal(SignalKind::hangup()).map_err(text)?,
            signal(SignalKind::interrupt()).map_err(text)?,
            signal(SignalKind::quit()).map_err(text)?,
            signal(SignalKind::terminate()).map_err(text)?,
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
        let options = (server_options().map_err(text)?, options.arguments);
        run_both(lrp, (&envoy, filter), &options.1, options.0, ready, end)
            .await
            .map_err(|error| error.to_string())
    })
}
