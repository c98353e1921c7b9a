//! `sidecar-invoker guard`, which the invoker starts itself.

use std::process::ExitCode;

use crate::backend::local::watch_over_groups;

/// Ends the functions' processes once standard input ends.
pub(super) fn run() -> ExitCode {
    watch_over_groups(std::io::stdin().lock());
    ExitCode::SUCCESS
}
