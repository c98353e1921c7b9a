//! The signals that end the program in an orderly way.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT (Ctrl-C) and SIGHUP (the terminal has closed).
pub(super) struct ShutdownSignals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` if the program was started with SIGHUP ignored, as by `nohup`.
    hangup: Option<Signal>,
}

impl ShutdownSignals {
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
        })
    }

    /// Waits for the next of the signals.
    pub(super) async fn recv(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hangup => {}
        }
    }
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
