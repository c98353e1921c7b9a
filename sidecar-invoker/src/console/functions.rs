//! The states of functions as JSON.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use lambda_api::FunctionName;
use serde_json::{Value, json};

use crate::metrics::{EnvironmentState, FunctionState, Metrics, Outcome};
use crate::recorder::{Record, Recorder};

/// The age of the oldest invocations whose duration counts.
const WINDOW: Duration = Duration::from_secs(60);

/// Returns the states of functions, with the figures of their invocations.
pub(super) fn functions(
    states: &[FunctionState],
    metrics: &Metrics,
    recorder: &Recorder,
    now: SystemTime,
) -> Value {
    let (records, _) = recorder.all();
    let mut durations: HashMap<&FunctionName, Vec<f64>> = HashMap::new();
    for record in &records {
        if let Some(duration) = duration_ms(record, now) {
            let function = record.address.function.name();
            durations.entry(function).or_default().push(duration);
        }
    }
    let function = |state: &FunctionState| {
        let counted = metrics.of(&state.name);
        let ended = |outcome: &Outcome| counted.ended_with(*outcome);
        let total: u64 = Outcome::ALL.iter().map(ended).sum();
        let successes = counted.ended_with(Outcome::Success);
        let mut durations = durations.remove(&state.name).unwrap_or_default();
        durations.sort_by(f64::total_cmp);
        json!({
            "name": state.name.as_str(),
            "backend": state.backend,
            "description": match state.backend {
                "local" => "processes on this machine",
                "rie" => "Runtime Interface Emulator",
                _ => "AWS Lambda",
            },
            "concurrency": state.concurrency,
            "queued": counted.queued(),
            "in_flight": counted.in_flight(),
            "environments": state.environments.iter().map(environment).collect::<Vec<_>>(),
            "invocations": total,
            "errors": total - successes,
            "latency": { "p50": quantile(&durations, 0.5), "p99": quantile(&durations, 0.99) },
        })
    };
    Value::Array(states.iter().map(function).collect())
}

/// Returns whether two states differ in more than the ages of environments.
pub(super) fn differ(left: &Value, right: &Value) -> bool {
    let without_ages = |states: &Value| {
        let mut states = states.clone();
        let functions = states.as_array_mut().into_iter().flatten();
        let environments = functions.filter_map(|function| function.get_mut("environments"));
        let environments = environments.filter_map(Value::as_array_mut).flatten();
        for environment in environments.filter_map(Value::as_object_mut) {
            environment.remove("age");
        }
        states
    };
    without_ages(left) != without_ages(right)
}

fn environment(state: &EnvironmentState) -> Value {
    json!({
        "id": state.id,
        "state": state.phase.name(),
        "memory_mib": state.memory_mib,
        "age": state.age.as_secs(),
        "version": state.version,
    })
}

/// Returns the duration of an invocation that ended a short time ago, in milliseconds.
fn duration_ms(record: &Record, now: SystemTime) -> Option<f64> {
    let duration = record.end()?.after;
    let ended = record.started + duration;
    let is_recent = now.duration_since(ended).unwrap_or_default() <= WINDOW;
    is_recent.then_some(duration.as_secs_f64() * 1_000.0)
}

/// Returns the smallest value that is not below this part of all values, which are sorted.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between zero and the number of values"
    )]
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), Some(100.0));
        assert_eq!(quantile(&values, 0.99), Some(198.0));
    }
}
