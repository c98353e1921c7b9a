//! The options of a server.

use std::path::PathBuf;
use std::time::SystemTime;

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
}
