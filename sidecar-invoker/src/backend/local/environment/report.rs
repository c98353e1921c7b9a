//! The lines that Lambda itself writes into a function's log.
//!
//! Source: "Log event formats" (plain text) in the AWS Lambda developer guide. Since August 2025
//! the initialisation is billed too.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::failure::Failure;
use super::outcome::InvocationOutcome;
use crate::backend::local::process::memory::Memory;
use crate::invocation::RequestId;
use crate::util::time::timestamp;

/// The age at which a memory figure is read again. Reading one costs more than a short function.
const MEMORY_INTERVAL: Duration = Duration::from_millis(100);

/// Returns the line before the function gets its event.
pub(crate) fn start(id: &RequestId, version: &str) -> String {
    format!("START RequestId: {id} Version: {version}\n")
}

/// Returns the line for an environment whose initialisation failed.
pub(crate) fn init_failed(duration: Duration, failure: &Failure) -> String {
    let milliseconds = duration.as_secs_f64() * 1_000.0;
    let status = match failure {
        Failure::TimedOut(_) => "timeout".to_owned(),
        failure => format!("error\tError Type: {}", failure.error_type()),
    };
    format!("INIT_REPORT Init Duration: {milliseconds:.2} ms\tPhase: init\tStatus: {status}\n")
}

/// Figures about an environment for its next report.
#[derive(Debug, Default)]
pub(crate) struct EnvironmentStats {
    /// The duration of the initialisation, until it is reported.
    pub(crate) init: Option<Duration>,
    /// The peak memory in MiB, and the time at which it was read.
    memory: Option<(Instant, u64)>,
}

impl EnvironmentStats {
    /// Reads the peak memory, unless the last figure is recent.
    pub(crate) fn refresh_memory(&mut self, memory: &Memory) {
        let is_recent = |&(read_at, _): &(Instant, u64)| read_at.elapsed() < MEMORY_INTERVAL;
        if self.memory.as_ref().is_some_and(is_recent) {
            return;
        }
        let peak = memory.peak_bytes();
        self.memory = peak.map(|peak| (Instant::now(), peak.div_ceil(1 << 20)));
    }

    /// Returns the peak memory in MiB, as it was read last.
    pub(crate) fn memory_mib(&self) -> Option<u64> {
        self.memory.map(|(_, peak)| peak)
    }

    /// Returns the lines at the end of an invocation: its failure if there is one, `END` and
    /// `REPORT`.
    pub(crate) fn finish(
        &mut self,
        outcome: &InvocationOutcome,
        memory_mib: u32,
        now: SystemTime,
    ) -> String {
        let InvocationOutcome {
            request_id: id,
            duration,
            failure,
            ..
        } = outcome;
        let init = self.init.take();
        let mut lines = match failure {
            None => String::new(),
            Some(failure @ Failure::TimedOut(_)) => {
                format!("{} {id} {failure}\n\n", timestamp(now))
            }
            Some(failure) => format!("RequestId: {id} Error: {failure}\n"),
        };
        let billed = (*duration + init.unwrap_or_default())
            .as_micros()
            .div_ceil(1_000);
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        // Writing to a string cannot fail.
        let _ = write!(
            lines,
            "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: {:.2} ms\tBilled Duration: {billed} ms\tMemory Size: {memory_mib} MB\t",
            milliseconds(*duration)
        );
        if let Some((_, peak)) = self.memory {
            let _ = write!(lines, "Max Memory Used: {peak} MB\t");
        }
        if let Some(init) = init {
            let _ = write!(lines, "Init Duration: {:.2} ms\t", milliseconds(init));
        }
        match failure {
            None => {}
            Some(Failure::TimedOut(_)) => lines.push_str("Status: timeout\t"),
            Some(failure) => {
                let _ = write!(
                    lines,
                    "Status: error\tError Type: {}\t",
                    failure.error_type()
                );
            }
        }
        lines.push('\n');
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::invocation::Timeline;

    fn outcome(failure: Option<Failure>) -> InvocationOutcome {
        InvocationOutcome {
            request_id: RequestId::parse("11111111-2222-4333-8444-555555555555").unwrap(),
            duration: Duration::from_micros(12_345),
            failure,
            unsent: None,
            timeline: Arc::new(Timeline::begin(false)),
        }
    }

    #[test]
    fn only_the_first_report_includes_and_bills_the_initialisation() {
        let mut stats = EnvironmentStats {
            init: Some(Duration::from_micros(100_700)),
            memory: Some((Instant::now(), 40)),
        };
        let id = "11111111-2222-4333-8444-555555555555";
        assert_eq!(
            stats.finish(&outcome(None), 128, UNIX_EPOCH),
            format!(
                "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: 12.35 ms\tBilled Duration: 114 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tInit Duration: 100.70 ms\t\n"
            )
        );
        assert_eq!(
            stats.finish(&outcome(None), 128, UNIX_EPOCH),
            format!(
                "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: 12.35 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\t\n"
            )
        );
    }

    #[test]
    fn a_failure_stands_before_the_report_and_in_it() {
        let mut stats = EnvironmentStats::default();
        let timed_out = outcome(Some(Failure::TimedOut(Duration::from_secs(3))));
        let lines = stats.finish(&timed_out, 128, UNIX_EPOCH);
        let id = "11111111-2222-4333-8444-555555555555";
        let first =
            format!("1970-01-01T00:00:00.000Z {id} Task timed out after 3.00 seconds\n\nEND ");
        assert!(lines.starts_with(&first), "{lines}");
        assert!(lines.ends_with("\tStatus: timeout\t\n"), "{lines}");
        let lines = stats.finish(&outcome(Some(Failure::Truncated)), 128, UNIX_EPOCH);
        assert!(
            lines.ends_with("\tStatus: error\tError Type: Runtime.TruncatedResponse\t\n"),
            "{lines}"
        );
    }
}
