//! `sidecar-invoker check`: looks whether every function of a configuration can be called, without calling any.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::error::CommandError;
use super::setup;
use crate::backend::aws::Aws;
use crate::backend::local::{LocalContext, LocalFunction, Output};
use crate::config::yaml::scalar::printable;
use crate::config::{BackendConfig, Config, HostPort};
use crate::metrics::Metrics;

const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// The options of `check`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The configuration file, invoker.yaml.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Prints the table.
pub(super) fn run(options: &Options) -> Result<ExitCode, CommandError> {
    let config = Config::load(&options.config)?;
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    let report = setup::runtime()?.block_on(check(config, SystemTime::now));
    let report = report.map_err(CommandError::failed)?;
    print!("{report}");
    Ok(ExitCode::from(u8::from(!report.is_good())))
}

/// What was found: a table with a line for each function.
#[derive(Debug)]
struct Report(Vec<Row>);

#[derive(Debug)]
struct Row {
    function: String,
    place: String,
    result: Result<(), String>,
}

impl Report {
    /// Whether all is well.
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
        let two = width(second, |row| &row.place);
        writeln!(out, "{first:one$}  {second:two$}  RESULT  WHY")?;
        for Row {
            function,
            place,
            result,
        } in &self.0
        {
            match result {
                Ok(()) => writeln!(out, "{function:one$}  {place:two$}  ok")?,
                Err(why) => writeln!(out, "{function:one$}  {place:two$}  fails   {why}")?,
            }
        }
        Ok(())
    }
}

/// Asks AWS for a dry run of each function there, looks for the commands of local ones, and connects
/// to emulators. `clock` tells the time, for signatures.
///
/// # Errors
/// TLS cannot be set up.
async fn check(config: Config, clock: fn() -> SystemTime) -> Result<Report, String> {
    let aws = Aws::new(&config, &Metrics::new(&config), clock)
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let (output, _) = Output::to(std::io::sink(), config.log_format, clock);
    let context = LocalContext::new(clock, output);
    let mut rows = JoinSet::new();
    if let Some(aws) = aws {
        aws.start(&context.tasks, &context.stop);
        for (name, function) in aws.functions() {
            let (name, function) = (name.to_string(), Arc::clone(function));
            rows.spawn(async move {
                Some(Row {
                    function: name,
                    place: function.place(),
                    result: function.dry_run().await,
                })
            });
        }
        rows.spawn(async move {
            Some(Row {
                function: "(others)".to_owned(),
                place: "aws".to_owned(),
                result: aws.others().await?,
            })
        });
    }
    for (name, function) in config.functions {
        let queue = function.queue;
        match function.backend {
            BackendConfig::Aws(_) => {}
            BackendConfig::Rie(rie) => {
                rows.spawn(async move {
                    Some(Row {
                        function: name.to_string(),
                        place: format!("rie: http://{}", rie.address),
                        result: connects(&rie.address).await,
                    })
                });
            }
            BackendConfig::Local(local) => {
                let place = format!("local: {}", local.program);
                let function = LocalFunction::new(name.clone(), local, queue, context.clone());
                let result = function.check_command();
                let result = result.map_err(|missing| format!("{}:{missing}", config.file));
                rows.spawn(async move {
                    Some(Row {
                        function: name.to_string(),
                        place,
                        result,
                    })
                });
            }
        }
    }
    let mut rows: Vec<Row> = rows.join_all().await.into_iter().flatten().collect();
    for row in &mut rows {
        row.place = printable(&row.place);
        row.result = std::mem::replace(&mut row.result, Ok(())).map_err(|why| printable(&why));
    }
    rows.sort_by(|one, other| one.function.cmp(&other.function));
    context.stop.cancel();
    Ok(Report(rows))
}

async fn connects(address: &HostPort) -> Result<(), String> {
    let target = (address.host.as_str(), address.port);
    let why = match timeout(CONNECT_LIMIT, TcpStream::connect(target)).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no connection within {CONNECT_LIMIT:?}"),
    };
    Err(format!(
        "{why}; see that the emulator's container runs and that the URL is right"
    ))
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
