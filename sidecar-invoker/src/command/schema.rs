//! `sidecar-invoker schema`: prints the JSON Schema of a configuration.

use std::io::Write;
use std::process::ExitCode;

use lambda_filter_core::config::Settings;

use super::error::CommandError;
use crate::config::reference;

/// The arguments of `schema`.
#[derive(clap::Args)]
pub(super) struct SchemaArgs {
    /// The configuration: invoker.yaml, or the keys of the filter.
    #[arg(value_enum, default_value_t = Configuration::Invoker)]
    configuration: Configuration,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Configuration {
    Invoker,
    Filter,
}

/// Prints the schema.
pub(super) fn run(args: &SchemaArgs) -> Result<ExitCode, CommandError> {
    let schema = match args.configuration {
        Configuration::Invoker => reference::schema(),
        Configuration::Filter => Settings::schema(),
    };
    std::io::stdout()
        .write_all(schema.as_bytes())
        .map_err(CommandError::stdout)?;
    Ok(ExitCode::SUCCESS)
}
