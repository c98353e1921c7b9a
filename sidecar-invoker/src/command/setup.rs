//! The setup that subcommands share: the log, the tokio runtime, the options of the server.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::SystemTime;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

use super::error::CommandError;
use crate::config::{Config, ConfigError, StackName};
use crate::server;

/// The configuration file of a subcommand, and what overrides it.
#[derive(clap::Args)]
pub(super) struct ConfigFile {
    /// The configuration file, invoker.yaml
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    import: ImportArgs,
}

impl ConfigFile {
    /// Reads and checks the file.
    pub(super) fn load(&self) -> Result<Config, ConfigError> {
        self.import.load(&self.config)
    }
}

/// What overrides the configuration file in the reading of templates.
#[derive(clap::Args)]
pub(super) struct ImportArgs {
    /// The name of the stack (AWS::StackName) in imported templates [default: `import_stack_name` of
    /// the file, or the name of the template's folder]
    #[arg(long, value_name = "NAME")]
    stack_name: Option<StackName>,
}

impl ImportArgs {
    /// Reads and checks a file.
    pub(super) fn load(&self, file: &Path) -> Result<Config, ConfigError> {
        Config::load_stack(file, self.stack_name.as_ref())
    }
}

/// Prints the warnings about imported templates to standard error.
pub(super) fn print_warnings(config: &Config) {
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
}

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
