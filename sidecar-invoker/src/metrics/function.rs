//! The metrics of one function.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::Outcome;
use super::lazy::{ErrorTypes, LazyHistogram};
use crate::invocation::{Step, Timeline};

/// The metrics of one function, or of all functions that are not listed.
#[derive(Default)]
pub(crate) struct FunctionMetrics {
    /// The counters of the outcomes, in the order of [`Outcome::ALL`].
    pub(super) outcomes: [Counter; Outcome::ALL.len()],
    /// Invocations without a response so far.
    pub(super) in_flight: Gauge,
    /// Invocations in the queue of the function.
    pub(super) waiting: Gauge,
    /// The part of them that waits for a turn on AWS.
    pub(super) aws_waiting: Gauge,
    /// Events in the queue of asynchronous invocations, which run, wait, or wait for a retry.
    pub(super) events: Gauge,
    /// Attempts on AWS after the first.
    pub(crate) retries: Counter,
    /// The time from the arrival of a request to the last byte of its response.
    pub(super) total: LazyHistogram,
    /// The time for which an invocation waited for an environment or a permit.
    pub(super) queue: LazyHistogram,
    /// The time from the delivery of an event to the end of the function's response.
    pub(super) invoke: LazyHistogram,
    /// The time in which an environment became ready.
    pub(super) init: LazyHistogram,
    /// The peak memory of an environment.
    pub(super) memory: LazyHistogram,
    /// Invocations that waited for the start of an environment.
    pub(super) cold_starts: Counter,
    /// Invocations that reached their time limit.
    pub(super) timeouts: Counter,
    /// Failed invocations by the type of their error.
    pub(super) errors: ErrorTypes,
}

impl FunctionMetrics {
    /// Records that an environment was ready after `duration`.
    pub(crate) fn record_start(&self, duration: Duration) {
        self.init.observe(duration.as_secs_f64());
    }

    /// Records the peak memory of an environment.
    pub(crate) fn record_memory(&self, mib: u64) {
        self.memory.observe((mib << 20) as f64);
    }

    /// Records the course of an invocation that has ended.
    pub(crate) fn record(&self, timeline: &Timeline, has_timed_out: bool) {
        self.total.observe(timeline.total().as_secs_f64());
        if let Some(queue) = timeline.between(Step::Read, Step::Assigned) {
            self.queue.observe(queue.as_secs_f64());
        }
        if let Some(invoke) = timeline.between(Step::Delivered, Step::Completed) {
            self.invoke.observe(invoke.as_secs_f64());
        }
        if timeline.cold_start().is_some() {
            self.cold_starts.inc();
        }
        if has_timed_out {
            self.timeouts.inc();
        }
        if let Some(error_type) = timeline.error_type() {
            self.errors.count(error_type);
        }
    }

    /// Returns the number of invocations in the queue.
    pub(crate) fn queued(&self) -> i64 {
        self.waiting.get()
    }

    /// Returns the number of invocations without a response.
    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Returns the number of invocations that have ended with `outcome`.
    pub(crate) fn ended_with(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome as usize).map_or(0, Counter::get)
    }

    /// Counts an invocation as in flight until the returned value is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.inc();
        InFlight {
            metrics: Arc::clone(self),
            outcome: Outcome::Abandoned,
        }
    }

    /// Counts an invocation as waiting for its turn until the returned value is dropped.
    pub(crate) fn wait(&self) -> Queued {
        Queued::in_all(vec![self.waiting.clone()])
    }

    /// Counts an invocation as waiting for its turn on AWS until the returned value is dropped.
    pub(crate) fn wait_for_aws(&self) -> Queued {
        Queued::in_all(vec![self.waiting.clone(), self.aws_waiting.clone()])
    }

    /// Counts an event as queued until the returned value is dropped.
    pub(crate) fn queue_event(&self) -> Queued {
        Queued::in_all(vec![self.events.clone()])
    }
}

/// An invocation or an event in a queue, counted until it is dropped.
pub(crate) struct Queued(Vec<Gauge>);

impl Queued {
    fn in_all(gauges: Vec<Gauge>) -> Self {
        gauges.iter().for_each(|gauge| _ = gauge.inc());
        Self(gauges)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.iter().for_each(|gauge| _ = gauge.dec());
    }
}

/// An invocation without a response so far.
pub(crate) struct InFlight {
    metrics: Arc<FunctionMetrics>,
    outcome: Outcome,
}

impl InFlight {
    /// Records the outcome of the invocation.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        if let Some(count) = self.metrics.outcomes.get(self.outcome as usize) {
            count.inc();
        }
    }
}
