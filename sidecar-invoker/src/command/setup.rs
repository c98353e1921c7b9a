//! What subcommands set up before their work: the log, the tokio runtime, the server's options.

use std::io::IsTerminal;
use std::thread::available_parallelism;
use std::time::SystemTime;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

use super::error::CommandError;
use crate::server;

/// What the AWS SDK logs by itself the invoker says in its own words, and once. Naming one of these
/// in `RUST_LOG` shows it.
const SDK_QUIET: &str = "aws_config=off,aws_credential_types=off,aws_runtime=off,aws_smithy_http_client=off,aws_smithy_runtime=off,aws_smithy_runtime_api=off,aws_sdk_sso=off,aws_sdk_ssooidc=off,aws_sdk_sts=off";

/// Starts to write the log to standard error.
pub(super) fn log_to_stderr() {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| "info".to_owned());
    let quiet = |filter: &str| EnvFilter::try_new(format!("{SDK_QUIET},{filter}"));
    let filter = quiet(&wanted).unwrap_or_else(|_| EnvFilter::new(format!("{SDK_QUIET},info")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// The options of a server that this program runs.
pub(super) fn server_options() -> Result<server::Options, CommandError> {
    Ok(server::Options {
        clock: SystemTime::now,
        orphan_reaper: Some(std::env::current_exe().map_err(CommandError::failed)?),
        cgroups: true,
    })
}

/// A runtime for the server. With a single core to run on (by its affinity or a container's limit),
/// a thread beside the main one would only cost what it takes to pass work between the two.
pub(super) fn server_runtime() -> Result<Runtime, CommandError> {
    let mut builder = match available_parallelism() {
        Ok(cores) if cores.get() == 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build().map_err(CommandError::failed)
}

/// A runtime of the usual kind.
pub(super) fn runtime() -> Result<Runtime, CommandError> {
    Runtime::new().map_err(CommandError::failed)
}

/// Raises the limit of open files as far as it goes. A call of a function on AWS has two connections
/// open. Most systems start a program with a limit of 1,024 open files, on account of those that use
/// `select`, and allow far more to one that asks.
pub(super) fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::debug!("the limit of open files stays as it is: {error}");
    }
}
