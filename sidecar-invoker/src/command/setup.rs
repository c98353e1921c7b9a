//! The setup that subcommands share: the log, the tokio runtime, the options of the server.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::SystemTime;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

use super::error::CommandError;
use crate::server;

/// Silences the logs of the AWS SDK, whose errors the invoker logs once and in its own words. `RUST_LOG`
/// can name one of these crates to show its logs.
const SDK_QUIET: &str = "aws_config=off,aws_credential_types=off,aws_runtime=off,aws_smithy_http_client=off,aws_smithy_runtime=off,aws_smithy_runtime_api=off,aws_sdk_sso=off,aws_sdk_ssooidc=off,aws_sdk_sts=off";

/// Sends the log to standard error, with the filter of `RUST_LOG`.
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

/// Returns the options of a server in this program.
pub(super) fn server_options() -> Result<server::Options, CommandError> {
    Ok(server::Options {
        clock: SystemTime::now,
        orphan_reaper: Some(std::env::current_exe().map_err(CommandError::failed)?),
        cgroups: true,
        // The running program, even if another has been installed at its path.
        fork_server: Some(PathBuf::from("/proc/self/exe")),
    })
}

/// Creates the runtime of the server. On a single core (by affinity, or by the limit of a container) it
/// has no second thread, because passing work between threads would only cost time.
pub(super) fn server_runtime() -> Result<Runtime, CommandError> {
    let mut builder = match available_parallelism() {
        Ok(cores) if cores.get() == 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build().map_err(CommandError::failed)
}

/// Creates a runtime with tokio's defaults.
pub(super) fn runtime() -> Result<Runtime, CommandError> {
    Runtime::new().map_err(CommandError::failed)
}

/// Raises the limit of open files to its maximum. An invocation on AWS holds two connections. Most systems
/// start programs with a limit of 1,024 files, for the sake of programs that use `select`, but allow
/// programs to raise it.
pub(super) fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!("the limit of open files cannot be raised: {error}");
    }
}
