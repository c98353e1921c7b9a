//! `sidecar-invoker check`: checks whether each function could be invoked, without invoking it.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::error::CommandError;
use super::setup::{self, ConfigFile};
use crate::backend::aws::{Aws, CredentialsProblem, DryRunError};
use crate::backend::local::{LocalContext, LocalFunction, Output, UnusableCommand};
use crate::callers::Callers;
use crate::config::yaml::scalar::printable;
use crate::config::{BackendConfig, CallersConfig, Config, HostPort};
use crate::metrics::Metrics;
use crate::server::ServeError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The arguments of `check`.
#[derive(clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigFile,
}

/// Prints the table.
pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, CommandError> {
    let config = args.config.load()?;
    config.check_exposure(&config.listen)?;
    if let Some(CallersConfig::Known(known)) = &config.callers {
        Callers::new(known.clone(), SystemTime::now).map_err(CommandError::failed)?;
    }
    setup::print_warnings(&config);
    let report = setup::runtime()?.block_on(check(config, SystemTime::now));
    let report = report.map_err(CommandError::failed)?;
    print!("{report}");
    Ok(ExitCode::from(u8::from(!report.is_good())))
}

/// The results of the check, as a table with a row for each function.
#[derive(Debug)]
struct Report(Vec<Row>);

#[derive(Debug)]
struct Row {
    function: String,
    location: String,
    result: Result<(), FunctionError>,
}

impl Row {
    /// Creates a row. `location` can be printed to a terminal whatever the configuration contains.
    fn new(function: String, location: &str, result: Result<(), impl Into<FunctionError>>) -> Self {
        Self {
            function,
            location: printable(location),
            result: result.map_err(Into::into),
        }
    }
}

/// The reason why a function could not be invoked. The text has the cause and its cure.
#[derive(Debug, thiserror::Error)]
enum FunctionError {
    /// AWS refuses the function.
    #[error(transparent)]
    Aws(#[from] DryRunError),
    /// There are no credentials for functions on AWS.
    #[error(transparent)]
    Credentials(#[from] CredentialsProblem),
    /// The connection to the emulator failed.
    #[error("{0}; check that the emulator's container runs and that the URL is right")]
    Emulator(#[from] io::Error),
    /// The connection to the emulator took too long.
    #[error(
        "no connection within {CONNECT_TIMEOUT:?}; check that the emulator's container runs and that the URL is right"
    )]
    EmulatorTimeout,
    /// The command of a local function cannot be run.
    #[error("{file}:{source}")]
    Command {
        /// The configuration file.
        file: String,
        /// The line in the file, the command and the cure.
        source: UnusableCommand,
    },
}

impl Report {
    /// Returns whether each function could be invoked.
    fn is_good(&self) -> bool {
        self.0.iter().all(|row| row.result.is_ok())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEAD: [&str; 2] = ["FUNCTION", "WHERE"];
        let width = |head: &str, text: fn(&Row) -> &str| {
            let lengths = self.0.iter().map(|row| text(row).chars().count());
            lengths.chain([head.len()]).max().unwrap_or_default()
        };
        let [first, second] = HEAD;
        let one = width(first, |row| &row.function);
        let two = width(second, |row| &row.location);
        writeln!(out, "{first:one$}  {second:two$}  RESULT  WHY")?;
        for Row {
            function,
            location,
            result,
        } in &self.0
        {
            write!(out, "{function:one$}  {location:two$}  ")?;
            match result {
                Ok(()) => writeln!(out, "ok")?,
                Err(error) => writeln!(out, "fails   {}", printable(&error.to_string()))?,
            }
        }
        Ok(())
    }
}

/// Asks AWS for a dry run of each function there, looks for the commands of local functions, and connects
/// to emulators. `clock` returns the time for signatures.
///
/// # Errors
/// Returns an error if TLS cannot be set up.
async fn check(config: Config, clock: fn() -> SystemTime) -> Result<Report, ServeError> {
    let aws = Aws::new(&config, &Metrics::new(&config), clock)?;
    let (output, _) = Output::to(io::sink(), config.log_format, clock);
    let context = LocalContext::new(clock, output);
    let mut rows = JoinSet::new();
    if let Some(aws) = aws {
        aws.start(&context.tasks, &context.stop);
        for (name, function) in aws.functions() {
            let (name, function) = (name.to_string(), Arc::clone(function));
            rows.spawn(async move {
                let result = function.dry_run().await;
                Some(Row::new(name, &function.location(), result))
            });
        }
        rows.spawn(async move {
            Some(Row::new(
                "(others)".to_owned(),
                "aws",
                aws.check_unlisted().await?,
            ))
        });
    }
    for (name, function) in config.functions {
        let queue = function.queue;
        match function.backend {
            BackendConfig::Aws(_) => {}
            BackendConfig::Rie(rie) => {
                rows.spawn(async move {
                    let result = connect(&rie.address).await;
                    let location = format!("rie: http://{}", rie.address);
                    Some(Row::new(name.to_string(), &location, result))
                });
            }
            BackendConfig::Local(local) => {
                let location = format!("local: {}", local.program);
                let function =
                    LocalFunction::new(name.clone(), local, queue, Arc::default(), context.clone());
                let file = config.file.clone();
                rows.spawn(async move {
                    let result = match function.check_command() {
                        Ok(()) => function.check_module().await,
                        unusable => unusable,
                    };
                    let result = result.map_err(|source| FunctionError::Command { file, source });
                    Some(Row::new(name.to_string(), &location, result))
                });
            }
        }
    }
    let mut rows: Vec<Row> = rows.join_all().await.into_iter().flatten().collect();
    rows.sort_by(|left, right| left.function.cmp(&right.function));
    context.stop.cancel();
    Ok(Report(rows))
}

async fn connect(address: &HostPort) -> Result<(), FunctionError> {
    let address = (address.host.as_str(), address.port);
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(connected) => Ok(connected.map(drop)?),
        Err(_) => Err(FunctionError::EmulatorTimeout),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn a_command_cannot_write_to_the_terminal() {
        let text = r#"functions: { f: { local: { command: ["a\e[2J\nb ü"] } } }"#;
        let config = Config::parse("invoker.yaml", text, Path::new("/")).unwrap();
        let table = check(config, SystemTime::now).await.unwrap().to_string();
        assert_eq!(table.lines().count(), 2, "{table:?}");
        assert!(table.contains(r"local: a\u{1b}[2J\nb ü"), "{table:?}");
        assert!(!table.contains('\u{1b}'), "{table:?}");
    }
}
