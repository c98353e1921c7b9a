//! The metrics of the invoker, in the text formats of Prometheus and OpenMetrics.
//!
//! A function gets its series when the configuration is read, so that counting an invocation is an atomic
//! addition and looks nothing up by label.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use prometheus_client::encoding::{prometheus_text, text as openmetrics_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::config::Config;
use crate::util::lock;
use lambda_api::FunctionName;

/// The label of all functions that are not listed. Callers choose the names of these functions, and
/// each label costs memory.
const OTHERS: &str = "(others)";

/// A label: its name and its value.
type Label = (&'static str, String);

/// The way in which an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The function responded, or its event was accepted.
    Success,
    /// The function responded with an error. Emulators do not mark errors; theirs count as success.
    FunctionError,
    /// A concurrency limit or a full queue: status 429.
    Throttled,
    /// No response in time: status 504.
    TimedOut,
    /// A mistake in the request: any other status 4xx.
    Refused,
    /// Any other failure: any other status 5xx.
    Failed,
    /// The caller left before the response.
    Abandoned,
}

impl Outcome {
    const ALL: [Self; 7] = [
        Self::Success,
        Self::FunctionError,
        Self::Throttled,
        Self::TimedOut,
        Self::Refused,
        Self::Failed,
        Self::Abandoned,
    ];

    /// Returns the outcome of an invocation with this response.
    pub(crate) fn of(status: StatusCode, is_function_error: bool) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Self::Throttled,
            StatusCode::GATEWAY_TIMEOUT => Self::TimedOut,
            status if status.is_client_error() => Self::Refused,
            status if status.is_server_error() => Self::Failed,
            _ if is_function_error => Self::FunctionError,
            _ => Self::Success,
        }
    }

    /// Returns the name of the outcome.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::FunctionError => "function_error",
            Self::Throttled => "throttled",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The metrics of one function, or of all functions that are not listed.
#[derive(Default)]
pub(crate) struct FunctionMetrics {
    /// The counters of the outcomes, in the order of [`Outcome::ALL`].
    outcomes: [Counter; Outcome::ALL.len()],
    /// Invocations without a response so far.
    in_flight: Gauge,
    /// Invocations in the queue of the function.
    waiting: Gauge,
    /// The part of them that waits for a turn on AWS.
    aws_waiting: Gauge,
    /// Events in the queue of asynchronous invocations, which run, wait, or wait for a retry.
    events: Gauge,
    /// Attempts on AWS after the first.
    pub(crate) retries: Counter,
}

impl FunctionMetrics {
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

/// The metrics that exist once per function. A new one needs a family here, its registration, and a
/// field of [`FunctionMetrics`].
#[derive(Default)]
struct Families {
    invocations: Family<[Label; 2], Counter>,
    in_flight: Family<[Label; 1], Gauge>,
    waiting: Family<[Label; 1], Gauge>,
    aws_waiting: Family<[Label; 1], Gauge>,
    events: Family<[Label; 1], Gauge>,
    retries: Family<[Label; 1], Counter>,
}

impl Families {
    /// Returns a registry of all families. The formats add `_total` to the names of counters.
    fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register(
            "lambda_mesh_invocations",
            "Invocations by how they ended",
            self.invocations.clone(),
        );
        registry.register(
            "lambda_mesh_in_flight",
            "Invocations that have not been answered",
            self.in_flight.clone(),
        );
        registry.register(
            "lambda_mesh_waiting",
            "Invocations that wait for their turn",
            self.waiting.clone(),
        );
        registry.register(
            "lambda_mesh_aws_waiting",
            "Invocations that wait for their turn on AWS",
            self.aws_waiting.clone(),
        );
        registry.register(
            "lambda_mesh_events_queued",
            "Events that run, wait for their turn, or wait for a retry",
            self.events.clone(),
        );
        registry.register(
            "lambda_mesh_aws_retries",
            "Further tries on AWS",
            self.retries.clone(),
        );
        registry
    }

    /// Adds the series of a function, all of them zero.
    fn function(&self, name: &str) -> Arc<FunctionMetrics> {
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
        })
    }
}

/// The format of an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Version 0.0.4 of Prometheus's text format.
    Prometheus,
    /// Version 1.0.0 of OpenMetrics, as text.
    OpenMetrics,
}

impl Format {
    /// Returns OpenMetrics for a client that accepts it, whatever the weight.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter();
        let mut ranges = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|range| range.split(';').next());
        match ranges.any(|range| range.trim() == "application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// Returns the media type of the format.
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        })
    }
}

/// The metrics of all functions.
pub(crate) struct Metrics {
    registry: Registry,
    families: Families,
    listed: Mutex<BTreeMap<FunctionName, Arc<FunctionMetrics>>>,
    others: Arc<FunctionMetrics>,
}

impl Metrics {
    /// Creates the metrics of the functions in `config`, all of them zero.
    pub(crate) fn new(config: &Config) -> Self {
        let families = Families::default();
        let metrics = Self {
            registry: families.registry(),
            others: families.function(OTHERS),
            families,
            listed: Mutex::default(),
        };
        metrics.list(config);
        metrics
    }

    /// Adds the series of the functions in `config` that have none, all of them zero. No series is ever
    /// removed, because a counter that begins anew counts as a restart.
    pub(crate) fn list(&self, config: &Config) {
        let mut listed = lock(&self.listed);
        for name in config.functions.keys() {
            let new = || self.families.function(name.as_str());
            listed.entry(name.clone()).or_insert_with(new);
        }
    }

