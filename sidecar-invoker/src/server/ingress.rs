//! The Invoke API: from an HTTP request to an invocation, and from its answer to a response.
//!
//! Source: `Invoke` in the AWS Lambda API reference.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, EXPECT, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backend::aws::{self, Aws};
use crate::backend::{Answer, Backend};
use crate::invocation::response::{AnswerStream, Reply};
use crate::invocation::{
    FunctionAnswer, FunctionId, FunctionName, Invocation, InvocationType, Operation, RequestId,
    Target, function_arn, new_trace_id,
};
use crate::invoke_api::body::{self, ReadError, ResponseBody, whole};
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::event_stream;
use crate::invoke_api::headers as header;
use crate::invoke_api::limits::MAX_PAYLOAD_BYTES;
use crate::invoke_api::request::{
    client_context, in_header, invocation_type, is_trace_id, log_type, route, target, tenant_id,
};
use crate::metrics::{self, Metrics};

/// How long a caller may pause in its request's body: as hyper's limit for a head.
const PAUSE_LIMIT: Duration = Duration::from_secs(30);
/// How long what is left of a refused request's body is read.
const SKIP_LIMIT: Duration = Duration::from_secs(5);

/// Answers requests to the Invoke API.
pub(crate) struct Ingress {
    /// The functions outside AWS by name.
    pub(crate) functions: HashMap<FunctionName, Backend>,
    /// The functions on AWS.
    pub(crate) aws: Option<Arc<Aws>>,
    /// Where invocations are counted.
    pub(crate) metrics: Arc<Metrics>,
    /// From when on nobody waits for an answer any more.
    pub(crate) stop: CancellationToken,
    /// The region in ARNs.
    pub(crate) region: String,
    /// Tells the time.
    pub(crate) clock: fn() -> SystemTime,
}

impl Ingress {
    /// Answers one request; every mistake in it becomes a response in AWS's error form.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        // What passes through has one from elsewhere.
        let request_id: LazyLock<RequestId> = LazyLock::new(RequestId::random);
        let (parts, body) = request.into_parts();
        let mut body = Payload {
            body,
            event: None,
            has_begun: false,
        };
        let is_http_1 = parts.version < Version::HTTP_2;
        let waits = is_http_1 && parts.headers.contains_key(EXPECT);
        let mut response = match self.invoke(parts, &mut body, &request_id).await {
            Ok(Outcome::Passed(response)) => return response,
            Ok(Outcome::Served(response)) => response,
            Err(error) => {
                tracing::debug!(request_id = %*request_id, "refused: {error:?}");
                let mut response = error.response();
                let Payload {
                    body, has_begun, ..
                } = body;
                // To read would ask for the body.
                let waits = waits && !has_begun;
                let is_left = waits || error == ServiceError::RequestTimeout;
                let is_huge = body.size_hint().lower() > 2 * MAX_PAYLOAD_BYTES as u64;
                // A connection whose request is not read to its end cannot be used again, which
                // its owner has to know.
                if is_http_1 && (is_left || is_huge) {
                    let headers = response.headers_mut();
                    headers.insert(CONNECTION, HeaderValue::from_static("close"));
                }
                // Closing it while the caller writes loses the answer.
                if !is_left && !body.is_end_stream() {
                    tokio::spawn(body::skip(body, SKIP_LIMIT));
                }
                response
            }
        };
        response
            .headers_mut()
            .insert(header::REQUEST_ID, request_id.header());
        response
    }

    async fn invoke(
        &self,
        mut parts: Parts,
        body: &mut Payload,
        request_id: &LazyLock<RequestId>,
    ) -> Result<Outcome, ServiceError> {
        body.event = in_header(&mut parts)?;
        let (operation, name) = route(parts.uri.path()).ok_or(ServiceError::UnknownOperation)?;
        if parts.method != Method::POST {
            return Err(ServiceError::MethodNotAllowed);
        }
        let (target, id) = target(name, &parts.uri)?;
        let running = self.metrics.of(&target.name).begin();
        let result = self
            .call(operation, target, id, parts, body, request_id)
            .await;
        running.end(match &result {
            Ok(Outcome::Passed(response) | Outcome::Served(response)) => {
                let is_error = response.headers().contains_key(header::FUNCTION_ERROR);
                metrics::Outcome::of(response.status(), is_error)
            }
            Err(error) => metrics::Outcome::of(error.status(), false),
        });
        result
    }

    /// Has a function called.
    async fn call(
        &self,
        operation: Operation,
        target: Target,
        id: FunctionId,
        parts: Parts,
        body: &mut Payload,
        request_id: &LazyLock<RequestId>,
    ) -> Result<Outcome, ServiceError> {
        let arrival = Instant::now();
        let Some(backend) = self.functions.get(&target.name) else {
            let function = self
                .aws
                .as_ref()
                .and_then(|aws| aws.function(id, &target.name));
            let function = function.ok_or_else(|| self.unknown(&target))??;
            let call = async {
                let call = aws::Call {
                    operation,
                    qualifier: target.qualifier,
                    headers: parts.headers,
                    payload: body.read().await?,
                    arrival,
                };
                function.invoke(call).await
            };
            return self.until_stop(Box::pin(call)).await.map(Outcome::Passed);
        };
        let invocation_type = invocation_type(&parts.headers)?;
        let log_type = log_type(&parts.headers)?;
        backend.supports(operation, invocation_type)?;
        let client_context = client_context(&parts.headers)?;
        let tenant_id = tenant_id(&parts.headers)?;
        let payload = match self.until_stop(Box::pin(body.read())).await? {
            // AWS gives a function that is invoked without a payload an empty object.
            payload if payload.is_empty() => Bytes::from_static(b"{}"),
            payload => payload,
        };
        if let InvocationType::DryRun = invocation_type {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(Outcome::Served(response));
        }
        let mut headers = parts.headers;
        let trace_id = headers
            .remove(header::TRACE_ID)
            .filter(is_trace_id)
            .unwrap_or_else(|| new_trace_id((self.clock)()));
        let invocation = Invocation {
            request_id: **request_id,
            operation,
            log_type,
            target,
            payload,
            trace_id: trace_id.clone(),
            client_context,
            tenant_id,
        };
        if let InvocationType::Event = invocation_type {
            backend.events().accept(invocation)?;
            let mut response = Response::default();
            *response.status_mut() = StatusCode::ACCEPTED;
            response.headers_mut().insert(header::TRACE_ID, trace_id);
            return Ok(Outcome::Served(response));
        }
        let answer = match backend {
            Backend::Rie(..) => self.until_stop(Box::pin(backend.invoke(invocation))).await,
            // Its processes are told to end, and what they still answer counts.
            Backend::Local(..) => backend.invoke(invocation).await,
        };
        Ok(match answer? {
            Answer::Passed(response) => Outcome::Passed(response),
            Answer::Function(reply) => {
                Outcome::Served(function_response(reply, operation, trace_id))
            }
        })
    }

    /// What comes of `work`, unless the invoker ends before. A future that is not behind a pointer
    /// would be copied at each level.
    async fn until_stop<T>(
        &self,
        work: impl Future<Output = Result<T, ServiceError>> + Unpin,
    ) -> Result<T, ServiceError> {
        let outcome = self.stop.run_until_cancelled(work).await;
        outcome.unwrap_or(Err(ServiceError::ShuttingDown))
    }

    fn unknown(&self, target: &Target) -> ServiceError {
        tracing::warn!(function = %target.name, "no such function; the configuration has {}", self.names());
        ServiceError::FunctionNotFound {
            arn: function_arn(&self.region, target),
        }
    }

    fn names(&self) -> String {
        let on_aws = self.aws.iter().flat_map(|aws| aws.names());
        let mut names: Vec<String> = self
            .functions
            .keys()
            .chain(on_aws)
            .map(ToString::to_string)
            .collect();
        names.sort();
        names.join(", ")
    }
}

