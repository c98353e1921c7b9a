//! Replays: an invocation again, with the same event, an edited event or an edited HTTP request.

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use lambda_api::headers::{ENVOY_REQUEST_ID, TRACE_ID};
use lambda_api::limits::MAX_PAYLOAD_BYTES;
use lambda_filter_core::request::HeaderMap;
use serde_json::Value;

use super::masking::{MASK, Secrets};
use super::view::View;
use crate::invocation::RequestId;
use crate::invoke_api::json::{self, JsonError};
use crate::recorder::Replayed;

/// An invocation to be made again.
#[derive(Debug)]
pub(crate) struct Replay {
    /// The event.
    pub(crate) event: Bytes,
    /// The filter's report of the client's request.
    pub(crate) client_request: Option<HeaderValue>,
    /// The invocation that is repeated.
    pub(crate) of: Replayed,
}

/// The reason for which a replay is not possible. The text is one sentence with the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReplayError {
    #[error("expected a JSON object with `event`, `http_request` or nothing: {0}")]
    NotARequest(String),
    #[error("the event of this invocation is not known, because its request did not arrive whole")]
    NoEvent,
    #[error("the event is not JSON: {0}")]
    NotJson(JsonError),
    #[error("the event has more than {MAX_PAYLOAD_BYTES} bytes")]
    TooLarge,
    #[error("`{0}` has masked values; show the secrets before you edit")]
    Masked(&'static str),
    #[error(
        "the HTTP request of this invocation is not known; it must come through Envoy, with the filter's key \
         `report_request`"
    )]
    NoHttpRequest,
    #[error("`http_request.{field}`: expected {expected}")]
    Field {
        field: &'static str,
        expected: &'static str,
    },
    #[error(
        "the keys of the route were too long to be reported, so that no event can be made: {0}"
    )]
    NoSettings(String),
    #[error("no event can be made of the request: {0}")]
    NoEventOfRequest(String),
}

/// Returns the invocation that a user asks for.
///
/// # Errors
/// Returns an error if the request is not valid, or if too little is known of the invocation.
pub(super) fn replay(
    view: &View<'_>,
    body: &[u8],
    secrets: &Secrets<'_>,
    now_ns: i64,
) -> Result<Replay, ReplayError> {
    let not_a_request = |error: String| ReplayError::NotARequest(error);
    let body = match body.trim_ascii() {
        b"" => b"{}",
        body => body,
    };
    let body: Value =
        serde_json::from_slice(body).map_err(|error| not_a_request(error.to_string()))?;
    let Value::Object(members) = body else {
        return Err(not_a_request("it is no object".to_owned()));
    };
    for name in members.keys() {
        if !["event", "http_request"].contains(&name.as_str()) {
            return Err(not_a_request(format!("`{name}` is unknown")));
        }
    }
    let record = view.record;
    let of = |is_edited| Replayed {
        id: record.id,
        is_event_edited: is_edited,
    };
    let same_request = || {
        let value = record.client_request.as_ref()?;
        HeaderValue::from_maybe_shared(value.clone()).ok()
    };
    let original = || view.event().cloned().ok_or(ReplayError::NoEvent);
    match (members.get("event"), members.get("http_request")) {
        (None, None) => Ok(Replay {
            event: original()?,
            client_request: same_request(),
            of: of(record.replay_of.is_some_and(|of| of.is_event_edited)),
        }),
        (Some(event), None) => {
            let event = event.as_str();
            let event = event.ok_or_else(|| not_a_request("`event` is no text".to_owned()))?;
            check_masks("event", event, &original()?)?;
            if event.len() > MAX_PAYLOAD_BYTES {
                return Err(ReplayError::TooLarge);
            }
            json::check(event.as_bytes()).map_err(ReplayError::NotJson)?;
            Ok(Replay {
                event: event.to_owned().into(),
                client_request: same_request(),
                of: of(true),
            })
        }
        (None, Some(request)) => {
            let (event, client_request) = of_request(view, request, secrets, now_ns)?;
            Ok(Replay {
                event: event.into(),
                client_request: Some(client_request),
                of: of(false),
            })
        }
        (Some(_), Some(_)) => Err(not_a_request("it has both".to_owned())),
    }
}

/// Refuses a text with masks that the original does not have.
fn check_masks(what: &'static str, text: &str, original: &[u8]) -> Result<(), ReplayError> {
    let has_own = || String::from_utf8_lossy(original).contains(MASK);
    match text.contains(MASK) && !has_own() {
        true => Err(ReplayError::Masked(what)),
        false => Ok(()),
    }
}