    /// Returns the metrics of a function.
    pub(crate) fn of(&self, name: &FunctionName) -> Arc<FunctionMetrics> {
        let listed = lock(&self.listed);
        Arc::clone(listed.get(name).unwrap_or(&self.others))
    }

    /// Returns the metrics of the functions that are not listed.
    pub(crate) fn others(&self) -> &Arc<FunctionMetrics> {
        &self.others
    }

    /// Returns all metrics as text. `expiries` has the roles whose credentials expire, with the time
    /// of the expiry in seconds since 1970.
    pub(crate) fn encode(&self, format: Format, expiries: &[(String, u64)]) -> String {
        // A registry of its own: the credentials that exist can differ from one scrape to the next.
        let mut credentials = Registry::default();
        let family = Family::<[Label; 1], Gauge>::default();
        for (role, expiry) in expiries {
            let gauge = family.get_or_create_owned(&[("role", role.clone())]);
            gauge.set(i64::try_from(*expiry).unwrap_or(i64::MAX));
        }
        credentials.register_with_unit(
            "lambda_mesh_aws_credentials_expiry",
            "When the credentials expire, in seconds since 1970",
            Unit::Seconds,
            family,
        );
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = match format {
            Format::Prometheus => prometheus_text::encode(&mut text, &self.registry)
                .and_then(|()| prometheus_text::encode(&mut text, &credentials)),
            Format::OpenMetrics => openmetrics_text::encode_registry(&mut text, &self.registry)
                .and_then(|()| openmetrics_text::encode(&mut text, &credentials)),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn metrics() -> Metrics {
        let config = Config::parse("x", "functions: { f: { rie: 'http://x' } }", Path::new("/"));
        Metrics::new(&config.unwrap())
    }

    #[track_caller]
    fn assert_lines(text: &str, lines: &[&str]) {
        for line in lines {
            let is_there = text.lines().any(|found| found == *line);
            assert!(is_there, "{line} is not in\n{text}");
        }
    }

    #[test]
    fn outcomes_are_counted_in_their_own_order() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }

    #[test]
    fn invocations_are_counted_by_function_and_outcome() {
        let metrics = metrics();
        let function = metrics.of(&"f".parse().unwrap());
        function.begin().end(Outcome::of(StatusCode::OK, false));
        function.begin().end(Outcome::of(StatusCode::OK, true));
        drop(function.begin());
        let in_flight = metrics.of(&"g".parse().unwrap()).begin();
        let text = metrics.encode(
            Format::Prometheus,
            &[("arn:aws:iam::1:role/r".to_owned(), 7)],
        );
        let lines = [
            "# HELP lambda_mesh_invocations_total Invocations by how they ended.",
            "# TYPE lambda_mesh_invocations_total counter",
            "lambda_mesh_invocations_total{function=\"f\",outcome=\"success\"} 1",
            "lambda_mesh_invocations_total{function=\"f\",outcome=\"function_error\"} 1",
            "lambda_mesh_invocations_total{function=\"f\",outcome=\"abandoned\"} 1",
            "lambda_mesh_in_flight{function=\"f\"} 0",
            "lambda_mesh_in_flight{function=\"(others)\"} 1",
            "# HELP lambda_mesh_aws_credentials_expiry_seconds When the credentials expire, in seconds since 1970.",
            "# TYPE lambda_mesh_aws_credentials_expiry_seconds gauge",
            "lambda_mesh_aws_credentials_expiry_seconds{role=\"arn:aws:iam::1:role/r\"} 7",
        ];
        assert_lines(&text, &lines);
        in_flight.end(Outcome::of(StatusCode::BAD_GATEWAY, false));
        let text = metrics.encode(Format::Prometheus, &[]);
        let failed = "lambda_mesh_invocations_total{function=\"(others)\",outcome=\"failed\"} 1";
        assert_lines(&text, &[failed]);
    }

    #[test]
    fn openmetrics_has_the_same_series_and_an_end() {
        let metrics = metrics();
        let expiries = [("a\"b".to_owned(), 7)];
        let text = metrics.encode(Format::OpenMetrics, &expiries);
        let lines = [
            "# TYPE lambda_mesh_invocations counter",
            "# UNIT lambda_mesh_aws_credentials_expiry_seconds seconds",
            "lambda_mesh_aws_credentials_expiry_seconds{role=\"a\\\"b\"} 7",
        ];
        assert_lines(&text, &lines);
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        let samples = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let mut lines: Vec<String> = lines.map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let prometheus = metrics.encode(Format::Prometheus, &expiries);
        assert_eq!(samples(&text), samples(&prometheus));
    }

    #[test]
    fn openmetrics_is_for_clients_that_accept_it() {
        let accepted = |value: &'static str| {
            let headers = [(ACCEPT, HeaderValue::from_static(value))];
            Format::accepted(&HeaderMap::from_iter(headers))
        };
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Prometheus);
        assert_eq!(accepted("*/*"), Format::Prometheus);
        assert_eq!(accepted("text/plain;version=0.0.4"), Format::Prometheus);
        let prometheus_3 =
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3";
        assert_eq!(accepted(prometheus_3), Format::OpenMetrics);
    }
}