enum Outcome {
    /// Passed on as it came.
    Passed(Response<ResponseBody>),
    /// Made by the invoker.
    Served(Response<ResponseBody>),
}

fn function_response(
    reply: Reply,
    operation: Operation,
    trace_id: HeaderValue,
) -> Response<ResponseBody> {
    let mut response = match (reply, operation) {
        (Reply::Whole { answer, log_tail }, Operation::Invoke) => whole_response(answer, log_tail),
        (Reply::Whole { answer, log_tail }, Operation::InvokeWithResponseStream) => {
            stream_response(AnswerStream::whole(answer, log_tail))
        }
        (Reply::Streamed(stream), _) => stream_response(stream),
    };
    let headers = response.headers_mut();
    headers.insert(
        header::EXECUTED_VERSION,
        HeaderValue::from_static("$LATEST"),
    );
    headers.insert(header::TRACE_ID, trace_id);
    response
}

fn whole_response(answer: FunctionAnswer, log_tail: Option<Vec<u8>>) -> Response<ResponseBody> {
    let (payload, is_error) = match answer {
        FunctionAnswer::Success(payload) => (payload, false),
        FunctionAnswer::Error(payload) => (payload, true),
    };
    let mut response = Response::new(whole(payload));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if is_error {
        headers.insert(
            header::FUNCTION_ERROR,
            HeaderValue::from_static("Unhandled"),
        );
    }
    let log = log_tail.map(|log| HeaderValue::try_from(BASE64_STANDARD.encode(log)));
    if let Some(Ok(log)) = log {
        headers.insert(header::LOG_RESULT, log);
    }
    response
}

/// The stream's media type is that of its framing; the function's own goes beside it.
fn stream_response(mut stream: AnswerStream) -> Response<ResponseBody> {
    let content_type = stream.content_type.take();
    let mut response = Response::new(event_stream::body(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, event_stream::CONTENT_TYPE);
    if let Some(content_type) = content_type {
        headers.insert(header::FUNCTION_CONTENT_TYPE, content_type);
    }
    response
}

/// A request's body.
struct Payload {
    body: Incoming,
    /// The event, if it stood in a header.
    event: Option<Bytes>,
    /// Whether it has been read from, which tells a caller who expects so to send it.
    has_begun: bool,
}

impl Payload {
    async fn read(&mut self) -> Result<Bytes, ServiceError> {
        if self.body.size_hint().lower() > MAX_PAYLOAD_BYTES as u64 {
            return Err(ServiceError::RequestTooLarge);
        }
        self.has_begun = true;
        let read = body::read_without_pause(&mut self.body, PAUSE_LIMIT).await;
        let body = read.map_err(|error| match error {
            ReadError::TooLarge => ServiceError::RequestTooLarge,
            error if error.is_pause() => ServiceError::RequestTimeout,
            ReadError::BrokenOff(_) => {
                ServiceError::InvalidRequestContent("the request's body was cut off")
            }
        })?;
        match self.event.take() {
            None => Ok(body),
            Some(event) if body.is_empty() => Ok(event),
            Some(_) => Err(ServiceError::InvalidRequestContent(
                "the header x-lambda-mesh-invocation is for requests without a body",
            )),
        }
    }
}
