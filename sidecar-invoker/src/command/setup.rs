//! The setup that subcommands share: the log, the tokio runtime, the options of the server.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::SystemTime;

use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::debug_fn;

use super::error::CommandError;
use crate::config::{Config, ConfigError, ImportOverrides, StackName};
use crate::server::{self, FunctionOutput};
use lambda_api::log_line::single_line_of;

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

/// Silences the logs of the AWS SDK, whose errors the invoker logs once and in its own words. `RUST_LOG`
/// can name one of these crates to show its logs.
const SDK_QUIET: &str = "aws_config=off,aws_credential_types=off,aws_runtime=off,aws_smithy_http_client=off,aws_smithy_runtime=off,aws_smithy_runtime_api=off,aws_sdk_sso=off,aws_sdk_ssooidc=off,aws_sdk_sts=off";

/// The length in bytes at which a message of the log is cut. Foreign texts in it are cut earlier.
const MAX_MESSAGE_BYTES: usize = 4096;

/// Sends the log to standard error, with the filter of `RUST_LOG`.
pub(super) fn log_to_stderr() {
    log_to_stderr_from("info");
}

/// Sends the log to standard error, with the filter of `RUST_LOG`, or else from `level` on.
pub(super) fn log_to_stderr_from(level: &str) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| level.to_owned());
    let quiet = |filter: &str| EnvFilter::try_new(format!("{SDK_QUIET},{filter}"));
    let filter = quiet(&wanted).unwrap_or_else(|_| EnvFilter::new(format!("{SDK_QUIET},{level}")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .fmt_fields(single_line_fields())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// Returns the format of an event's message and fields. Whatever text is in them, an event is one line of a
/// limited length.
fn single_line_fields() -> impl for<'w> FormatFields<'w> {
    debug_fn(|writer, field, value| {
        let text = single_line_of(&format!("{value:?}"), MAX_MESSAGE_BYTES);
        match field.name() {
            "message" => write!(writer, "{text}"),
            name => write!(writer, "{name}={text}"),
        }
    })
    .delimited(" ")
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::util::lock;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_text_makes_a_second_line_of_the_log() {
        let written = Written::default();
        let sink = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(single_line_fields())
            .with_writer(move || sink.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        let hostile = "a\n WARN forged\r\u{1b}[2J\u{2028}";
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(function = %hostile, "b{hostile}");
            tracing::warn!(text = hostile, "{}", "x".repeat(1_000_000));
        });
        let text = String::from_utf8(lock(&written.0).clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let escaped = r"a\n WARN forged\r\u{1b}[2J\u{2028}";
        assert_eq!(lines[0], format!(" WARN b{escaped} function={escaped}"));
        assert_eq!(
            (lines.len(), lines[1].len() < 4_300),
            (2, true),
            "{}",
            lines[1].len()
        );
    }
}
