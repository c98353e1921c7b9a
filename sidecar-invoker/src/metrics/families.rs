//! The metrics that exist once per function, and those of spans.
//!
//! Source of the names with `faas`: "FaaS metrics" in the semantic conventions of OpenTelemetry.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::function::FunctionMetrics;
use super::labels::{Label, Outcome};
use super::lazy::{ErrorTypes, Histograms, LazyHistogram, durations, sizes};

/// The metrics that exist once per function. A new one needs a family here, its registration, and
/// a field of [`FunctionMetrics`].
pub(super) struct Families {
    invocations: Family<[Label; 2], Counter>,
    in_flight: Family<[Label; 1], Gauge>,
    waiting: Family<[Label; 1], Gauge>,
    aws_waiting: Family<[Label; 1], Gauge>,
    events: Family<[Label; 1], Gauge>,
    retries: Family<[Label; 1], Counter>,
    total: Histograms,
    queue: Histograms,
    invoke: Histograms,
    init: Histograms,
    memory: Histograms,
    cold_starts: Family<[Label; 1], Counter>,
    timeouts: Family<[Label; 1], Counter>,
    errors: Family<[Label; 2], Counter>,
    pub(super) spans: SpanCounts,
}

/// The invocations whose spans were exported, and those whose spans were lost.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpanCounts {
    pub(crate) exported: Counter,
    pub(crate) dropped: Counter,
}

impl Default for Families {
    fn default() -> Self {
        Self {
            invocations: Family::default(),
            in_flight: Family::default(),
            waiting: Family::default(),
            aws_waiting: Family::default(),
            events: Family::default(),
            retries: Family::default(),
            total: Family::new_with_constructor(durations),
            queue: Family::new_with_constructor(durations),
            invoke: Family::new_with_constructor(durations),
            init: Family::new_with_constructor(durations),
            memory: Family::new_with_constructor(sizes),
            cold_starts: Family::default(),
            timeouts: Family::default(),
            errors: Family::default(),
            spans: SpanCounts::default(),
        }
    }
}

impl Families {
    /// Returns a registry of all families. The formats add `_total` to the names of counters.
    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register(
            "lambda_mesh_invocations",
            "Invocations by how they ended",
            self.invocations.clone(),
        );
        let gauges = [
            (
                "lambda_mesh_in_flight",
                "Invocations that have not been answered",
                &self.in_flight,
            ),
            (
                "lambda_mesh_waiting",
                "Invocations that wait for their turn",
                &self.waiting,
            ),
            (
                "lambda_mesh_aws_waiting",
                "Invocations that wait for their turn on AWS",
                &self.aws_waiting,
            ),
            (
                "lambda_mesh_events_queued",
                "Events that run, wait for their turn, or wait for a retry",
                &self.events,
            ),
        ];
        for (name, help, gauges) in gauges {
            registry.register(name, help, gauges.clone());
        }
        let counters = [
            (
                "lambda_mesh_aws_retries",
                "Further tries on AWS",
                &self.retries,
            ),
            (
                "faas_coldstarts",
                "Invocations that waited for the start of an environment",
                &self.cold_starts,
            ),
            (
                "faas_timeouts",
                "Invocations that reached their time limit",
                &self.timeouts,
            ),
        ];
        for (name, help, counters) in counters {
            registry.register(name, help, counters.clone());
        }
        let histograms = [
            (
                "lambda_mesh_invocation_duration",
                "Time from the arrival of a request to the last byte of its response",
                &self.total,
            ),
            (
                "lambda_mesh_queue_duration",
                "Time for which an invocation waited for an environment or a permit",
                &self.queue,
            ),
            (
                "faas_invoke_duration",
                "Time from the delivery of an event to the end of the function's response",
                &self.invoke,
            ),
            (
                "faas_init_duration",
                "Time in which an environment became ready",
                &self.init,
            ),
        ];
        for (name, help, histograms) in histograms {
            registry.register_with_unit(name, help, Unit::Seconds, histograms.clone());
        }
        registry.register_with_unit(
            "faas_mem_usage",
            "Peak memory of an environment, after an invocation",
            Unit::Bytes,
            self.memory.clone(),
        );
        registry.register(
            "faas_errors",
            "Failed invocations by the type of their error",
            self.errors.clone(),
        );
        registry.register(
            "lambda_mesh_spans_exported",
            "Invocations whose spans the collector took",
            self.spans.exported.clone(),
        );
        registry.register(
            "lambda_mesh_spans_dropped",
            "Invocations whose spans were lost",
            self.spans.dropped.clone(),
        );
        registry
    }

    /// Adds the series of a function, all of them zero.
    pub(super) fn function(&self, name: &str) -> Arc<FunctionMetrics> {
        let function = || ("function", name.to_owned());
        let outcome = |outcome: Outcome| {
            let labels = [function(), ("outcome", outcome.label().to_owned())];
            self.invocations.get_or_create_owned(&labels)
        };
        Arc::new(FunctionMetrics {
            outcomes: Outcome::ALL.map(outcome),
            in_flight: self.in_flight.get_or_create_owned(&[function()]),
            waiting: self.waiting.get_or_create_owned(&[function()]),
            aws_waiting: self.aws_waiting.get_or_create_owned(&[function()]),
            events: self.events.get_or_create_owned(&[function()]),
            retries: self.retries.get_or_create_owned(&[function()]),
            total: LazyHistogram::new(&self.total, name),
            queue: LazyHistogram::new(&self.queue, name),
            invoke: LazyHistogram::new(&self.invoke, name),
            init: LazyHistogram::new(&self.init, name),
            memory: LazyHistogram::new(&self.memory, name),
            cold_starts: self.cold_starts.get_or_create_owned(&[function()]),
            timeouts: self.timeouts.get_or_create_owned(&[function()]),
            errors: ErrorTypes::new(&self.errors, name),
        })
    }
}
