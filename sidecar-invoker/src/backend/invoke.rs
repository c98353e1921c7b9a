//! The invocation of a function by its backend.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderValue;
use tokio_util::sync::CancellationToken;

use super::aws::{LambdaFunction, LambdaRequest};
use super::event_queue::EventQueue;
use super::local;
use super::rie::EmulatedFunction;
use crate::invocation::{Invocation, Step};
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::request::{
    InvokeRequest, client_context, invocation_type, log_type, tenant_id,
};
use crate::invoke_api::{headers as header, json, response};
use crate::metrics::FunctionState;
use crate::traces::new_trace;
use lambda_api::{InvocationType, Operation, Qualifier};

/// A larger event is checked on a blocking thread, where that delays no other caller. A check takes about
/// a millisecond per megabyte.
const LARGE_EVENT_BYTES: usize = 128 << 10;

/// A function with the backend that runs it.
#[derive(Clone)]
pub(super) enum Backend {
    /// A function on AWS Lambda. AWS queues its events.
    Aws(Arc<LambdaFunction>),
    /// A function in a Runtime Interface Emulator.
    Rie(Arc<EmulatedFunction>, Arc<EventQueue>),
    /// A function in local processes.
    Local(Arc<local::LocalFunction>, Arc<EventQueue>),
}

impl Backend {
    /// Returns the function if it runs in local processes.
    pub(super) fn local(&self) -> Option<&Arc<local::LocalFunction>> {
        match self {
            Self::Local(function, _) => Some(function),
            Self::Aws(_) | Self::Rie(..) => None,
        }
    }

    /// Returns the state of the function, unless it is on AWS.
    pub(super) fn state(&self) -> Option<FunctionState> {
        match self {
            Self::Aws(_) => None,
            Self::Rie(function, _) => Some(function.state()),
            Self::Local(function, _) => Some(function.state()),
        }
    }

    /// Returns the kind of the backend.
    fn name(&self) -> &'static str {
        match self {
            Self::Aws(_) => "aws",
            Self::Rie(..) => "rie",
            Self::Local(..) => "local",
        }
    }

    /// Invokes the function once, and returns the response of the Invoke API. `version` is the version of a
    /// function outside AWS.
    ///
    /// Cancelling `stop` abandons invocations on AWS and in emulators at once. Local processes are told to
    /// end instead, and responses that they send until then still count.
    ///
    /// # Errors
    /// Returns an error if the request is not valid, or if the backend did not run the function.
    pub(super) async fn invoke(
        &self,
        request: InvokeRequest<'_>,
        version: Qualifier,
        stop: &CancellationToken,
        clock: fn() -> SystemTime,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        request.timeline.set_backend(self.name());
        match self {
            Self::Aws(function) => {
                let invocation = async {
                    let request = LambdaRequest {
                        operation: request.operation,
                        qualifier: request.address.qualifier,
                        headers: request.headers,
                        payload: request.body.read().await?,
                        timeline: request.timeline,
                    };
                    function.invoke(request).await
                };
                unless_cancelled(stop, Box::pin(invocation)).await
            }
            // Emulators report function errors with status 200. The caller tells their responses from
            // those of AWS by the missing `x-amzn-requestid`.
            Self::Rie(function, events) => {
                match admit(request, version, false, events, stop, clock).await? {
                    Admission::Invoke(invocation) => {
                        unless_cancelled(stop, Box::pin(function.invoke(*invocation))).await
                    }
                    Admission::Responded(response) => Ok(response),
                }
            }
            Self::Local(function, events) => {
                let admitted = admit(request, version.clone(), true, events, stop, clock);
                let invocation = match admitted.await? {
                    Admission::Invoke(invocation) => *invocation,
                    Admission::Responded(response) => return Ok(response),
                };
                let (operation, request_id) = (invocation.operation, invocation.request_id);
                let trace_id = invocation.trace_id.clone();
                let response = function.invoke(invocation).await?;
                Ok(response::from_function(
                    response, operation, &version, trace_id, request_id,
                ))
            }
        }
    }
}

