//! The command line, with one file for each subcommand.

mod check;
mod completions;
mod envoy;
mod envoy_config;
mod error;
mod event;
mod healthcheck;
mod invoke;
mod log;
mod lrp;
mod orphan_reaper;
mod schema;
mod serve;
mod setup;
mod signals;
mod up;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::backend::local::{FORK_SERVER, run_fork_server};

/// Serves the AWS Lambda Invoke API in front of AWS, emulators and local function processes.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run Envoy and the functions of a project, and print their URLs: the command to begin with.
    #[command(args_override_self = true)]
    Up(up::UpArgs),
    /// Serve the functions of a configuration file. Exits with 2 if the file has mistakes, and with 1
    /// if it cannot be served.
    Serve(serve::ServeArgs),
    /// Check whether each function of a configuration file could be invoked, without invoking it, and
    /// print a table. Exits with 1 if a function could not be invoked, and with 2 if the file has
    /// mistakes.
    Check(check::CheckArgs),
    /// Ask a server for its health, as the HEALTHCHECK of a container. Exits with 1 if the server is
    /// not healthy.
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Write an Envoy configuration from the routes of an invoker.yaml, or from an lrp.yaml.
    EnvoyConfig(envoy_config::EnvoyConfigArgs),
    /// Invoke a function, and print its response. Exits with 1 if the function fails or cannot be
    /// reached, and with 2 if the arguments have mistakes.
    Invoke(Box<invoke::InvokeArgs>),
    /// Print the event that `invoke` would send with the same options.
    Event(event::EventCommand),
    /// Print the JSON Schema of a configuration, for editors and other tools.
    Schema(schema::SchemaArgs),
    /// Run Envoy and the invoker together, as a replacement for the Lambda Reverse Proxy (lrp).
    Lrp(lrp::LrpArgs),
    /// Print a script with which a shell completes the arguments of this program.
    Completions(completions::CompletionsArgs),
    /// Print a manual page in the format of roff, for `man -l -`.
    Man(completions::ManArgs),
    /// End the processes of functions if the invoker is killed. `serve` and `lrp` start this command.
    #[command(name = "guard", hide = true)]
    OrphanReaper,
}

/// Runs the subcommand that `arguments` names, and prints its error. The first argument is the name of
/// the program.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = with_lrp(arguments);
    // The start of a function waits for the fork server, so nothing comes before it.
    if arguments
        .get(1)
        .is_some_and(|argument| argument == FORK_SERVER)
    {
        return run_fork_server();
    }
    let result = match Cli::parse_from(arguments).command {
        Command::Up(args) => up::run(args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::EnvoyConfig(args) => envoy_config::run(args),
        Command::Invoke(args) => invoke::run(*args),
        Command::Event(args) => event::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Lrp(args) => lrp::run(&args),
        Command::Completions(args) => completions::complete(&args, Cli::command()),
        Command::Man(args) => completions::man(&args, Cli::command()),
        Command::OrphanReaper => Ok(orphan_reaper::run()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(error.exit_code())
    })
}

/// Inserts the subcommand `lrp` for a program that is called `lrp`, so that a container with lrp's own
/// arguments works unchanged.
fn with_lrp(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == "lrp") {
        arguments.splice(..1, ["sidecar-invoker".into(), "lrp".into()]);
    }
    arguments
}
