//! The errors that a function reports: of an invocation, of its initialisation, and in the trailers
//! of a streamed response.

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use serde_json::{Value, json};

use super::response::text;
use crate::backend::local::environment::failure::{Failure, error_without_body, valid_error_type};

const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");
const ERROR_BODY: HeaderName = HeaderName::from_static("lambda-runtime-function-error-body");

/// The media type of an error with a cause for AWS X-Ray, which is not the caller's.
const WITH_CAUSE: &str = "application/vnd.aws.lambda.error.cause+json";

/// Returns the payload of an invocation's error.
pub(crate) fn of_invocation(payload: Bytes, headers: &HeaderMap) -> Bytes {
    match text(headers, &CONTENT_TYPE) == WITH_CAUSE {
        true => without_cause(&payload).unwrap_or(Bytes::from_static(b"\"Invalid error body\"")),
        false => payload_or_type(payload, headers),
    }
}

/// Returns the failure of an initialisation.
pub(crate) fn of_initialisation(payload: Bytes, headers: &HeaderMap) -> Failure {
    Failure::InitError {
        error_type: valid_error_type(text(headers, &ERROR_TYPE)).to_owned(),
        payload: payload_or_type(payload, headers),
    }
}

/// Returns the error that a streaming function reports in the trailers of its response.
pub(crate) fn mid_stream(trailers: &HeaderMap) -> Option<Bytes> {
    trailers.get(&ERROR_TYPE)?;
    let body = BASE64_STANDARD
        .decode(text(trailers, &ERROR_BODY))
        .unwrap_or_default();
    Some(payload_or_type(body.into(), trailers))
}

/// Returns the error that a function reported, or one made from its header if it has no body.
fn payload_or_type(payload: Bytes, headers: &HeaderMap) -> Bytes {
    match payload.is_empty() {
        true => error_without_body(text(headers, &ERROR_TYPE)),
        false => payload,
    }
}

/// Returns an error without its cause, or `None` if it is not such an error.
fn without_cause(payload: &[u8]) -> Option<Bytes> {
    let error: Value = serde_json::from_slice(payload).ok()?;
    let error = error.as_object()?;
    let member = |name| match error.get(name) {
        None | Some(Value::Null) => Some(""),
        Some(value) => value.as_str(),
    };
    let mut rest = json!({
        "errorMessage": member("errorMessage")?,
        "errorType": member("errorType")?,
    });
    match error.get("stackTrace") {
        None | Some(Value::Null) => {}
        Some(trace) => {
            let lines = trace.as_array()?;
            if !lines.iter().all(Value::is_string) {
                return None;
            }
            if let (Some(rest), false) = (rest.as_object_mut(), lines.is_empty()) {
                rest.insert("stackTrace".to_owned(), trace.clone());
            }
        }
    }
    Some(rest.to_string().into())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_cause_for_x_ray_does_not_reach_the_caller() {
        let headers = headers(CONTENT_TYPE, WITH_CAUSE);
        let filtered = |payload: &Value| {
            let payload = of_invocation(payload.to_string().into(), &headers);
            serde_json::from_slice::<Value>(&payload).unwrap()
        };
        let mut error =
            json!({ "errorMessage": "m", "errorType": "T", "stackTrace": ["a"], "errorCause": {} });
        let rest = json!({ "errorMessage": "m", "errorType": "T", "stackTrace": ["a"] });
        assert_eq!(filtered(&error), rest);
        error = json!({ "errorMessage": {}, "errorType": "T" });
        assert_eq!(filtered(&error), "Invalid error body");
        assert_eq!(filtered(&json!([])), "Invalid error body");
    }

    #[test]
    fn an_error_without_a_body_has_a_valid_type() {
        for (sent, error_type) in [
            ("Function.NoLuck", "Function.NoLuck"),
            ("Function.\"", "Function.Unknown"),
            ("Other", "Runtime.Unknown"),
            ("", "Function.Unknown"),
        ] {
            let error = of_invocation(Bytes::new(), &headers(ERROR_TYPE, sent));
            let error: Value = serde_json::from_slice(&error).unwrap();
            assert_eq!(error["errorType"], error_type, "{sent}");
        }
    }

    #[test]
    fn an_initialisation_error_has_the_type_of_its_header() {
        let headers = headers(ERROR_TYPE, "Runtime.NoSuchHandler");
        let failure = of_initialisation(Bytes::from_static(b"{}"), &headers);
        assert_eq!(failure.error_type(), "Runtime.NoSuchHandler");
    }
}