/// Returns the result of `work`, or an error if `stop` is cancelled first. Callers box the future, because it
/// would otherwise be copied at each level.
async fn unless_cancelled<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, ServiceError>> + Unpin,
) -> Result<T, ServiceError> {
    let result = stop.run_until_cancelled(work).await;
    result.unwrap_or(Err(ServiceError::ShuttingDown))
}

/// The next step for a request to a function outside AWS.
enum Admission {
    /// The function has to be invoked.
    Invoke(Box<Invocation>),
    /// The response is complete: the request was a dry run, or its event is in the queue.
    Responded(Response<ResponseBody>),
}

/// Reads a request to a function outside AWS. Dry runs and events get their response here.
async fn admit(
    request: InvokeRequest<'_>,
    version: Qualifier,
    can_stream: bool,
    events: &Arc<EventQueue>,
    stop: &CancellationToken,
    clock: fn() -> SystemTime,
) -> Result<Admission, ServiceError> {
    let InvokeRequest {
        operation,
        address,
        mut headers,
        body,
        request_id,
        timeline,
    } = request;
    let invocation_type = invocation_type(&headers)?;
    let log_type = log_type(&headers)?;
    let unsupported = match (operation, invocation_type) {
        (Operation::Invoke, _) => None,
        (Operation::InvokeWithResponseStream, InvocationType::Event) => {
            Some("InvokeWithResponseStream supports RequestResponse and DryRun")
        }
        (Operation::InvokeWithResponseStream, _) if can_stream => None,
        (Operation::InvokeWithResponseStream, _) => Some("an emulator does not stream; use Invoke"),
    };
    if let Some(message) = unsupported {
        return Err(ServiceError::InvalidParameter(message.to_owned()));
    }
    // AWS passes it on in synchronous invocations only.
    let is_event = invocation_type == InvocationType::Event;
    let client_context = client_context(&headers)?.filter(|_| !is_event);
    let tenant_id = tenant_id(&headers)?;
    let payload = match unless_cancelled(stop, Box::pin(body.read())).await? {
        // On AWS, a function gets an empty object if the payload is empty.
        payload if payload.is_empty() => Bytes::from_static(b"{}"),
        payload => payload,
    };
    check_event(&payload).await?;
    timeline.reach(Step::Read);
    let request_id = **request_id;
    if invocation_type == InvocationType::DryRun {
        return Ok(Admission::Responded(response::dry_run(request_id)));
    }
    let trace_id = headers.remove(header::TRACE_ID).or_else(|| {
        let trace = new_trace(clock(), Some(false));
        HeaderValue::from_str(trace.xray()).ok()
    });
    let trace_id = trace_id.unwrap_or(HeaderValue::from_static(""));
    let invocation = Invocation {
        request_id,
        operation,
        log_type,
        address,
        version,
        payload,
        trace_id: trace_id.clone(),
        client_context,
        tenant_id,
        timeline,
    };
    if is_event {
        events.accept(invocation)?;
        return Ok(Admission::Responded(response::queued(trace_id, request_id)));
    }
    Ok(Admission::Invoke(Box::new(invocation)))
}

/// Checks that an event is JSON.
///
/// # Errors
/// Returns AWS's error with the place of the first mistake.
async fn check_event(event: &Bytes) -> Result<(), ServiceError> {
    let checked = if event.len() < LARGE_EVENT_BYTES {
        json::check(event)
    } else {
        let event = event.clone();
        let checked = tokio::task::spawn_blocking(move || json::check(&event)).await;
        checked.map_err(|_| ServiceError::ShuttingDown)?
    };
    checked.map_err(ServiceError::InvalidJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_has_the_words_of_aws_and_no_content() {
        let large = [b"\"".to_vec(), b"x".repeat(LARGE_EVENT_BYTES)].concat();
        for event in [b"secret".to_vec(), large, b"\"secret \xff".to_vec()] {
            let error = check_event(&event.into()).await.unwrap_err().to_string();
            let prefix =
                "Could not parse request body into json: Could not parse payload into json: ";
            assert!(error.starts_with(prefix), "{error}");
            assert!(!error.contains("secret") && error.len() < 200, "{error}");
        }
    }
}
