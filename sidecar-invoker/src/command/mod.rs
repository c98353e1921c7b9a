//! The command line: every subcommand has a file of its own.

mod check;
mod envoy_config;
mod error;
mod guard;
mod healthcheck;
mod lrp;
mod schema;
mod serve;
mod setup;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Serve(serve::Options),
    /// Look whether every function of a configuration file can be called, without calling any, and
    /// print a table. Exits with 1 if one cannot, with 2 if the file has mistakes.
    Check(check::Options),
    /// Ask a server whether it is well, as a container's HEALTHCHECK. Exits with 1 if it is not.
    Healthcheck(healthcheck::Options),
    /// Write an Envoy configuration: from the routes of an invoker.yaml, or from an lrp.yaml.
    EnvoyConfig(envoy_config::Options),
    /// Print the JSON Schema of a configuration, for editors and other tools.
    Schema(schema::Options),
    /// Run Envoy and the invoker together, in the place of the Lambda Reverse Proxy (lrp).
    Lrp(lrp::Options),
    /// Started by `serve` itself: ends the functions' processes if the invoker is killed.
    #[command(hide = true)]
    Guard,
}

/// Runs the subcommand that `arguments` names, the program's own name first, and prints its error.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let result = match Cli::parse_from(with_lrp(arguments)).command {
        Command::Serve(options) => serve::run(options),
        Command::Check(options) => check::run(&options),
        Command::Healthcheck(options) => healthcheck::run(&options),
        Command::EnvoyConfig(options) => envoy_config::run(options),
        Command::Schema(options) => schema::run(&options),
        Command::Lrp(options) => lrp::run(options),
        Command::Guard => Ok(guard::run()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(error.exit_code())
    })
}

/// The arguments, in which a program that is called `lrp` is the command `lrp`: a container that is
/// started as lrp's was needs no other arguments.
fn with_lrp(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == "lrp") {
        arguments.splice(..1, ["sidecar-invoker".into(), "lrp".into()]);
    }
    arguments
}
