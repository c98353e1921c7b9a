//! The one table from what can go wrong to what the caller is told, in AWS's own error form.
//!
//! A caller gets a safe sentence; the cause and its cure go to the log where they are known.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::headers;
use crate::invoke_api::body::{ResponseBody, whole};
use lambda_api::NameError;
use lambda_api::limits::MAX_PAYLOAD_BYTES;

/// The invoker could not have a function called. A function's own error is a
/// [`FunctionPayload`](crate::invocation::FunctionPayload).
///
/// Its text is what the caller is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceError {
    /// The path is none of the Invoke API's.
    #[error("the Invoke API has no such path")]
    UnknownOperation,
    /// The path takes only POST.
    #[error("functions are invoked by POST")]
    MethodNotAllowed,
    /// The function's name or qualifier has no valid form.
    #[error(
        "1 validation error detected: Value '{}' at 'functionName' failed to satisfy constraint: {}",
        .0.found(), .0.expected()
    )]
    InvalidName(NameError),
    /// A header or query parameter has a value that cannot be served.
    #[error("{0}")]
    InvalidParameter(String),
    /// The client context or the body cannot be read.
    #[error("{0}")]
    InvalidRequestContent(&'static str),
    /// No function of this name; `arn` is the one that it would have.
    #[error("Function not found: {arn}")]
    FunctionNotFound { arn: String },
    /// The event came too slowly.
    #[error("the request's body did not come in time")]
    RequestTimeout,
    /// The event is larger than [`MAX_PAYLOAD_BYTES`].
    #[error(
        "Request must be smaller than {MAX_PAYLOAD_BYTES} bytes for the InvokeFunction operation"
    )]
    RequestTooLarge,
    /// The event of an asynchronous invocation is larger than may be queued.
    #[error(
        "{bytes} byte payload is too large for the Event invocation type (limit {limit} bytes)"
    )]
    EventTooLarge { bytes: usize, limit: usize },
    /// As many callers wait for the function as may.
    #[error("Rate Exceeded.")]
    TooManyRequests,
    /// The emulator could not be reached, or broke off.
    #[error("the function's emulator cannot be reached")]
    EmulatorUnavailable,
    /// The emulator's answer is larger than any that Lambda allows.
    #[error("the emulator's answer is larger than {MAX_PAYLOAD_BYTES} bytes")]
    EmulatorAnswerTooLarge,
    /// The emulator gave no answer in this time.
    #[error("the function's emulator gave no answer within {:.2} seconds", .0.as_secs_f64())]
    EmulatorTimeout(Duration),
    /// The function is not listed, and the configuration does not allow it: the reason.
    #[error("{0}")]
    AccessDenied(String),
    /// There are no valid AWS credentials, or there is no region.
    #[error("the invoker has no valid AWS credentials or region; its log says why")]
    NoCredentials,
    /// AWS does not accept the invoker's credentials: AWS's name of the error, and the cause with its
    /// cure, which the caller is not told.
    #[error("AWS does not accept the invoker's credentials; its log says why")]
    CredentialsRefused { name: &'static str, cause: String },
    /// AWS could not be reached, or broke off: the cause and the cure, which the caller is not told.
    #[error("AWS Lambda cannot be reached")]
    AwsUnavailable(String),
    /// AWS gave no answer in this time.
    #[error("no answer within {:.2} seconds", .0.as_secs_f64())]
    AwsTimeout(Duration),
    /// The invoker is about to end.
    #[error("the invoker is about to end")]
    ShuttingDown,
}

impl ServiceError {
    /// Status and error type.
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UnknownOperation => (StatusCode::NOT_FOUND, "UnknownOperationException"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "UnknownOperationException"),
            Self::InvalidName(_) => (StatusCode::BAD_REQUEST, "ValidationException"),
            Self::InvalidParameter(_) => {
                (StatusCode::BAD_REQUEST, "InvalidParameterValueException")
            }
            Self::InvalidRequestContent(_) => {
                (StatusCode::BAD_REQUEST, "InvalidRequestContentException")
            }
            Self::FunctionNotFound { .. } => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException"),
            Self::RequestTooLarge | Self::EventTooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException")
            }
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
            Self::EmulatorUnavailable | Self::EmulatorAnswerTooLarge => {
                (StatusCode::BAD_GATEWAY, "ResourceNotReadyException")
            }
            Self::EmulatorTimeout(_) => (StatusCode::GATEWAY_TIMEOUT, "ServiceException"),
            Self::AccessDenied(_) => (StatusCode::FORBIDDEN, "AccessDeniedException"),
            Self::NoCredentials | Self::AwsUnavailable(_) => {
                (StatusCode::BAD_GATEWAY, "ServiceException")
            }
            Self::CredentialsRefused { name, .. } => (StatusCode::BAD_GATEWAY, name),
            Self::AwsTimeout(_) => (StatusCode::GATEWAY_TIMEOUT, "ServiceException"),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "ServiceException"),
        }
    }

    /// The status of the response.
    pub(crate) fn status(&self) -> StatusCode {
        self.code().0
    }

    /// The response: AWS's error type in a header, `Type` and the message in the body.
    ///
    /// The body has both `message` and `Message`, because AWS's service model spells the member
    /// either way from error to error and SDKs read the one that the model names.
    pub(crate) fn response(&self) -> Response<ResponseBody> {
        let (status, name) = self.code();
        let kind = if status.is_server_error() {
            "Service"
        } else {
            "User"
        };
        let message = self.to_string();
        let mut body = json!({ "Type": kind, "message": message, "Message": message });
        let throttled = *self == Self::TooManyRequests;
        if throttled && let Some(body) = body.as_object_mut() {
            body.insert(
                "Reason".to_owned(),
                "ConcurrentInvocationLimitExceeded".into(),
            );
        }
        let mut response = Response::new(whole(body.to_string()));
        *response.status_mut() = status;
        let map = response.headers_mut();
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        map.insert(headers::ERROR_TYPE, HeaderValue::from_static(name));
        if throttled {
            map.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
