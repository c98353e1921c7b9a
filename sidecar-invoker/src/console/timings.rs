//! The parts of the time that a call took.

use std::time::Duration;

use serde_json::{Value, json};

use super::view::View;
use crate::invocation::Step;

/// Returns the parts in their order. Each begins where the one before it ends.
pub(super) fn timings(view: &View<'_>) -> Value {
    let record = view.record;
    let timeline = &record.timeline;
    let mut parts = Vec::new();
    // Envoy's clock tells when the request arrived there. A replay did not come through Envoy.
    let client_ms = view.request.attributes.time_ns as f64 / 1e6;
    let envoy = match view.is_http && record.replay_of.is_none() {
        true => (view.started_ms() - client_ms).max(0.0),
        false => 0.0,
    };
    if envoy > 0.0 {
        parts.push(json!({ "name": "envoy", "start": 0.0, "duration": envoy }));
    }
    let mut at = Duration::ZERO;
    let mut part = |name: &str, end: Option<Duration>| {
        let Some(end) = end.filter(|end| *end > at) else {
            return;
        };
        let start = envoy + milliseconds(at);
        parts.push(json!({ "name": name, "start": start, "duration": milliseconds(end - at) }));
        at = end;
    };
    let end = view.end().map(|end| end.after);
    let assigned = timeline.at(Step::Assigned);
    let delivered = timeline.at(Step::Delivered);
    part("receive", timeline.at(Step::Read));
    if let (Some(assigned), Some(cold_start)) = (assigned, timeline.cold_start()) {
        part("queue", Some(assigned.saturating_sub(cold_start)));
        part("cold_start", Some(assigned));
    } else {
        part("queue", assigned);
    }
    if let (Some(assigned), Some(signing)) = (assigned, timeline.signing()) {
        part("sign", Some(assigned + signing));
    }
    part("deliver", delivered);
    if delivered.is_some() {
        part("function", timeline.at(Step::Completed).or(end));
    }
    part("respond", end);
    Value::Array(parts)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
