//! The texts of failures in responses of the Invoke API.

use lambda_api::function_error::{ERROR_MESSAGE, ERROR_TYPE};
use lambda_api::log_line::single_line;
use serde_json::Value;

/// Returns the message of Lambda's error response. Its member has one spelling or the other.
pub(crate) fn service_message(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let message = body.get("Message").or_else(|| body.get("message"))?;
    message.as_str().map(single_line)
}

/// Returns a sentence about a function error, without its stack trace.
pub(crate) fn function_failure(payload: &[u8]) -> String {
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    let member = |name| payload.get(name).and_then(Value::as_str);
    let parts = [member(ERROR_TYPE), member(ERROR_MESSAGE)];
    let parts = parts.into_iter().flatten().map(single_line);
    let known: Vec<_> = std::iter::once("the function failed".to_owned())
        .chain(parts)
        .collect();
    known.join(": ")
}

/// Returns the type of a function error.
pub(crate) fn error_type(payload: &[u8]) -> Option<String> {
    let payload: Value = serde_json::from_slice(payload).ok()?;
    payload.get(ERROR_TYPE)?.as_str().map(str::to_owned)
}
