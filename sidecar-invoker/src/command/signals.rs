//! The signals that end the program in an orderly way, and the one that has it read its file again.

use std::fs::File;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// The time after SIGHUP in which the system takes a closed terminal from its processes.
const TERMINAL_GRACE: Duration = Duration::from_millis(50);

/// SIGTERM, SIGINT (Ctrl-C) and SIGHUP.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` if the program was started with SIGHUP ignored, as by `nohup`.
    hangup: Option<Signal>,
    /// The program was started from a terminal.
    had_terminal: bool,
}

/// The request of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// The program has to end: SIGTERM, SIGINT, or SIGHUP because the terminal has closed.
    Shutdown,
    /// The program has to read its file again: SIGHUP by `kill` or a service manager.
    Reload,
}

impl Signals {
    /// Takes over the signals.
    ///
    /// # Errors
    /// Returns an error if the operating system refuses.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: match is_hangup_ignored() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
            had_terminal: has_terminal(),
        })
    }

    /// Waits for the next of the signals.
    pub(super) async fn recv(&mut self) -> Request {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => return Request::Shutdown,
            _ = self.interrupt.recv() => return Request::Shutdown,
            _ = hangup => {}
        }
        if self.had_terminal {
            sleep(TERMINAL_GRACE).await;
        }
        match self.had_terminal && !has_terminal() {
            true => Request::Shutdown,
            false => Request::Reload,
        }
    }
}

/// Returns whether the program has a terminal that is still open.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Returns whether SIGHUP is ignored. The system tells only on Linux.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_ignored(&status, SignalKind::hangup())
}

/// Returns whether a process ignores a signal, by the set `SigIgn` in its `/proc/PID/status`.
fn is_ignored(status: &str, kind: SignalKind) -> bool {
    let set = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    // Signal N has bit N - 1.
    set.is_some_and(|set| set >> (kind.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_ignored_signals_has_a_bit_for_each() {
        for (set, is_set) in [
            ("0000000000000001", true),
            ("0000000000001001", true),
            ("0000000000001000", false),
            ("0000000000000000", false),
            ("?", false),
        ] {
            let status = format!("SigBlk:\tffffffffffffffff\nSigIgn:\t{set}\n");
            assert_eq!(is_ignored(&status, SignalKind::hangup()), is_set, "{set}");
        }
        assert!(!is_ignored("", SignalKind::hangup()));
    }
}
