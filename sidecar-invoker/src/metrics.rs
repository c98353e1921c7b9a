//! What has been counted, in Prometheus's text format.
//!
//! Source: "Text-based format" of the Prometheus documentation.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;

use crate::config::Config;
use lambda_api::FunctionName;

/// The label of functions that are not listed: callers choose their names, and each label costs
/// memory.
const OTHERS: &str = "(others)";

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The function answered, or took the event.
    Success,
    /// The function answered with an error. Emulators do not tell; theirs count as success.
    FunctionError,
    /// There was no room: 429.
    Throttled,
    /// There was no answer in time: 504.
    TimedOut,
    /// The request was at fault: any other 4xx.
    Refused,
    /// Something else was: any other 5xx.
    Failed,
    /// The caller left before the answer.
    Abandoned,
}

const OUTCOMES: [(Outcome, &str); 7] = [
    (Outcome::Success, "success"),
    (Outcome::FunctionError, "function_error"),
    (Outcome::Throttled, "throttled"),
    (Outcome::TimedOut, "timed_out"),
    (Outcome::Refused, "refused"),
    (Outcome::Failed, "failed"),
    (Outcome::Abandoned, "abandoned"),
];

impl Outcome {
    /// The outcome that a response tells.
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
}

/// What is counted of one function, or of all that are not listed.
#[derive(Default)]
pub(crate) struct Counts {
    outcomes: [AtomicU64; OUTCOMES.len()],
    /// Invocations that have not been answered.
    pub(crate) in_flight: AtomicU64,
    /// Those of them that wait for their turn on AWS.
    pub(crate) waiting: AtomicU64,
    /// Further tries on AWS.
    pub(crate) retries: AtomicU64,
}

impl Counts {
    /// Counts an invocation until the result is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Running {
            counts: Arc::clone(self),
            outcome: Outcome::Abandoned,
        }
    }
}

/// An invocation that has not been answered.
pub(crate) struct Running {
    counts: Arc<Counts>,
    outcome: Outcome,
}

impl Running {
    /// It has been answered.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.counts.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = self.counts.outcomes.get(self.outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A metric of each function: its name, its type, what it is, and where it stands.
type Family = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Counts) -> &AtomicU64,
);

/// What is counted, by function.
pub(crate) struct Metrics {
    listed: BTreeMap<FunctionName, Arc<Counts>>,
    others: Arc<Counts>,
}

impl Metrics {
    pub(crate) fn new(config: &Config) -> Self {
        let names = config.functions.keys().cloned();
        Self {
            listed: names.map(|name| (name, Arc::default())).collect(),
            others: Arc::default(),
        }
    }

    /// Where a function is counted.
    pub(crate) fn of(&self, name: &FunctionName) -> &Arc<Counts> {
        self.listed.get(name).unwrap_or(&self.others)
    }

    /// Where the functions are counted that are not listed.
    pub(crate) fn others(&self) -> &Arc<Counts> {
        &self.others
    }

    /// Everything, with what the sources of credentials say: an identity, and when its credentials
    /// expire in seconds since 1970.
    pub(crate) fn text(&self, expiries: &[(&str, u64)]) -> String {
        let mut text = String::new();
        text.push_str("# HELP lambda_mesh_invocations_total Invocations by how they ended.\n# TYPE lambda_mesh_invocations_total counter\n");
        for (function, counts) in self.all() {
            for ((_, outcome), count) in OUTCOMES.iter().zip(&counts.outcomes) {
                let count = count.load(Ordering::Relaxed);
                line(
                    &mut text,
                    "lambda_mesh_invocations_total",
                    &[("function", &function), ("outcome", outcome)],
                    count,
                );
            }
        }
        let families: [Family; 3] = [
            (
                "lambda_mesh_in_flight",
                "gauge",
                "Invocations that have not been answered.",
                |counts| &counts.in_flight,
            ),
            (
                "lambda_mesh_aws_waiting",
                "gauge",
                "Invocations that wait for their turn on AWS.",
                |counts| &counts.waiting,
            ),
            (
                "lambda_mesh_aws_retries_total",
                "counter",
                "Further tries on AWS.",
                |counts| &counts.retries,
            ),
        ];
        for (name, kind, help, count) in families {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            for (function, counts) in self.all() {
                line(
                    &mut text,
                    name,
                    &[("function", &function)],
                    count(counts).load(Ordering::Relaxed),
                );
            }
        }
        let name = "lambda_mesh_aws_credentials_expiry_seconds";
        text.push_str(&format!("# HELP {name} When the credentials expire, in seconds since 1970.\n# TYPE {name} gauge\n"));
        for (role, expiry) in expiries {
            line(&mut text, name, &[("role", role)], *expiry);
        }
        text
    }

    fn all(&self) -> impl Iterator<Item = (String, &Counts)> {
        let listed = self
            .listed
            .iter()
            .map(|(name, counts)| (name.to_string(), &**counts));
        listed.chain([(OTHERS.to_owned(), &*self.others)])
    }
}

fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: u64) {
    let labels: Vec<String> = labels
        .iter()
        .map(|(label, value)| {
            format!(
                "{label}=\"{}\"",
                value.replace('\\', "\\\\").replace('"', "\\\"")
            )
        })
        .collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_outcome_is_counted_under_its_name() {
        for (index, (outcome, _)) in OUTCOMES.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }

    #[test]
    fn what_happens_is_counted() {
        let config = Config::parse("x", "functions: { f: { rie: 'http://x' } }", Path::new("/"));
        let metrics = Metrics::new(&config.unwrap());
        let counts = metrics.of(&"f".parse().unwrap());
        counts.begin().end(Outcome::of(StatusCode::OK, false));
        counts.begin().end(Outcome::of(StatusCode::OK, true));
        drop(counts.begin());
        let running = metrics.of(&"g".parse().unwrap()).begin();
        let text = metrics.text(&[("arn:aws:iam::1:role/r", 7)]);
        for line in [
            "lambda_mesh_invocations_total{function=\"f\",outcome=\"success\"} 1",
            "lambda_mesh_invocations_total{function=\"f\",outcome=\"function_error\"} 1",
            "lambda_mesh_invocations_total{function=\"f\",outcome=\"abandoned\"} 1",
            "lambda_mesh_in_flight{function=\"f\"} 0",
            "lambda_mesh_in_flight{function=\"(others)\"} 1",
            "lambda_mesh_aws_credentials_expiry_seconds{role=\"arn:aws:iam::1:role/r\"} 7",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
        running.end(Outcome::of(StatusCode::BAD_GATEWAY, false));
        assert!(
            metrics
                .text(&[])
                .contains("{function=\"(others)\",outcome=\"failed\"} 1")
        );
    }
}
