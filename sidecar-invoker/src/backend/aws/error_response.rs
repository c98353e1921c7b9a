//! Error responses of AWS Lambda.

use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use hyper::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::invoke_api::body::BoxError;
use crate::invoke_api::headers::ERROR_TYPE;

/// The maximum number of bytes that are read of the body of an error.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Returns AWS's name of the error, without the part after a colon.
pub(crate) fn error_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(ERROR_TYPE).map(HeaderValue::to_str)?.ok()?;
    value.split(':').next()
}

/// Reads the body of an error of AWS, and returns the message in it. Reading the body lets its
/// connection be used again.
pub(crate) async fn message<B: Body<Error: Into<BoxError>>>(body: B) -> Option<String> {
    let body = Limited::new(body, MAX_ERROR_BYTES).collect().await.ok()?;
    let mut body: Value = serde_json::from_slice(&body.to_bytes()).ok()?;
    let message = ["message", "Message"]
        .into_iter()
        .find_map(|key| body.get_mut(key).map(Value::take));
    match message {
        Some(Value::String(message)) => Some(message),
        _ => None,
    }
}

/// Returns the cure of an error that lasts until the operator acts.
pub(crate) fn cure(error_type: &str) -> Option<&'static str> {
    match error_type {
        "AccessDeniedException" => Some("allow the credentials lambda:InvokeFunction on it"),
        "ResourceNotFoundException" => Some("correct its name, qualifier or region"),
        _ => None,
    }
}