/// Returns the event and the report of an edited request.
fn of_request(
    view: &View<'_>,
    request: &Value,
    secrets: &Secrets<'_>,
    now_ns: i64,
) -> Result<(Vec<u8>, HeaderValue), ReplayError> {
    if !view.has_request() {
        return Err(ReplayError::NoHttpRequest);
    }
    let field = |field, expected| ReplayError::Field { field, expected };
    let original = &view.request;
    let text = |name: &str| {
        request
            .get(name)
            .map(|value| value.as_str().unwrap_or_default())
    };
    let wrong_method = || field("method", "a method such as GET");
    let method = match text("method") {
        Some(method) => method.to_owned(),
        None => original.header(":method").ok_or_else(wrong_method)?,
    };
    method.parse::<Method>().map_err(|_| wrong_method())?;
    let wrong_target = || field("target", "a path with its query such as /pets?page=2");
    let target = match text("target") {
        Some(target) => target.to_owned(),
        None => original.header(":path").ok_or_else(wrong_target)?,
    };
    let is_target = target.starts_with('/') && target.parse::<PathAndQuery>().is_ok();
    if !is_target {
        return Err(wrong_target());
    }
    check_masks("http_request.target", &target, b"")?;
    let original_event = view.event().cloned().unwrap_or_default();
    let body = match request.get("body") {
        None | Some(Value::Null) => original.body(&original_event),
        Some(body) => match (body.get("text"), body.get("base64")) {
            (Some(Value::String(text)), None) => {
                let own = original.body(&original_event).unwrap_or_default();
                check_masks("http_request.body", text, &own)?;
                Some(text.clone().into_bytes())
            }
            (None, Some(Value::String(text))) => BASE64_STANDARD.decode(text).ok(),
            _ => None,
        },
    };
    let body = body.ok_or_else(|| field("body", "{\"text\": …} or {\"base64\": …}"))?;
    let mut map: HeaderMap = Vec::new();
    let mut push = |name: &str, value: &[u8]| map.push((name.to_owned(), value.to_vec()));
    push(":method", method.as_bytes());
    push(
        ":scheme",
        original.header(":scheme").unwrap_or_default().as_bytes(),
    );
    let headers = match request.get("headers") {
        Some(headers) => given_headers(headers, view, secrets)?,
        None => own_headers(view),
    };
    let host = headers.iter().find(|(name, _)| name == "host");
    let host = host.map(|(_, value)| value.clone());
    push(":authority", &host.unwrap_or_default());
    push(":path", target.as_bytes());
    // The replay is a request of its own, and has its own length.
    let replaced = ["host", "content-length", ENVOY_REQUEST_ID, TRACE_ID];
    for (name, value) in &headers {
        if !replaced.contains(&name.as_str()) {
            push(name, value);
        }
    }
    push(ENVOY_REQUEST_ID, RequestId::random().to_string().as_bytes());
    if !body.is_empty() {
        push("content-length", body.len().to_string().as_bytes());
    }
    let request = original.with_headers(map, now_ns);
    let config = request.config(None);
    let config = config.map_err(|problems| ReplayError::NoSettings(problems.to_string()))?;
    let event = request.event(&config, &body);
    let event = event.map_err(|error| ReplayError::NoEventOfRequest(error.to_string()))?;
    let report = HeaderValue::from_bytes(&request.write());
    Ok((event, report.map_err(|_| ReplayError::NoHttpRequest)?))
}

fn own_headers(view: &View<'_>) -> HeaderMap {
    let headers = view.request.headers.iter();
    let headers = headers.filter_map(|(name, value)| match name.as_str() {
        ":authority" => Some(("host".to_owned(), value.clone())),
        name if name.starts_with(':') => None,
        name => Some((name.to_owned(), value.clone())),
    });
    headers.collect()
}

/// Reads headers that a user gives. A value that is masked is that of the original request.
fn given_headers(
    headers: &Value,
    view: &View<'_>,
    secrets: &Secrets<'_>,
) -> Result<HeaderMap, ReplayError> {
    let wrong = || ReplayError::Field {
        field: "headers",
        expected: "a list of [\"name\", \"value\"]",
    };
    let own = own_headers(view);
    let headers = headers.as_array().ok_or_else(wrong)?;
    let headers = headers.iter().map(|pair| {
        let [Value::String(name), Value::String(value)] =
            pair.as_array().map(Vec::as_slice).unwrap_or_default()
        else {
            return Err(wrong());
        };
        let name: HeaderName = name.parse().map_err(|_| wrong())?;
        let name = name.as_str().to_owned();
        if value.contains(MASK) {
            let mut own = own.iter();
            let original = own.find(|(known, original)| {
                *known == name
                    && secrets.header(&name, &String::from_utf8_lossy(original)) == *value
            });
            let (_, original) = original.ok_or(ReplayError::Masked("http_request.headers"))?;
            return Ok((name, original.clone()));
        }
        HeaderValue::from_str(value).map_err(|_| wrong())?;
        Ok((name, value.clone().into_bytes()))
    });
    headers.collect()
}
