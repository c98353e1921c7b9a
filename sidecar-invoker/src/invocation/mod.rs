//! Invocations: the request id, the event, and the function's response.

mod response;
mod timeline;

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use lambda_api::{FunctionAddress, LogType, Operation, Qualifier};
use uuid::Uuid;

pub(crate) use response::{
    Completion, FunctionPayload, FunctionResponse, ResponseStream, StreamPiece, StreamSender,
    stream,
};
pub(crate) use timeline::{CallLog, Step, Timeline};

/// A request to run a function.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// The identity of the invocation.
    pub(crate) request_id: RequestId,
    /// The operation of the Invoke API, which determines the form of the response.
    pub(crate) operation: Operation,
    /// `Tail` if the caller gets the end of the log.
    pub(crate) log_type: LogType,
    /// The function.
    pub(crate) address: FunctionAddress,
    /// The version that runs.
    pub(crate) version: Qualifier,
    /// The event as the caller sent it. Never empty.
    pub(crate) payload: Bytes,
    /// The X-Ray trace header.
    pub(crate) trace_id: HeaderValue,
    /// The client context as JSON, decoded from base64.
    pub(crate) client_context: Option<HeaderValue>,
    /// The tenant's id, for functions with tenant isolation.
    pub(crate) tenant_id: Option<HeaderValue>,
    /// The course of the invocation.
    pub(crate) timeline: Arc<Timeline>,
}

/// The identity of an invocation for its caller, its function and the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId(Uuid);

impl RequestId {
    /// Creates a random request id (UUID version 4).
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Parses a request id that a function sent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// Returns the request id as the value of a header.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut buffer = Uuid::encode_buffer();
        let text = self.0.hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Returns the region of functions outside AWS: `AWS_REGION`, else `AWS_DEFAULT_REGION`, else
/// `us-east-1`.
pub(crate) fn region(variable: impl Fn(&str) -> Option<OsString>) -> String {
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .filter_map(|name| variable(name)?.into_string().ok())
        .find(|region| !region.is_empty());
    region.unwrap_or_else(|| "us-east-1".to_owned())
}
