//! The metrics of the invoker, in the text formats of Prometheus and OpenMetrics.
//!
//! A function gets its series when the configuration is read, so that counting an invocation is an atomic
//! addition and looks nothing up by label.

mod families;
mod function;
mod labels;
mod lazy;
mod states;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use prometheus_client::encoding::{prometheus_text, text as openmetrics_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use self::families::Families;
pub(crate) use self::families::SpanCounts;
pub(crate) use self::function::{FunctionMetrics, InFlight, Queued};
pub(crate) use self::labels::Outcome;
use self::labels::{Label, OTHERS};
pub(crate) use self::states::{CredentialTimes, EnvironmentPhase, EnvironmentState, FunctionState};
use crate::config::Config;
use crate::util::lock;
use lambda_api::FunctionName;

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

/// The figures that are read at the time of a scrape.
#[derive(Default)]
pub(crate) struct Scrape {
    /// The times of the AWS credentials.
    pub(crate) credentials: Vec<CredentialTimes>,
    /// The functions whose environments are known.
    pub(crate) states: Vec<FunctionState>,
    /// The logs, with the number of their lines that were dropped.
    pub(crate) dropped_lines: [(&'static str, u64); 2],
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

    /// Returns the counters of exported spans.
    pub(crate) fn spans(&self) -> SpanCounts {
        self.families.spans.clone()
    }

    /// Returns the metrics of the functions that are not listed.
    pub(crate) fn others(&self) -> &Arc<FunctionMetrics> {
        &self.others
    }

    /// Returns all metrics as text.
    pub(crate) fn encode(&self, format: Format, scrape: &Scrape) -> String {
        // A registry of its own: credentials and functions can differ from one scrape to the next.
        let mut present = Registry::default();
        let Scrape {
            credentials,
            states,
            dropped_lines,
        } = scrape;
        let dropped = Family::<[Label; 1], Counter>::default();
        for (log, lines) in dropped_lines {
            let counter = dropped.get_or_create_owned(&[("log", (*log).to_owned())]);
            counter.inc_by(*lines);
        }
        present.register(
            "lambda_mesh_log_lines_dropped",
            "Lines of logs that were left out, because they were too many or nothing read them",
            dropped,
        );
        let loaded = by_role(credentials, |times| times.loaded);
        present.register_with_unit(
            "lambda_mesh_aws_credentials_loaded_timestamp",
            "When the credentials were last loaded, in seconds since 1970",
            Unit::Seconds,
            loaded,
        );
        let expiry = by_role(credentials, |times| times.expiry);
        present.register_with_unit(
            "lambda_mesh_aws_credentials_expiry",
            "When the credentials expire, in seconds since 1970",
            Unit::Seconds,
            expiry,
        );
        let environments = Family::<[Label; 2], Gauge>::default();
        for (state, phase) in states
            .iter()
            .flat_map(|state| EnvironmentPhase::ALL.map(|phase| (state, phase)))
        {
            let function = ("function", state.name.to_string());
            let labels = [function, ("state", phase.name().to_owned())];
            let count = i64::try_from(state.count(phase)).unwrap_or(i64::MAX);
            environments.get_or_create_owned(&labels).set(count);
        }
        present.register(
            "lambda_mesh_environments",
            "Execution environments by their state",
            environments,
        );
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = match format {
            Format::Prometheus => prometheus_text::encode(&mut text, &self.registry)
                .and_then(|()| prometheus_text::encode(&mut text, &present)),
            Format::OpenMetrics => openmetrics_text::encode_registry(&mut text, &self.registry)
                .and_then(|()| openmetrics_text::encode(&mut text, &present)),
        };
        text
    }
}

/// Returns the gauges of a time of credentials.
fn by_role(
    credentials: &[CredentialTimes],
    time: impl Fn(&CredentialTimes) -> Option<u64>,
) -> Family<[Label; 1], Gauge> {
    let family = Family::<[Label; 1], Gauge>::default();
    for times in credentials {
        if let Some(seconds) = time(times) {
            let role = times.role.clone().unwrap_or_default();
            let gauge = family.get_or_create_owned(&[("role", role)]);
            gauge.set(i64::try_from(seconds).unwrap_or(i64::MAX));
        }
    }
    family
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hyper::StatusCode;

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
        let scrape = Scrape {
            credentials: vec![
                CredentialTimes {
                    role: Some("arn:aws:iam::1:role/r".to_owned()),
                    loaded: Some(5),
                    expiry: Some(7),
                },
                CredentialTimes {
                    role: None,
                    loaded: Some(6),
                    expiry: None,
                },
            ],
            ..Scrape::default()
        };
        let text = metrics.encode(Format::Prometheus, &scrape);
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
            "# TYPE lambda_mesh_aws_credentials_loaded_timestamp_seconds gauge",
            "lambda_mesh_aws_credentials_loaded_timestamp_seconds{role=\"arn:aws:iam::1:role/r\"} 5",
            "lambda_mesh_aws_credentials_loaded_timestamp_seconds{role=\"\"} 6",
        ];
        assert_lines(&text, &lines);
        assert!(!text.contains("expiry_seconds{role=\"\"}"), "{text}");
        in_flight.end(Outcome::of(StatusCode::BAD_GATEWAY, false));
        let text = metrics.encode(Format::Prometheus, &Scrape::default());
        let failed = "lambda_mesh_invocations_total{function=\"(others)\",outcome=\"failed\"} 1";
        assert_lines(&text, &[failed]);
    }

    #[test]
    fn openmetrics_has_the_same_series_and_an_end() {
        let metrics = metrics();
        let scrape = Scrape {
            credentials: vec![CredentialTimes {
                role: Some("a\"b".to_owned()),
                loaded: None,
                expiry: Some(7),
            }],
            ..Scrape::default()
        };
        let text = metrics.encode(Format::OpenMetrics, &scrape);
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
        let prometheus = metrics.encode(Format::Prometheus, &scrape);
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
