//! The Runtime API of one execution environment.
//!
//! Source: "Using the Lambda runtime API for custom runtimes" in the AWS Lambda developer guide.
//! The bodies and the order of the checks are those of the Runtime Interface Emulator.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::response::{accepted, error, method_not_allowed, not_found, plain_text, too_large};
use super::route::Route;
use super::{extensions, reported_error, telemetry};
use crate::backend::local::environment::Environment;
use crate::backend::local::environment::failure::Failure;
use crate::backend::local::environment::transitions::{Deadline, RuntimeApiError};
use crate::invocation::{FunctionPayload, Invocation, RequestId};
use crate::invoke_api::body::{self, ReadError};
use crate::net::connections::serve_each;
use lambda_api::Operation;
use lambda_api::event_stream::HTTP_RESPONSE_CONTENT_TYPE;
use lambda_api::limits::{MAX_PAYLOAD_BYTES, MAX_STREAM_BYTES};

const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE_MS: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const FUNCTION_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("lambda-runtime-client-context");
const TENANT_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-tenant-id");
const RESPONSE_MODE: HeaderName = HeaderName::from_static("lambda-runtime-function-response-mode");

/// Serves the connections of the environment's processes until the task is aborted. `open` tracks
/// the connections.
pub(crate) async fn serve(listener: TcpListener, open: TaskTracker, environment: Arc<Environment>) {
    let serve = |stream| {
        let environment = Arc::clone(&environment);
        open.track_future(async move {
            let service = service_fn(|request| handle(request, &environment));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A connection that fails needs no report. If its process ended, the supervisor knows.
            let _ = connection.await;
        })
    };
    serve_each(listener, serve).await;
}

/// Responds to one request of the environment's processes.
pub(crate) async fn handle(
    request: Request<Incoming>,
    environment: &Arc<Environment>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let response = match Route::parse(parts.uri.path()) {
        None => not_found(),
        Some(route) if route.method() != parts.method => method_not_allowed(&route.method()),
        Some(route) => respond_to(route, environment, &parts.headers, &mut body).await,
    };
    // The process reads a refusal only after it has sent its whole request.
    body::drain(&mut body).await;
    Ok(response)
}

