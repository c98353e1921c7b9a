//! Invocations as JSON: the summary for the list, and the detail.

use std::cell::LazyCell;

use base64::prelude::{BASE64_STANDARD, Engine};
use lambda_api::event_stream::LOG_RESULT;
use lambda_filter_core::DecodedResponse;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::copy;
use super::masking::{MaskedNames, Secrets};
use super::message::{self, Limit};
use super::timings::timings;
use super::view::View;
use crate::invocation::CallLog;
use crate::invoke_api::headers as header;
use crate::metrics::Outcome;
use crate::recorder::Record;

/// The longest part of a log that AWS sends with a response.
const LOG_TAIL_BYTES: usize = 4_096;

/// Returns the summary of a record as JSON. `backend` is the kind of its function's backend.
pub(super) fn summary(record: &Record, backend: Option<&str>, names: &MaskedNames) -> String {
    let view = View::of(record);
    // Most invocations have no text in which secrets have to be found.
    let secrets = LazyCell::new(|| secrets(&view, names, false));
    let summary = Summary {
        view: &view,
        backend,
        masked: &|text| secrets.text(text),
    };
    // It has no type that is not JSON.
    serde_json::to_string(&summary).unwrap_or_default()
}

/// The summary of an invocation.
struct Summary<'v> {
    view: &'v View<'v>,
    backend: Option<&'v str>,
    masked: &'v dyn Fn(&str) -> String,
}

impl Serialize for Summary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (view, record) = (self.view, self.view.record);
        let http = |name: &str| view.request.header(name).filter(|_| view.has_request());
        let status = match (&view.decoded, view.is_http) {
            (Some(decoded), true) => Some(decoded.response.status),
            _ => view.status().map(|status| status.as_u16()),
        };
        let version = view.upstream_header(&header::EXECUTED_VERSION);
        let version = version.unwrap_or_else(|| {
            let qualifier = record.address.qualifier.as_ref();
            qualifier
                .map_or("$LATEST", |qualifier| qualifier.as_str())
                .to_owned()
        });
        let end = view.end();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &record.id)?;
        map.serialize_entry("request_id", &view.request_id())?;
        map.serialize_entry("function", record.address.function.name().as_str())?;
        map.serialize_entry("version", &version)?;
        map.serialize_entry("backend", &self.backend)?;
        map.serialize_entry("started", &view.started_ms())?;
        map.serialize_entry("state", if end.is_some() { "done" } else { "running" })?;
        map.serialize_entry("method", &http(":method"))?;
        map.serialize_entry("target", &http(":path").map(|path| (self.masked)(&path)))?;
        let format = view.is_http.then(|| view.request.format());
        map.serialize_entry("format", &format)?;
        map.serialize_entry("status", &status)?;
        map.serialize_entry("outcome", &view.outcome().map(Outcome::label))?;
        let cause = view.why().map(|why| (self.masked)(&why.sentence));
        map.serialize_entry("cause", &cause)?;
        let duration = end.map(|end| end.after.as_secs_f64() * 1_000.0);
        map.serialize_entry("duration", &duration)?;
        let is_cold = record.timeline.cold_start().is_some();
        map.serialize_entry("cold_start", &is_cold)?;
        map.serialize_entry("streamed", &view.is_streamed())?;
        map.serialize_entry("is_attempt", &record.is_attempt)?;
        map.serialize_entry("invocation_type", record.invocation_type.as_str())?;
        map.serialize_entry("replay_of", &record.replay_of.map(|of| of.id))?;
        map.end()
    }
}

/// Returns the secrets in everything that is known of an invocation.
pub(super) fn secrets<'n>(
    view: &View<'_>,
    names: &'n MaskedNames,
    is_revealed: bool,
) -> Secrets<'n> {
    let mut secrets = Secrets::new(names, is_revealed);
    for (name, value) in &view.request.headers {
        secrets.learn_header(name, &String::from_utf8_lossy(value));
    }
    if let Some(decoded) = &view.decoded {
        for (name, value) in &decoded.response.headers {
            secrets.learn_header(name, value);
        }
    }
    if let Some(event) = view.event() {
        secrets.learn_json(event);
    }
    if let Some(payload) = view.payload() {
        secrets.learn_json(&payload.bytes);
    }
    secrets
}

