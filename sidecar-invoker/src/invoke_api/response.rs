//! The responses of the Invoke API for functions outside AWS.

use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::{ResponseBody, whole};
use super::{event_stream, headers as header};
use crate::invocation::{FunctionPayload, FunctionResponse, RequestId, ResponseStream};
use lambda_api::headers::UNHANDLED;
use lambda_api::{Operation, Qualifier};

/// Returns the response to a successful dry run.
pub(crate) fn dry_run(request_id: RequestId) -> Response<ResponseBody> {
    empty(StatusCode::NO_CONTENT, request_id)
}

/// Returns the response to an event that was queued.
pub(crate) fn queued(trace_id: HeaderValue, request_id: RequestId) -> Response<ResponseBody> {
    let mut response = empty(StatusCode::ACCEPTED, request_id);
    response.headers_mut().insert(header::TRACE_ID, trace_id);
    response
}

fn empty(status: StatusCode, request_id: RequestId) -> Response<ResponseBody> {
    let mut response = Response::default();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::REQUEST_ID, request_id.header());
    response
}

/// Returns the response with which a function ended its invocation.
pub(crate) fn from_function(
    response: FunctionResponse,
    operation: Operation,
    version: &Qualifier,
    trace_id: HeaderValue,
    request_id: RequestId,
) -> Response<ResponseBody> {
    let mut response = match (response, operation) {
        (FunctionResponse::Buffered { payload, log_tail }, Operation::Invoke) => {
            buffered(payload, log_tail)
        }
        (FunctionResponse::Buffered { payload, log_tail }, Operation::InvokeWithResponseStream) => {
            streamed(ResponseStream::buffered(payload, log_tail))
        }
        (FunctionResponse::Streamed(stream), _) => streamed(stream),
    };
    let headers = response.headers_mut();
    if let Ok(version) = HeaderValue::from_str(version.as_str()) {
        headers.insert(header::EXECUTED_VERSION, version);
    }
    headers.insert(header::TRACE_ID, trace_id);
    headers.insert(header::REQUEST_ID, request_id.header());
    response
}

fn buffered(payload: FunctionPayload, log_tail: Option<Vec<u8>>) -> Response<ResponseBody> {
    let (payload, is_error) = match payload {
        FunctionPayload::Success(payload) => (payload, false),
        FunctionPayload::Error(payload) => (payload, true),
    };
    let mut response = Response::new(whole(payload));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if is_error {
        headers.insert(header::FUNCTION_ERROR, HeaderValue::from_static(UNHANDLED));
    }
    let log = log_tail.map(|log| HeaderValue::try_from(BASE64_STANDARD.encode(log)));
    if let Some(Ok(log)) = log {
        headers.insert(header::LOG_RESULT, log);
    }
    response
}

/// Returns a response with the media type of the event stream. The media type of the function has a
/// header of its own.
fn streamed(mut stream: ResponseStream) -> Response<ResponseBody> {
    let content_type = stream.content_type.take();
    let mut response = Response::new(event_stream::body(stream));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(lambda_api::event_stream::CONTENT_TYPE),
    );
    if let Some(content_type) = content_type {
        headers.insert(header::FUNCTION_CONTENT_TYPE, content_type);
    }
    response
}
