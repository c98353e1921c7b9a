//! Spans in the messages of OTLP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, SpanFlags, Status};

use super::span::{EndedSpan, new_id};
use crate::invocation::Step;
use crate::metrics::Outcome;

/// The flags of a span in a sampled trace, with a parent in this process.
const SAMPLED: u32 = 1 | SpanFlags::ContextHasIsRemoteMask as u32;

/// Returns a request with the spans of these invocations.
pub(super) fn request(
    resource: &[(String, String)],
    ended: &[EndedSpan],
) -> ExportTraceServiceRequest {
    let attributes = resource.iter();
    let attributes = attributes.map(|(name, value)| attribute(name, text(value)));
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: attributes.collect(),
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "lambda-mesh".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans: ended.iter().flat_map(spans).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}

/// Returns the span of an invocation, and the spans of its parts.
fn spans(span: &EndedSpan) -> Vec<Span> {
    let mut spans = vec![Span {
        name: format!("invoke {}", span.ended.function),
        kind: match span.ended.is_attempt {
            true => SpanKind::Consumer,
            false => SpanKind::Server,
        } as i32,
        parent_span_id: span
            .parent
            .map(u64::to_be_bytes)
            .map_or_else(Vec::new, Vec::from),
        span_id: span.id.to_be_bytes().into(),
        flags: SAMPLED
            | span
                .parent
                .map_or(0, |_| SpanFlags::ContextIsRemoteMask as u32),
        attributes: attributes(span),
        status: status(span),
        ..part(span, Duration::ZERO, duration(span))
    }];
    let timeline = &span.ended.timeline;
    let begin = timeline.at(Step::Read).unwrap_or_default();
    if let Some(assigned) = timeline.at(Step::Assigned) {
        // The environment may have been started before the caller came.
        let init = timeline.cold_start();
        let init = init.map(|duration| assigned.saturating_sub(duration).max(begin));
        spans.push(named("queue", part(span, begin, init.unwrap_or(assigned))));
        spans.extend(init.map(|start| named("init", part(span, start, assigned))));
    }
    if let Some(delivered) = timeline.at(Step::Delivered) {
        let end = timeline
            .at(Step::Completed)
            .unwrap_or_else(|| duration(span));
        match timeline.signing() {
            None => spans.push(named("invoke", part(span, delivered, end))),
            Some(signing) => {
                let start = delivered.saturating_sub(signing);
                spans.push(named("sign", part(span, start, delivered)));
                let kind = SpanKind::Client as i32;
                let upstream = part(span, delivered, end);
                spans.push(named("upstream", Span { kind, ..upstream }));
            }
        }
    }
    spans
}

/// Returns a span within that of an invocation, from and to times after its start.
fn part(span: &EndedSpan, from: Duration, to: Duration) -> Span {
    Span {
        trace_id: span.trace_id.to_be_bytes().into(),
        span_id: new_id().to_be_bytes().into(),
        trace_state: span.state.clone(),
        parent_span_id: span.id.to_be_bytes().into(),
        flags: SAMPLED,
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: nanoseconds(span.start, from),
        end_time_unix_nano: nanoseconds(span.start, to.max(from)),
        ..Span::default()
    }
}

fn named(name: &str, span: Span) -> Span {
    Span {
        name: name.to_owned(),
        ..span
    }
}

fn duration(span: &EndedSpan) -> Duration {
    span.end.duration_since(span.start).unwrap_or_default()
}

fn attributes(span: &EndedSpan) -> Vec<KeyValue> {
    let ended = &span.ended;
    let backend = ended.timeline.backend();
    let mut attributes = vec![
        attribute("faas.invoked_name", text(ended.function.as_str())),
        attribute(
            "faas.trigger",
            text(if ended.is_attempt { "other" } else { "http" }),
        ),
        attribute("lambda_mesh.outcome", text(ended.outcome.label())),
    ];
    attributes.extend(backend.map(|backend| attribute("faas.invoked_provider", text(backend))));
    if backend == Some("local") && ended.timeline.at(Step::Assigned).is_some() {
        let is_cold = ended.timeline.cold_start().is_some();
        attributes.push(attribute("faas.coldstart", Value::BoolValue(is_cold)));
    }
    let request_id = ended.request_id.as_deref();
    attributes.extend(request_id.map(|id| attribute("faas.invocation_id", text(id))));
    if ended.outcome != Outcome::Success {
        let error_type = ended.timeline.error_type().unwrap_or(ended.outcome.label());
        attributes.push(attribute("error.type", text(error_type)));
    }
    attributes
}

/// Returns the status of a span. A caller's mistakes are no error of a server.
fn status(span: &EndedSpan) -> Option<Status> {
    match span.ended.outcome {
        Outcome::Success | Outcome::Refused | Outcome::Abandoned => None,
        Outcome::FunctionError | Outcome::Throttled | Outcome::TimedOut | Outcome::Failed => {
            Some(Status {
                message: String::new(),
                code: StatusCode::Error as i32,
            })
        }
    }
}

fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

/// Returns a time in nanoseconds since 1970.
fn nanoseconds(start: SystemTime, after: Duration) -> u64 {
    let since = start.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from((since + after).as_nanos()).unwrap_or(u64::MAX)
}
