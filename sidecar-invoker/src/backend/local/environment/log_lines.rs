//! The lines that the invoker writes into the log of an environment, among those of the function.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::Environment;
use super::lifecycle::Lifecycle;
use super::outcome::InvocationOutcome;
use crate::backend::local::log::{LineContext, ReportFigures};
use crate::util::lock;

impl Environment {
    /// Reports the end of an invocation, and sends the response if that has waited for the log.
    pub(crate) async fn conclude(&self, outcome: InvocationOutcome) {
        let mut unreported = UnreportedOutcome(&self.lifecycle, Some(outcome));
        self.log.wait_until_forwarded().await;
        let Some(outcome) = unreported.1.take() else {
            return;
        };
        let mut lines = self.log.end_lines();
        let report = {
            let mut stats = lock(&self.stats);
            stats.refresh_memory(&self.memory);
            let now = (self.spec.context.clock)();
            stats.finish(&outcome, self.spec.config.memory_mib, now)
        };
        if let Some((owner, mib)) = self.owner.upgrade().zip(lock(&self.stats).memory_mib()) {
            owner.used_memory(mib);
        }
        self.log.append(report.as_bytes());
        lines.extend_from_slice(report.as_bytes());
        let figures = ReportFigures {
            duration: outcome.duration,
            error_type: outcome.timeline.error_type().map(str::to_owned),
        };
        if outcome.unsent.is_some() {
            outcome.send(self.log.tail());
        }
        self.forward(&lines, Some(figures)).await;
        self.log.end();
    }

    /// Writes lines of the service into the function's log, after what the function has written.
    pub(crate) async fn write(&self, service: &str) {
        self.log.wait_until_forwarded().await;
        let mut lines = self.log.end_lines();
        self.log.append(service.as_bytes());
        lines.extend_from_slice(service.as_bytes());
        self.forward(&lines, None).await;
    }

    /// Writes lines, the last of which may report the end of an invocation.
    pub(super) async fn forward(&self, lines: &[u8], report: Option<ReportFigures>) {
        let dropped = self.log.dropped.load(Ordering::Relaxed);
        let output = &self.spec.context.output;
        let context = output.wants_context().then(|| self.log.context());
        let context = context
            .flatten()
            .map(|context| LineContext { report, ..context });
        let dropped = output
            .write_lines(&self.source, lines, context.as_ref(), dropped)
            .await;
        self.log.dropped.store(dropped, Ordering::Relaxed);
    }
}

/// An outcome that returns to the lifecycle if it is dropped before it is reported.
///
/// The report runs within the runtime's request for more. A process that ends closes that
/// connection, which drops the request.
struct UnreportedOutcome<'e>(&'e Mutex<Lifecycle>, Option<InvocationOutcome>);

impl Drop for UnreportedOutcome<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.1.take() {
            lock(self.0).take_back(outcome);
        }
    }
}
