//! A limit of the rate at which a warning is logged.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::lock;

/// The least time between two warnings.
const INTERVAL: Duration = Duration::from_secs(1);

/// The time of the last warning of one kind.
pub(crate) struct WarningLimit(Mutex<Option<Instant>>);

impl WarningLimit {
    /// Creates a limit without a last warning.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Returns whether the warning is due (at most one per second) and records it.
    pub(crate) fn is_due(&self) -> bool {
        let mut last = lock(&self.0);
        let now = Instant::now();
        let is_due = last.is_none_or(|last| now.duration_since(last) >= INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_warning_is_due_once_a_second() {
        let limit = WarningLimit::new();
        assert!(limit.is_due());
        assert!(!limit.is_due());
        tokio::time::advance(INTERVAL).await;
        assert!(limit.is_due());
    }
}
