//! `sidecar-invoker envoy-config`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use super::error::CommandError;
use super::setup::{self, ImportArgs};
use crate::config::{HostPort, Listen, PathPattern};
use crate::envoy_config::{Envoy, Filter, Gateway, Host};
use crate::lrp::Lrp;

/// The arguments of `envoy-config`.
#[derive(clap::Args)]
pub(super) struct EnvoyConfigArgs {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    import: ImportArgs,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Let Envoy check the configuration (`--mode validate`) before it is written
    #[arg(long)]
    check: bool,
    /// The Envoy for --check and --host auto [default: `envoy` on PATH]
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// The host of the filter: the native module needs Envoy 1.40, and auto asks Envoy for its version
    /// [default: that of the filter's file, or wasm]
    #[arg(long)]
    host: Option<Host>,
    /// The file of the filter, as Envoy finds it [default: $LAMBDA_MESH_FILTER, or lambda_filter.wasm or
    /// liblambda_filter.so beside this program]
    #[arg(long, value_name = "PATH")]
    filter: Option<String>,
    /// The address at which Envoy finds the invoker, HOST:PORT or unix:///PATH [default: `listen` of
    /// the file; with --lrp, 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS")]
    invoker: Option<Listen>,
    /// The address at which Envoy listens [default: 127.0.0.1:8080; with --lrp, the address in the file]
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// The address of Envoy's admin interface
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// A prefix for the paths /ping and /healthz, to which Envoy itself responds for hosts without
    /// routes of their own
    #[arg(long, value_name = "PATH", conflicts_with = "lrp", value_parser = path)]
    health_prefix: Option<String>,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The invoker.yaml with the `routes`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The lrp.yaml of the Lambda Reverse Proxy
    #[arg(long, value_name = "FILE")]
    lrp: Option<PathBuf>,
}

/// The error for a health prefix that is not a path.
#[derive(Debug, thiserror::Error)]
#[error("expected a path such as /internal")]
struct HealthPrefixError;

fn path(text: &str) -> Result<String, HealthPrefixError> {
    match text.parse::<PathPattern>() {
        Ok(_) if !text.ends_with(['/', '*']) && !text.contains('{') => Ok(text.to_owned()),
        _ => Err(HealthPrefixError),
    }
}

/// The error if the configuration cannot be written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{}: cannot be written: {error}", .file.display())]
    File { file: PathBuf, error: io::Error },
    #[error("standard output: {0}")]
    Stdout(io::Error),
}

/// Writes the configuration.
pub(super) fn run(args: EnvoyConfigArgs) -> Result<ExitCode, CommandError> {
    let needs_envoy = args.check || args.envoy.is_some() || args.host == Some(Host::Auto);
    let envoy = needs_envoy.then(|| Envoy::find(args.envoy.as_deref()));
    let find_filter = || {
        let envoy = envoy.as_ref().and_then(|found| found.as_ref().ok());
        Filter::find(args.filter, args.host, envoy).map_err(CommandError::failed)
    };
    let admin = Listen::Tcp(HostPort {
        host: args.admin.ip().to_string(),
        port: args.admin.port(),
    });
    let mut gateway = match (args.source.config, args.source.lrp) {
        (Some(file), _) => {
            let config = args.import.load(&file)?;
            setup::print_warnings(&config);
            Gateway::of_config(&config, find_filter()?).map_err(CommandError::UnusableConfig)?
        }
        (None, file) => {
            let lrp = Lrp::load(&file.unwrap_or_default())?;
            lrp.warnings().for_each(|warning| eprintln!("{warning}"));
            let invoker = Listen::Tcp(HostPort {
                host: "127.0.0.1".to_owned(),
                port: 9090,
            });
            lrp.gateway(find_filter()?, invoker, admin.clone())
        }
    };
    gateway.admin = admin;
    gateway.invoker = args.invoker.unwrap_or(gateway.invoker);
    gateway.listen = args.listen.unwrap_or(gateway.listen);
    if let Some(prefix) = args.health_prefix {
        gateway.health.prefix = prefix;
    }
    for path in gateway.health_paths_of_routes() {
        eprintln!(
            "{}: a route of `*` takes {path}, which Envoy itself answers otherwise; --health-prefix \
             gives Envoy's own answers another path",
            gateway.source
        );
    }
    let text = gateway.render().map_err(CommandError::failed)?;
    if let Some(envoy) = envoy {
        let envoy = envoy.map_err(CommandError::failed)?;
        if args.check {
            envoy.validate(&text).map_err(CommandError::failed)?;
        }
    }
    let written = match args.output {
        Some(file) => std::fs::write(&file, text).map_err(|error| WriteError::File { file, error }),
        None => io::stdout()
            .write_all(text.as_bytes())
            .map_err(WriteError::Stdout),
    };
    written.map_err(CommandError::failed)?;
    Ok(ExitCode::SUCCESS)
}
