//! `sidecar-invoker envoy-config`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use super::error::CommandError;
use crate::config::{Config, HostPort, Listen, PathPattern};
use crate::envoy_config::{Envoy, Gateway, find_filter};
use crate::lrp::Lrp;

/// The options of `envoy-config`.
#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    source: Source,
    /// Where to write the configuration, instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Have Envoy check the configuration (`--mode validate`) before it is written.
    #[arg(long)]
    check: bool,
    /// The Envoy that checks, instead of the `envoy` on PATH.
    #[arg(long, value_name = "PATH", requires = "check")]
    envoy: Option<PathBuf>,
    /// The filter's file as Envoy will find it, instead of $LAMBDA_MESH_FILTER or
    /// lambda_filter.wasm beside this program.
    #[arg(long, value_name = "PATH")]
    filter: Option<String>,
    /// Where Envoy finds the invoker, HOST:PORT or unix:///PATH, instead of the file's `listen`
    /// (127.0.0.1:9090 with --lrp).
    #[arg(long, value_name = "ADDRESS")]
    invoker: Option<Listen>,
    /// Where Envoy listens, instead of 127.0.0.1:8080 (the file's own address with --lrp).
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Where Envoy's admin interface listens.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// A path that stands before /ping and /healthz, which Envoy itself answers for hosts without
    /// routes of their own.
    #[arg(long, value_name = "PATH", conflicts_with = "lrp", value_parser = path)]
    health_prefix: Option<String>,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// Make it from the `routes` of this file, invoker.yaml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Make it from this lrp.yaml, of the Lambda Reverse Proxy.
    #[arg(long, value_name = "FILE")]
    lrp: Option<PathBuf>,
}

fn path(text: &str) -> Result<String, String> {
    match text.parse::<PathPattern>() {
        Ok(_) if !text.ends_with(['/', '*']) && !text.contains('{') => Ok(text.to_owned()),
        _ => Err("expected a path such as /internal".to_owned()),
    }
}

/// Writes the configuration.
pub(super) fn run(options: Options) -> Result<ExitCode, CommandError> {
    let filter = options.filter.map_or_else(find_filter, Ok);
    let admin = Listen::Tcp(HostPort {
        host: options.admin.ip().to_string(),
        port: options.admin.port(),
    });
    let mut gateway = match (options.source.config, options.source.lrp) {
        (Some(file), _) => {
            let config = Config::load(&file)?;
            let filter = filter.map_err(CommandError::failed)?;
            Gateway::of_config(&config, filter).map_err(CommandError::UnusableConfig)?
        }
        (None, file) => {
            let lrp = Lrp::load(&file.unwrap_or_default())?;
            let invoker = Listen::Tcp(HostPort {
                host: "127.0.0.1".to_owned(),
                port: 9090,
            });
            let filter = filter.map_err(CommandError::failed)?;
            lrp.gateway(filter, invoker, admin.clone())
        }
    };
    gateway.admin = admin;
    gateway.invoker = options.invoker.unwrap_or(gateway.invoker);
    gateway.listen = options.listen.unwrap_or(gateway.listen);
    if let Some(prefix) = options.health_prefix {
        gateway.health.prefix = prefix;
    }
    let text = gateway.render().map_err(CommandError::failed)?;
    if options.check {
        let envoy = Envoy::find(options.envoy.as_deref()).map_err(CommandError::failed)?;
        envoy.validate(&text).map_err(CommandError::failed)?;
    }
    let written = match options.output {
        Some(file) => std::fs::write(&file, text)
            .map_err(|error| format!("{}: cannot be written: {error}", file.display())),
        None => std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| format!("standard output: {error}")),
    };
    written.map_err(CommandError::failed)?;
    Ok(ExitCode::SUCCESS)
}
