//! The command line of the invoker.

mod command;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::SystemTime;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sidecar_invoker::config::{BackendConfig, Config, HostPort, Listen};
use sidecar_invoker::{Options, Server, watch_over_groups};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A call allocates some forty times, buffers of 8 KiB among them, for which glibc's allocator takes a
/// tenth of the call's time. Without huge pages, an idle invoker has 3 MB of its own instead of 13.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What the AWS SDK logs by itself the invoker says in its own words, and once. Naming one of these
/// in `RUST_LOG` shows it.
const SDK_QUIET: &str = "aws_config=off,aws_credential_types=off,aws_runtime=off,aws_smithy_http_client=off,aws_smithy_runtime=off,aws_smithy_runtime_api=off,aws_sdk_sso=off,aws_sdk_ssooidc=off,aws_sdk_sts=off";

/// Serves the AWS Lambda Invoke API in front of AWS, emulators and local function processes.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the functions of a configuration file. Exits with 2 if the file has mistakes, with 1
    /// if it cannot be served.
    Serve {
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
    },
    /// Look whether every function of a configuration file can be called, without calling any, and
    /// print a table. Exits with 1 if one cannot, with 2 if the file has mistakes.
    Check {
        /// The configuration file, invoker.yaml.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Ask a server whether it is well, as a container's HEALTHCHECK. Exits with 1 if it is not.
    Healthcheck {
        /// What to ask; the default is the invoker itself. Envoy's is http://127.0.0.1:9901/ready
        #[arg(default_value = "http://127.0.0.1:9091/readyz")]
        url: hyper::Uri,
    },
    /// Write an Envoy configuration: from the routes of an invoker.yaml, or from an lrp.yaml.
    EnvoyConfig(command::envoy_config::Options),
    /// Run Envoy and the invoker together, in the place of the Lambda Reverse Proxy (lrp).
    Lrp(command::lrp::Options),
    /// Started by `serve` itself: ends the functions' processes if the invoker is killed.
    #[command(hide = true)]
    Guard,
}

fn main() -> ExitCode {
    match Cli::parse_from(arguments()).command {
        Command::Serve {
            config,
            listen,
            admin,
        } => serve(&config, listen, admin),
        Command::Check { config } => check(&config),
        Command::Healthcheck { url } => healthcheck(&url),
        Command::EnvoyConfig(options) => command::envoy_config::run(options),
        Command::Lrp(options) => {
            log_to_stderr();
            command::lrp::run(options)
        }
        Command::Guard => {
            watch_over_groups(std::io::stdin().lock());
            ExitCode::SUCCESS
        }
    }
}

/// The arguments, in which a program that is called `lrp` is the command `lrp`: a container that is
/// started as lrp's was needs no other arguments.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == "lrp") {
        arguments.splice(..1, ["sidecar-invoker".into(), "lrp".into()]);
    }
    arguments
}

fn log_to_stderr() {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| "info".to_owned());
    let quiet = |filter: &str| EnvFilter::try_new(format!("{SDK_QUIET},{filter}"));
    let filter = quiet(&wanted).unwrap_or_else(|_| EnvFilter::new(format!("{SDK_QUIET},info")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .init();
}

fn server_options() -> std::io::Result<Options> {
    Ok(Options {
        clock: SystemTime::now,
        guard: Some(std::env::current_exe()?),
        cgroups: true,
    })
}

fn serve(file: &Path, listen: Option<Listen>, admin: Option<HostPort>) -> ExitCode {
    log_to_stderr();
    let mut config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    config.listen = listen.unwrap_or(config.listen);
    config.admin = admin.unwrap_or(config.admin);
    let mut functions = config.functions.values();
    if config.aws.is_some() || functions.any(|one| matches!(one.backend, BackendConfig::Aws(_))) {
        raise_open_files();
    }
    let served = runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            runtime
                .block_on(run(config))
                .map_err(|error| error.to_string())
        });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A call of a function on AWS has two connections open. Most systems start a program with a limit of
/// 1,024 open files, on account of those that use `select`, and allow far more to one that asks.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::debug!("the limit of open files stays as it is: {error}");
    }
}

/// With a single core to run on (by its affinity or a container's limit), a thread beside the main
/// one would only cost what it takes to pass work between the two.
fn runtime() -> std::io::Result<Runtime> {
    let mut builder = match available_parallelism() {
        Ok(cores) if cores.get() == 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

fn check(file: &Path) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    let report = Runtime::new()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(sidecar_invoker::check(config, SystemTime::now)));
    match report {
        Ok(report) => {
            print!("{report}");
            ExitCode::from(u8::from(!report.is_good()))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn healthcheck(url: &hyper::Uri) -> ExitCode {
    let checked = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(sidecar_invoker::healthcheck::check(url)));
    match checked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::bind(config, server_options()?).await?;
    tracing::info!(
        "serving the Invoke API on {}, admin on {}",
        server.address()?,
        server.admin_address()?
    );
    server
        .run(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await;
    Ok(())
}
