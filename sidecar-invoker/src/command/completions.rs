//! `sidecar-invoker completions` and `sidecar-invoker man`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::error::CommandError;

const PROGRAM: &str = "sidecar-invoker";

/// The arguments of `completions`.
#[derive(clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// The arguments of `man`.
#[derive(clap::Args)]
pub(super) struct ManArgs {
    /// The subcommand that the page is about [default: the program]
    subcommand: Option<String>,
}

/// The error for a subcommand that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("there is no subcommand `{name}`; the subcommands are {}", .known.join(", "))]
struct UnknownSubcommand {
    name: String,
    known: Vec<String>,
}

/// Prints a script that completes the arguments of `command`.
pub(super) fn complete(
    args: &CompletionsArgs,
    mut command: Command,
) -> Result<ExitCode, CommandError> {
    // The generator panics if its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, PROGRAM, &mut script);
    print(&script)
}

/// Prints a manual page of `command`, in the format of roff.
pub(super) fn man(args: &ManArgs, mut command: Command) -> Result<ExitCode, CommandError> {
    command.build();
    let page = match &args.subcommand {
        None => command,
        Some(name) => subcommand(&command, name)?,
    };
    let mut text = Vec::new();
    let man = Man::new(page).source(concat!("sidecar-invoker ", env!("CARGO_PKG_VERSION")));
    man.render(&mut text).map_err(CommandError::stdout)?;
    print(&text)
}

fn print(text: &[u8]) -> Result<ExitCode, CommandError> {
    io::stdout().write_all(text).map_err(CommandError::stdout)?;
    Ok(ExitCode::SUCCESS)
}

fn subcommand(command: &Command, name: &str) -> Result<Command, CommandError> {
    if let Some(found) = command.find_subcommand(name) {
        return Ok(found.clone());
    }
    let known = command.get_subcommands();
    let known = known.filter(|known| !known.is_hide_set());
    Err(CommandError::usage(UnknownSubcommand {
        name: name.to_owned(),
        known: known.map(|known| known.get_name().to_owned()).collect(),
    }))
}
