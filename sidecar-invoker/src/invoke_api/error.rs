//! The table from errors to responses, in AWS's own form.
//!
//! Callers get a safe sentence. The cause and its cure go to the log, where the cause is known.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::headers;
use super::json::JsonError;
use crate::invoke_api::body::{ResponseBody, whole};
use crate::sigv4::SignatureError;
use lambda_api::limits::MAX_PAYLOAD_BYTES;
use lambda_api::{FunctionName, NameError};

/// An error of the invoker, or of the service behind it. The text is for the caller.
///
/// A function's own error is a [`FunctionPayload`](crate::invocation::FunctionPayload) instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceError {
    /// The path does not belong to the Invoke API.
    #[error(
        "the sidecar-invoker serves Invoke, InvokeWithResponseStream and InvokeAsync, and no other \
         operation of AWS; for a client of other services, set AWS_ENDPOINT_URL_LAMBDA instead of \
         AWS_ENDPOINT_URL"
    )]
    UnknownOperation,
    /// A web page may have sent the request.
    #[error("{0}")]
    WebPage(String),
    /// The method is not POST.
    #[error("functions are invoked by POST")]
    MethodNotAllowed,
    /// The name or the qualifier of the function is not valid.
    #[error(
        "1 validation error detected: Value '{}' at '{parameter}' failed to satisfy constraint: {}",
        .error.found(), .error.expected()
    )]
    InvalidName {
        /// AWS's name of the parameter: `functionName` or `qualifier`.
        parameter: &'static str,
        /// The mistake.
        error: NameError,
    },
    /// The value of a header or query parameter is not supported.
    #[error("{0}")]
    InvalidParameter(String),
    /// The client context or the body is not readable.
    #[error("{0}")]
    InvalidRequestContent(&'static str),
    /// The event is not JSON. AWS's parser has other words for the mistake.
    #[error("Could not parse request body into json: Could not parse payload into json: {0}")]
    InvalidJson(JsonError),
    /// No function has this name.
    #[error("Function not found: {arn}")]
    FunctionNotFound {
        /// The ARN that the function would have.
        arn: String,
    },
    /// The sender of the event paused for too long.
    #[error("the request body did not arrive in time")]
    RequestTimeout,
    /// The event is larger than [`MAX_PAYLOAD_BYTES`].
    #[error(
        "Request must be smaller than {MAX_PAYLOAD_BYTES} bytes for the InvokeFunction operation"
    )]
    RequestTooLarge,
    /// The event of an asynchronous invocation is larger than `limit`.
    #[error(
        "{bytes} byte payload is too large for the Event invocation type (limit {limit} bytes)"
    )]
    EventTooLarge { bytes: usize, limit: usize },
    /// The queue of the function is full, or the wait was too long.
    #[error("Rate Exceeded.")]
    TooManyRequests,
    /// The queue of the function is full, or the wait was too long, because as many invocations run as
    /// the function's own limit allows.
    #[error("Rate Exceeded.")]
    ReservedConcurrencyExceeded,
    /// The connection to the emulator failed.
    #[error("the function's emulator cannot be reached")]
    EmulatorUnavailable,
    /// The response of the emulator is larger than Lambda allows.
    #[error("the response of the function's emulator is larger than {MAX_PAYLOAD_BYTES} bytes")]
    EmulatorResponseTooLarge,
    /// The emulator did not respond within this time.
    #[error("the function's emulator did not respond within {:.2} seconds", .0.as_secs_f64())]
    EmulatorTimeout(Duration),
    /// The function is not listed, and the configuration does not allow it.
    #[error(
        "the invoker's configuration does not allow the function {0}; add it to `functions` or `aws.allow`"
    )]
    AccessDenied(FunctionName),
    /// The caller is not one of the configuration's, or may not invoke the function.
    #[error(transparent)]
    Refused(#[from] RefusedCaller),
    /// The signature of the caller is not accepted.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The AWS credentials or the region are missing.
    #[error("the invoker has no valid AWS credentials or region; its log says why")]
    NoCredentials,
    /// AWS does not accept the invoker's credentials.
    #[error("AWS does not accept the invoker's credentials; its log says why")]
    CredentialsRefused {
        /// AWS's name of the error.
        name: &'static str,
        /// The cause and its cure, which the caller does not get.
        cause: String,
    },
    /// The connection to AWS failed. The text has the cause and its cure, which the caller does not
    /// get.
    #[error("AWS Lambda cannot be reached")]
    AwsUnavailable(String),
    /// AWS did not respond within this time.
    #[error("no response within {:.2} seconds", .0.as_secs_f64())]
    AwsTimeout(Duration),
    /// The invoker is shutting down.
    #[error("the invoker is about to end")]
    ShuttingDown,
}

