//! The setup that subcommands share: the configuration, the tokio runtime, the options of the server.

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::SystemTime;

use tokio::runtime::{Builder, Runtime};

use super::error::CommandError;
use super::log;
use crate::config::{Config, ConfigError, ImportOverrides, StackName};
use crate::server::{self, FunctionOutput};

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

/// Options for templates, which override the configuration file.
#[derive(clap::Args)]
pub(super) struct ImportArgs {
    /// The name of the stack (AWS::StackName) in imported templates [default: `import_stack_name` of
    /// the file, or the name of the template's folder]
    #[arg(long, value_name = "NAME")]
    stack_name: Option<StackName>,
    /// The value of a parameter of imported templates; may be given several times [default:
    /// `import_parameters` of the file, or the template's own]
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
}

/// The error for a parameter without a value.
#[derive(Debug, thiserror::Error)]
#[error("expected NAME=VALUE such as Stage=dev")]
struct ParameterError;

fn parameter(text: &str) -> Result<(String, String), ParameterError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(ParameterError),
    }
}

impl ImportArgs {
    /// Returns the values that were given.
    pub(super) fn overrides(&self) -> ImportOverrides {
        ImportOverrides {
            stack_name: self.stack_name.clone(),
            parameters: self.parameters.iter().cloned().collect(),
        }
    }

    /// Reads and checks a file.
    pub(super) fn load(&self, file: &Path) -> Result<Config, ConfigError> {
        Config::load_with(file, &self.overrides())
    }
}

/// Prints the warnings about imported templates to standard error.
pub(super) fn print_warnings(config: &Config) {
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
}

/// Logs why a file that was to be read again was not taken over.
pub(super) fn log_mistakes(error: &CommandError) {
    for line in error.to_string().lines() {
        tracing::error!("{line}");
    }
    tracing::error!("the file was not taken over; the functions are as before");
}

/// Returns the options of a server in this program.
pub(super) fn server_options() -> Result<server::Options, CommandError> {
    Ok(server::Options {
        clock: SystemTime::now,
        orphan_reaper: Some(std::env::current_exe().map_err(CommandError::failed)?),
        cgroups: true,
        // The running program, even if another has been installed at its path.
        fork_server: Some(PathBuf::from("/proc/self/exe")),
        output: FunctionOutput::Stdout,
        dropped_log_lines: log::dropped_lines,
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
