//! `sidecar-invoker guard`: the orphan reaper, which the invoker starts itself.

use std::process::ExitCode;

use super::setup;
use super::signals::Signals;
use crate::backend::local::reap_orphans;

/// Ends the processes of functions once standard input ends.
///
/// A signal to all processes of this program must not end the reaper before the invoker.
pub(super) fn run() -> ExitCode {
    // A signal that was taken over once has no other effect from then on.
    if let Ok(runtime) = setup::runtime() {
        let _context = runtime.enter();
        let _ = Signals::new();
    }
    reap_orphans(std::io::stdin().lock());
    ExitCode::SUCCESS
}
