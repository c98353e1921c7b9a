//! The options of a server.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::SystemTime;

/// The destination of the lines that functions write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionOutput {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

impl FunctionOutput {
    pub(super) fn open(self) -> Box<dyn Write + Send> {
        match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::Stderr => Box::new(io::stderr()),
        }
    }

    /// Returns whether lines have colours: on a terminal whose user does not refuse them.
    pub(super) fn has_colours(self) -> bool {
        let is_terminal = match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        };
        is_terminal && std::env::var_os("NO_COLOR").is_none()
    }
}

/// The options of a server besides its configuration.
pub struct Options {
    /// Returns the time, for the deadlines of invocations and for trace ids.
    pub clock: fn() -> SystemTime,
    /// The program with the subcommand `guard`, which is `sidecar-invoker` itself. If set, no function
    /// outlives the invoker, even if the invoker is killed.
    pub orphan_reaper: Option<PathBuf>,
    /// Puts functions into control groups where the system allows it.
    pub cgroups: bool,
    /// The program with the subcommand `fork-server`, which is `sidecar-invoker` itself. If set,
    /// execution environments are isolated as far as the system allows it.
    pub fork_server: Option<PathBuf>,
    /// The destination of the lines that functions write.
    pub output: FunctionOutput,
    /// Returns the number of lines of the invoker's own log that were dropped, for the metrics.
    pub dropped_log_lines: fn() -> u64,
}