/// Returns the detail of a record.
pub(super) fn detail(
    record: &Record,
    backend: Option<&str>,
    names: &MaskedNames,
    is_revealed: bool,
    limit: Limit,
) -> Value {
    let view = View::of(record);
    let secrets = secrets(&view, names, is_revealed);
    let summary = Summary {
        view: &view,
        backend,
        masked: &|text| secrets.text(text),
    };
    let payload = view.payload();
    let event = view.event().cloned().unwrap_or_default();
    let request_body = view.request.body(&event).filter(|_| view.has_request());
    let function_error = match &payload {
        Some(payload) => payload
            .complete
            .as_ref()
            .and_then(|complete| member(complete, lambda_api::event_stream::ERROR_CODE)),
        None => None,
    };
    let function_error = function_error.or_else(|| view.upstream_header(&header::FUNCTION_ERROR));
    let decoded = view.decoded.as_ref().filter(|_| view.is_http);
    let fields = json!({
        "http_request": view.has_request().then(|| request(&view, request_body.as_deref(), limit, &secrets)),
        "event": message::body(&event, event.len(), limit, &secrets),
        "payload": payload.as_ref().map(|payload| {
            message::body(&payload.bytes, payload.size, limit, &secrets)
        }),
        "function_error": function_error,
        "http_response": decoded.map(|decoded| response(decoded, limit, &secrets)),
        "log": log(&view, payload.as_ref().and_then(|payload| payload.complete.as_deref()), &secrets),
        "timings": timings(&view),
        "why": view.why().map(|why| why.json(|text| secrets.text(text))),
        "is_masked": !secrets.is_revealed(),
        "copy": {
            "curl": request_body.and_then(|body| copy::curl(&view.request, &body)).map(|text| secrets.text(&text)),
            "command": copy::command(record, &event).map(|text| secrets.text(&text)),
            "test_event": secrets.text(&String::from_utf8_lossy(&event)),
        },
    });
    let mut detail = serde_json::to_value(summary).unwrap_or_default();
    if let (Value::Object(detail), Value::Object(fields)) = (&mut detail, fields) {
        detail.extend(fields);
    }
    detail
}

/// Returns the HTTP request of the client.
fn request(view: &View<'_>, body: Option<&[u8]>, limit: Limit, secrets: &Secrets<'_>) -> Value {
    let headers = view.request.headers.iter();
    let headers = headers.map(|(name, value)| (name, String::from_utf8_lossy(value)));
    let headers: Vec<_> = headers.collect();
    let own = headers
        .iter()
        .filter_map(|(name, value)| match name.as_str() {
            ":authority" => Some(("host", value.as_ref())),
            name if name.starts_with(':') => None,
            name => Some((name, value.as_ref())),
        });
    json!({
        "method": view.request.header(":method"),
        "target": view.request.header(":path").map(|path| secrets.text(&path)),
        "scheme": view.request.header(":scheme"),
        "source_ip": view.request.attributes.source_ip,
        "protocol": view.request.attributes.protocol,
        "headers": message::headers(own, secrets),
        "body": body.map(|body| message::body(body, body.len(), limit, secrets)),
        "is_truncated": view.request.is_cut,
    })
}

/// Returns the HTTP response that the client gets.
pub(super) fn response(decoded: &DecodedResponse, limit: Limit, secrets: &Secrets<'_>) -> Value {
    let response = &decoded.response;
    let headers = response.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    json!({
        "status": response.status,
        "headers": message::headers(headers, secrets),
        "body": message::body(&response.body, response.body.len(), limit, secrets),
    })
}

/// Returns the lines of the call's log, or the end of the log that AWS has sent.
fn log(view: &View<'_>, complete: Option<&[u8]>, secrets: &Secrets<'_>) -> Option<Value> {
    let tail = || {
        let tail = view.upstream_header(&header::LOG_RESULT);
        let log = BASE64_STANDARD.decode(tail.or_else(|| member(complete?, LOG_RESULT))?);
        let lines = log.ok()?;
        let is_truncated = lines.len() >= LOG_TAIL_BYTES;
        Some(CallLog {
            lines,
            is_truncated,
        })
    };
    let log = view.record.timeline.call_log();
    let log = log.filter(|log| !log.lines.is_empty()).or_else(tail)?;
    let text = String::from_utf8_lossy(&log.lines);
    Some(json!({ "text": secrets.text(&text), "is_truncated": log.is_truncated }))
}

fn member(json: &[u8], name: &str) -> Option<String> {
    let json: Value = serde_json::from_slice(json).ok()?;
    json.get(name)?.as_str().map(str::to_owned)
}