async fn respond_to(
    route: Route<'_>,
    environment: &Arc<Environment>,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Response<Full<Bytes>> {
    let response = match route {
        Route::Ping => return plain_text(StatusCode::OK, "pong"),
        Route::Telemetry => return telemetry::telemetry(),
        Route::Logs => return telemetry::logs(),
        Route::Next => return next(environment).await,
        Route::Response(id) => respond(environment, id, false, headers, body).await,
        Route::Error(id) => respond(environment, id, true, headers, body).await,
        Route::InitError => init_error(environment, headers, body).await,
        Route::Register
        | Route::ExtensionNext
        | Route::ExtensionInitError
        | Route::ExtensionExitError => {
            return extensions::handle(route, environment, headers, body).await;
        }
    };
    response.unwrap_or_else(refused)
}

/// Responds to a runtime that asks for its next invocation.
pub(crate) async fn next(environment: &Arc<Environment>) -> Response<Full<Bytes>> {
    match environment.next().await {
        Ok((invocation, deadline)) => event(&invocation, deadline, environment),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: RuntimeApiError) -> Response<Full<Bytes>> {
    let (status, error_type) = match refusal {
        RuntimeApiError::UnknownId => (StatusCode::BAD_REQUEST, "InvalidRequestID"),
        RuntimeApiError::Truncated => (StatusCode::BAD_REQUEST, "TruncatedHTTPRequest"),
        RuntimeApiError::InvalidResponseMode => {
            (StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode")
        }
        RuntimeApiError::WrongState { .. } => (StatusCode::FORBIDDEN, "InvalidStateTransition"),
    };
    error(status, error_type, &refusal.to_string())
}

/// Returns the response to `next`: the event of an invocation with its headers.
fn event(
    invocation: &Invocation,
    deadline: Deadline,
    environment: &Environment,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(invocation.payload.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REQUEST_ID, invocation.request_id.header());
    if let Ok(deadline) = HeaderValue::try_from(deadline.epoch_ms.to_string()) {
        headers.insert(DEADLINE_MS, deadline);
    }
    headers.insert(FUNCTION_ARN, environment.spec.arn(&invocation.address));
    headers.insert(TRACE_ID, invocation.trace_id.clone());
    if let Some(context) = &invocation.client_context {
        headers.insert(CLIENT_CONTEXT, context.clone());
    }
    if let Some(tenant) = &invocation.tenant_id {
        headers.insert(TENANT_ID, tenant.clone());
    }
    response
}

async fn respond(
    environment: &Environment,
    id: &str,
    is_error: bool,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Response<Full<Bytes>>, RuntimeApiError> {
    let id = RequestId::parse(id).filter(|parsed| parsed.to_string() == id);
    let id = id.ok_or(RuntimeApiError::UnknownId)?;
    let operation = environment.begin_response(id, is_error)?;
    // The runtime may break off its response, or its connection may end.
    let _guard = ResponseGuard { environment, id };
    if !is_error {
        let is_streamed = is_streamed(headers).inspect_err(|_| {
            let failure = Failure::InvalidResponseMode;
            let payload = FunctionPayload::Error(failure.payload(&id));
            let _ = environment.respond(id, payload, Some(&failure));
        })?;
        if is_streamed && operation == Operation::InvokeWithResponseStream {
            return stream(environment, id, headers, body).await;
        }
    }
    let payload = match body::read(body).await {
        Ok((payload, _)) if is_error => {
            FunctionPayload::Error(reported_error::of_invocation(payload, headers))
        }
        Ok((payload, trailers)) => match trailers.as_ref().and_then(reported_error::mid_stream) {
            Some(error) => FunctionPayload::Error(error),
            None => FunctionPayload::Success(payload),
        },
        Err(ReadError::TooLarge) => {
            let failure = Failure::ResponseTooLarge(MAX_PAYLOAD_BYTES);
            let payload = FunctionPayload::Error(failure.payload(&id));
            environment.respond(id, payload, Some(&failure))?;
            return Ok(too_large(MAX_PAYLOAD_BYTES));
        }
        Err(ReadError::BrokenOff(cause)) => {
            tracing::debug!(request_id = %id, "a function broke off its response: {cause}");
            return Err(RuntimeApiError::Truncated);
        }
    };
    environment.respond(id, payload, None)?;
    // Lets the waiting caller run first. The runtime only goes on to ask for more.
    tokio::task::yield_now().await;
    Ok(accepted())
}

/// A response that counts as broken off if this is dropped before the response is complete.
struct ResponseGuard<'e> {
    environment: &'e Environment,
    id: RequestId,
}

impl Drop for ResponseGuard<'_> {
    fn drop(&mut self) {
        self.environment.cut_off(self.id);
    }
}

/// Returns true if the function streams its response.
///
/// `aws-lambda-go` does not send the header for `LambdaFunctionURLStreamingResponse`, only the media
/// type. AWS streams such a response too.
fn is_streamed(headers: &HeaderMap) -> Result<bool, RuntimeApiError> {
    match headers
        .get(RESPONSE_MODE)
        .map_or(&b""[..], HeaderValue::as_bytes)
    {
        b"streaming" => Ok(true),
        b"" => {
            let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            let expected = HTTP_RESPONSE_CONTENT_TYPE.as_bytes();
            Ok(media_type.is_some_and(|found| found.eq_ignore_ascii_case(expected)))
        }
        _ => Err(RuntimeApiError::InvalidResponseMode),
    }
}

/// Passes a streamed response on to the caller. The function writes no faster than the caller reads.
///
/// If the caller leaves, the rest is read and discarded, so that the environment can go on.
async fn stream(
    environment: &Environment,
    id: RequestId,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Response<Full<Bytes>>, RuntimeApiError> {
    let chunks = environment.begin_stream(id, headers.get(CONTENT_TYPE).cloned())?;
    let mut sent = 0;
    let mut error = None;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(RuntimeApiError::Truncated);
        };
        match frame.into_data() {
            Ok(chunk) => {
                sent += chunk.len();
                if sent > MAX_STREAM_BYTES {
                    let failure = Failure::ResponseTooLarge(MAX_STREAM_BYTES);
                    environment.end_stream(Some(failure.payload(&id)), Some(&failure))?;
                    return Ok(too_large(MAX_STREAM_BYTES));
                }
                let _ = chunks.send(chunk).await;
            }
            Err(frame) => error = frame.trailers_ref().and_then(reported_error::mid_stream),
        }
    }
    environment.end_stream(error, None)?;
    Ok(accepted())
}

async fn init_error(
    environment: &Environment,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Response<Full<Bytes>>, RuntimeApiError> {
    let payload = match body::read(body).await {
        Ok((payload, _)) => payload,
        Err(_) => Bytes::new(),
    };
    environment.init_error(reported_error::of_initialisation(payload, headers))?;
    Ok(accepted())
}