/// The reason why a caller is refused. The text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RefusedCaller {
    /// The call has neither a secret nor a signature.
    #[error(
        "Missing Authentication Token: the invoker serves calls of a filter that has its secret, and calls signed by one of its access keys (`callers` in its configuration)"
    )]
    NoProof,
    /// The secret is none of the configuration's.
    #[error(
        "The security token included in the request is invalid: the filter's secret is none of `callers.filters` in the invoker's configuration"
    )]
    Secret,
    /// The access key is none of the configuration's.
    #[error(
        "The security token included in the request is invalid: the access key is none of `callers.access_keys` in the invoker's configuration"
    )]
    AccessKey,
    /// The signature does not cover the invocation.
    #[error("a signed call has no header x-lambda-mesh-invocation, which is the filter's")]
    SignedHeader,
    /// No proxy has verified a certificate of the caller.
    #[error(
        "the caller has no identity: the header x-forwarded-client-cert names no URI; check that a proxy in front of the invoker demands client certificates"
    )]
    NoIdentity,
    /// The identity is none of the configuration's.
    #[error(
        "User: {0} is not authorized to perform: lambda:InvokeFunction, because it is none of `callers.identities` in the invoker's configuration"
    )]
    Identity(String),
    /// The caller may not invoke this function.
    #[error(
        "User: {caller} is not authorized to perform: lambda:InvokeFunction on resource: {function}, because no `functions` of its entry of `callers` has the name"
    )]
    Function {
        /// The identity of the caller, or a word for a caller without one.
        caller: String,
        /// The function.
        function: FunctionName,
    },
}

impl RefusedCaller {
    /// Returns AWS's name of the error.
    fn name(&self) -> &'static str {
        match self {
            Self::NoProof => "MissingAuthenticationTokenException",
            Self::Secret | Self::AccessKey => "UnrecognizedClientException",
            Self::SignedHeader | Self::NoIdentity | Self::Identity(_) | Self::Function { .. } => {
                "AccessDeniedException"
            }
        }
    }
}

/// Returns AWS's name of the error.
fn signature_error(error: SignatureError) -> &'static str {
    match error {
        SignatureError::Incomplete(_) => "IncompleteSignatureException",
        SignatureError::SessionToken => "UnrecognizedClientException",
        SignatureError::Skew | SignatureError::Mismatch => "InvalidSignatureException",
    }
}

impl ServiceError {
    /// Returns the status and AWS's name of the error.
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UnknownOperation => (StatusCode::NOT_FOUND, "UnknownOperationException"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "UnknownOperationException"),
            Self::InvalidName { .. } => (StatusCode::BAD_REQUEST, "ValidationException"),
            Self::InvalidParameter(_) => {
                (StatusCode::BAD_REQUEST, "InvalidParameterValueException")
            }
            Self::InvalidRequestContent(_) | Self::InvalidJson(_) => {
                (StatusCode::BAD_REQUEST, "InvalidRequestContentException")
            }
            Self::FunctionNotFound { .. } => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException"),
            Self::RequestTooLarge | Self::EventTooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException")
            }
            Self::TooManyRequests | Self::ReservedConcurrencyExceeded => {
                (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException")
            }
            Self::EmulatorUnavailable | Self::EmulatorResponseTooLarge => {
                (StatusCode::BAD_GATEWAY, "ResourceNotReadyException")
            }
            Self::EmulatorTimeout(_) => (StatusCode::GATEWAY_TIMEOUT, "ServiceException"),
            Self::AccessDenied(_) | Self::WebPage(_) => {
                (StatusCode::FORBIDDEN, "AccessDeniedException")
            }
            Self::Refused(refused) => (StatusCode::FORBIDDEN, refused.name()),
            Self::Signature(error) => (StatusCode::FORBIDDEN, signature_error(*error)),
            Self::NoCredentials | Self::AwsUnavailable(_) => {
                (StatusCode::BAD_GATEWAY, "ServiceException")
            }
            Self::CredentialsRefused { name, .. } => (StatusCode::BAD_GATEWAY, name),
            Self::AwsTimeout(_) => (StatusCode::GATEWAY_TIMEOUT, "ServiceException"),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "ServiceException"),
        }
    }

    /// Returns AWS's name of the limit that throttled the request.
    fn throttle_reason(&self) -> Option<&'static str> {
        match self {
            Self::TooManyRequests => Some("ConcurrentInvocationLimitExceeded"),
            Self::ReservedConcurrencyExceeded => {
                Some("ReservedFunctionConcurrentInvocationLimitExceeded")
            }
            _ => None,
        }
    }

    /// Returns the status of the response.
    pub(crate) fn status(&self) -> StatusCode {
        self.code().0
    }

    /// Returns AWS's name of the error.
    pub(crate) fn error_type(&self) -> &'static str {
        self.code().1
    }

    /// Returns the response, with AWS's name of the error in a header, and `Type` and the message in
    /// the body.
    ///
    /// The body has both `message` and `Message`: AWS's service model uses one spelling or the other
    /// from error to error, and SDKs read the spelling of the model.
    pub(crate) fn response(&self) -> Response<ResponseBody> {
        let (status, name) = self.code();
        let kind = if status.is_server_error() {
            "Service"
        } else {
            "User"
        };
        let message = self.to_string();
        let mut body = json!({ "Type": kind, "message": message, "Message": message });
        let reason = self.throttle_reason();
        if let (Some(reason), Some(body)) = (reason, body.as_object_mut()) {
            body.insert("Reason".to_owned(), reason.into());
        }
        let mut response = Response::new(whole(body.to_string()));
        *response.status_mut() = status;
        let map = response.headers_mut();
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        map.insert(headers::ERROR_TYPE, HeaderValue::from_static(name));
        if reason.is_some() {
            map.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
