//! `sidecar-invoker guard`: the orphan reaper, which the invoker starts itself.

use std::process::ExitCode;

use crate::backend::local::reap_orphans;

/// Ends the processes of functions once standard input ends.
pub(super) fn run() -> ExitCode {
    reap_orphans(std::io::stdin().lock());
    ExitCode::SUCCESS
}
