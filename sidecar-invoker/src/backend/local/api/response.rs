//! The responses of the Runtime and the Extensions API.
//!
//! Source of the bodies: the Runtime Interface Emulator, which ends each with a line feed.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde_json::json;

pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

pub(crate) fn too_large(limit: usize) -> Response<Full<Bytes>> {
    let message = format!("Exceeded maximum allowed payload size ({limit} bytes).");
    error(
        StatusCode::PAYLOAD_TOO_LARGE,
        "RequestEntityTooLarge",
        &message,
    )
}

pub(crate) fn accepted() -> Response<Full<Bytes>> {
    json_response(
        StatusCode::ACCEPTED,
        Bytes::from_static(b"{\"status\":\"OK\"}\n"),
    )
}

pub(crate) fn error(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    let body = json!({ "errorMessage": message, "errorType": error_type });
    json_response(status, format!("{body}\n").into())
}

/// Returns the response to a path that no API has.
pub(crate) fn not_found() -> Response<Full<Bytes>> {
    plain_text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Returns the response to a path that has only the method `allowed`.
pub(crate) fn method_not_allowed(allowed: &Method) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

pub(crate) fn plain_text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    with_type(
        status,
        HeaderValue::from_static("text/plain; charset=utf-8"),
        Bytes::from_static(body.as_bytes()),
    )
}

pub(crate) fn json_response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    with_type(status, HeaderValue::from_static("application/json"), body)
}

fn with_type(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
