//! The traces of invocations: what the invoker reads of a caller's trace, and the spans that it exports.
//!
//! Sources: the trace semantic conventions for FaaS, and "OpenTelemetry Protocol" (OTLP/HTTP), of OpenTelemetry.

mod encode;
mod exporter;
mod settings;
mod span;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use lambda_api::trace::{Trace, TraceContext, is_valid_state, new_id};

pub(crate) use exporter::Exporter;
pub(crate) use settings::{Sampler, Settings};
pub(crate) use span::{Ended, Span};

use crate::invoke_api::headers as header;

/// Continues the traces of callers.
#[derive(Clone)]
pub(crate) struct Tracer {
    clock: fn() -> SystemTime,
    /// `None` if no spans are exported.
    spans: Option<Arc<Spans>>,
}

/// The means to begin and to export spans.
struct Spans {
    sampler: Sampler,
    queue: exporter::Queue,
}

impl Tracer {
    /// Creates a tracer that exports no spans.
    pub(crate) fn without_spans(clock: fn() -> SystemTime) -> Self {
        Self { clock, spans: None }
    }

    /// Creates a tracer whose spans go to `exporter`.
    pub(crate) fn new(clock: fn() -> SystemTime, sampler: Sampler, exporter: &Exporter) -> Self {
        let queue = exporter.queue();
        Self {
            clock,
            spans: Some(Arc::new(Spans { sampler, queue })),
        }
    }

    /// Reads the trace of a request, and leaves it in the one header by which AWS and functions know it. The span
    /// of the invocation begins if it is recorded. It is then the parent in the header.
    pub(crate) fn begin(&self, headers: &mut HeaderMap) -> Option<Span> {
        let xray = headers.remove(header::TRACE_ID);
        let is_valid =
            |value: &HeaderValue| TraceContext::from_traceparent(value.as_bytes()).is_some();
        let parent = only_value(headers, &header::TRACEPARENT).filter(is_valid);
        let state = state(headers);
        headers.remove(header::TRACEPARENT);
        headers.remove(header::TRACESTATE);
        let xray = xray.as_ref().map(HeaderValue::as_bytes);
        let trace = Trace::read(xray, parent.as_ref().map(HeaderValue::as_bytes));
        let (value, span) = self.span(trace, parent.as_ref().and(state));
        if let Some(value) = value {
            headers.insert(header::TRACE_ID, value);
        }
        span
    }

    /// Begins the span of an attempt to run an event that was queued with the trace `xray`, which then names that
    /// span.
    pub(crate) fn begin_attempt(&self, xray: &mut HeaderValue) -> Option<Span> {
        let received = xray.clone();
        let trace = Trace::read(Some(received.as_bytes()), None);
        let (value, span) = self.span(trace, None);
        *xray = value.unwrap_or(received);
        span
    }

    fn span(
        &self,
        trace: Option<Trace<'_>>,
        state: Option<String>,
    ) -> (Option<HeaderValue>, Option<Span>) {
        let Some(spans) = &self.spans else {
            return (trace.and_then(|trace| value(trace.xray())), None);
        };
        let trace = trace.unwrap_or_else(|| new_trace((self.clock)(), None));
        let context = trace.context;
        if !spans.sampler.is_sampled(&context) {
            return (value(&trace.xray_within(None, false)), None);
        }
        let span = Span {
            trace_id: context.trace_id,
            parent: context.span_id,
            id: span::new_id(),
            state: state.unwrap_or_default(),
        };
        (value(&trace.xray_within(Some(span.id), true)), Some(span))
    }

    /// Exports the span of an invocation that has ended.
    pub(crate) fn end(&self, span: Span, ended: Ended) {
        if let Some(spans) = &self.spans {
            spans.queue.push(span.finish(ended, (self.clock)()));
        }
    }
}

/// Returns a new trace that begins at `now`.
pub(crate) fn new_trace(now: SystemTime, is_sampled: Option<bool>) -> Trace<'static> {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // The seconds since 1970 fit into 32 bits until 2106.
    let id = new_id(seconds as u32, fastrand::u128(..));
    Trace::root(id, is_sampled)
}

/// Returns the value of a header that comes once.
fn only_value(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.clone())
}

/// Returns the `tracestate`, whose lines are one list.
fn state(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::TRACESTATE).iter();
    let lines: Vec<_> = lines.map(HeaderValue::as_bytes).collect();
    let state = lines.join(&b","[..]);
    String::from_utf8(state)
        .ok()
        .filter(|state| is_valid_state(state.as_bytes()))
}

fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
