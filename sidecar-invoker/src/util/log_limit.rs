//! A limit on log lines whose number a remote caller decides.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::lock;

/// The number of lines that may follow each other without a pause.
const BURST: u32 = 10;
/// The time after which one more line may be written.
const INTERVAL: Duration = Duration::from_secs(1);

/// The number of lines of all kinds that were left out.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Returns the number of lines of all kinds that were left out.
pub(crate) fn left_out() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// A limit on the lines of one kind: ten at once, and then one per second.
pub(crate) struct LogLimit(Mutex<State>);

struct State {
    /// The lines that may be written now.
    allowed: u32,
    /// The time from which the next line is counted.
    since: Option<Instant>,
    /// The lines that were left out since the last one was written.
    left_out: u64,
}

/// Returns whether the line of a log that follows may be written now, as [`LogLimit::admit`] does. Each use
/// of the macro is a kind of line of its own.
macro_rules! admit_line {
    () => {{
        static LIMIT: $crate::util::LogLimit = $crate::util::LogLimit::new();
        LIMIT.admit()
    }};
}

pub(crate) use admit_line;

/// The number of lines that were left out before a line. As text, it is a remark to append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOut(u64);

impl LogLimit {
    /// Creates a limit for one kind of line.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(State {
            allowed: BURST,
            since: None,
            left_out: 0,
        }))
    }

    /// Returns whether a line may be written now, and counts it if it may not.
    pub(crate) fn admit(&self) -> Option<LeftOut> {
        lock(&self.0).admit(Instant::now())
    }
}

impl State {
    fn admit(&mut self, now: Instant) -> Option<LeftOut> {
        let since = *self.since.get_or_insert(now);
        let earned = now.duration_since(since).as_secs() / INTERVAL.as_secs();
        if earned > 0 {
            self.allowed = BURST.min(
                self.allowed
                    .saturating_add(earned.try_into().unwrap_or(BURST)),
            );
            self.since = Some(now);
        }
        match self.allowed.checked_sub(1) {
            Some(rest) => {
                self.allowed = rest;
                Some(LeftOut(std::mem::take(&mut self.left_out)))
            }
            None => {
                self.left_out += 1;
                LEFT_OUT.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => out.write_str(" (one more line like this was left out)"),
            count => write!(out, " ({count} more lines like this were left out)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_line_per_second() {
        let limit = LogLimit::new();
        let start = Instant::now();
        let written = |milliseconds: u64| {
            let at = start + Duration::from_millis(milliseconds);
            lock(&limit.0).admit(at)
        };
        let burst = (0..1_000).filter_map(|_| written(0)).count();
        assert_eq!(burst, 10);
        assert_eq!(written(999), None);
        assert_eq!(written(1_000), Some(LeftOut(991)));
        let later = (1_000..11_000).filter_map(written).count();
        assert_eq!(later, 9);
        let quiet = (0..100).filter_map(|_| written(3_600_000)).count();
        assert_eq!(quiet, 10, "a pause earns no more than one burst");
    }

    #[test]
    fn the_lines_that_were_left_out_are_counted_in_the_next() {
        assert_eq!(LeftOut(0).to_string(), "");
        let remark = " (7 more lines like this were left out)";
        assert_eq!(LeftOut(7).to_string(), remark);
    }
}
