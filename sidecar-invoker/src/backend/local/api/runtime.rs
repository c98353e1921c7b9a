//! The Runtime API of one execution environment.
//!
//! Source: "Using the Lambda runtime API for custom runtimes" in the AWS Lambda developer guide.
//! The error bodies are those of the Runtime Interface Emulator.

use std::convert::Infallible;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::extensions;
use super::response::{accepted, error, text, too_large};
use crate::backend::local::environment::Environment;
use crate::backend::local::environment::failure::{Failure, error_without_body};
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
const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");
const ERROR_BODY: HeaderName = HeaderName::from_static("lambda-runtime-function-error-body");

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

async fn handle(
    request: Request<Incoming>,
    environment: &Arc<Environment>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
    let response = match (&parts.method, path.as_slice()) {
        (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => {
            let next = environment.next().await;
            next.map(|(invocation, deadline)| event(&invocation, deadline, environment))
        }
        (
            &Method::POST,
            [
                "2018-06-01",
                "runtime",
                "invocation",
                id,
                kind @ ("response" | "error"),
            ],
        ) => {
            respond(
                environment,
                RequestId::parse(id),
                *kind == "error",
                &parts.headers,
                &mut body,
            )
            .await
        }
        (&Method::POST, ["2018-06-01", "runtime", "init", "error"]) => {
            init_error(environment, &parts.headers, &mut body).await
        }
        (method, ["2020-01-01", "extension", rest @ ..]) => {
            let request = (method, rest, &parts.headers);
            Ok(extensions::handle(environment, request, &mut body).await)
        }
        _ => Ok(error(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the Runtime API has no such path",
        )),
    };
    // The process reads a refusal only after it has sent its whole request.
    body::drain(&mut body).await;
    Ok(response.unwrap_or_else(|refusal| match refusal {
        RuntimeApiError::UnknownId => error(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            "Invalid request ID",
        ),
        RuntimeApiError::WrongState => {
            let message = "State transition is not allowed";
            error(StatusCode::FORBIDDEN, "InvalidStateTransition", message)
        }
    }))
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
    headers.insert(
        FUNCTION_ARN,
        environment.spec.arn(invocation.address.qualifier.as_ref()),
    );
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
    id: Option<RequestId>,
    is_error: bool,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Response<Full<Bytes>>, RuntimeApiError> {
    let operation = environment.expects(id)?;
    let id = id.ok_or(RuntimeApiError::UnknownId)?;
    if !is_error && operation == Operation::InvokeWithResponseStream && is_streamed(headers) {
        return stream(environment, id, headers, body).await;
    }
    let payload = match body::read(body).await {
        Ok((payload, _)) if is_error => FunctionPayload::Error(error_payload(payload, headers)),
        Ok((payload, trailers)) => match trailers.as_ref().and_then(mid_stream_error) {
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
            environment.cut_off(id);
            return Err(RuntimeApiError::WrongState);
        }
    };
    environment.respond(id, payload, None)?;
    // Lets the waiting caller run first. The runtime only goes on to ask for more.
    tokio::task::yield_now().await;
    Ok(accepted())
}

/// Returns true if the function streams its response.
///
/// `aws-lambda-go` does not send the header for `LambdaFunctionURLStreamingResponse`, only the media
/// type. AWS streams such a response too.
fn is_streamed(headers: &HeaderMap) -> bool {
    let is = |name, value: &[u8]| {
        let found = headers.get(name).map(HeaderValue::as_bytes);
        found.is_some_and(|found| found.eq_ignore_ascii_case(value))
    };
    is(RESPONSE_MODE, b"streaming") || is(CONTENT_TYPE, HTTP_RESPONSE_CONTENT_TYPE.as_bytes())
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
            environment.cut_off(id);
            return Err(RuntimeApiError::WrongState);
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
            Err(frame) => error = frame.trailers_ref().and_then(mid_stream_error),
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
    environment.init_error(Failure::InitError(error_payload(payload, headers)))?;
    Ok(accepted())
}

/// Returns the error that a function reported, or one made from its header if it has no body.
fn error_payload(payload: Bytes, headers: &HeaderMap) -> Bytes {
    match payload.is_empty() {
        true => error_without_body(text(headers, &ERROR_TYPE)),
        false => payload,
    }
}

/// Returns the error that a streaming function reports in the trailers of its response.
fn mid_stream_error(trailers: &HeaderMap) -> Option<Bytes> {
    trailers.get(&ERROR_TYPE)?;
    let body = BASE64_STANDARD
        .decode(text(trailers, &ERROR_BODY))
        .unwrap_or_default();
    Some(error_payload(body.into(), trailers))
}
