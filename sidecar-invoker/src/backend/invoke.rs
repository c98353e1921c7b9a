//! A function by its backend, and the invocation of it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderValue;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::event_queue::EventQueue;
use super::{aws, local, rie};
use crate::invocation::Invocation;
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::request::{
    InvokeRequest, client_context, invocation_type, log_type, tenant_id,
};
use crate::invoke_api::{headers as header, response};
use lambda_api::{InvocationType, Operation, trace};

/// One function's way to be run.
#[derive(Clone)]
pub(super) enum Backend {
    /// By AWS Lambda, which has a queue of its own for events.
    Aws(Arc<aws::Function>),
    /// By a Runtime Interface Emulator.
    Rie(Arc<rie::Rie>, Arc<EventQueue>),
    /// As processes of the invoker's own.
    Local(Arc<local::Function>, Arc<EventQueue>),
}

impl Backend {
    /// Has the function invoked once; the response is that of the Invoke API.
    ///
    /// `stop` ends at once what AWS or an emulator has still to answer. The invoker's own processes
    /// are told to end instead, and what they still answer counts.
    pub(super) async fn invoke(
        &self,
        request: InvokeRequest<'_>,
        stop: &CancellationToken,
        clock: fn() -> SystemTime,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        match self {
            Self::Aws(function) => {
                let call = async {
                    let call = aws::Call {
                        operation: request.operation,
                        qualifier: request.address.qualifier,
                        headers: request.headers,
                        payload: request.body.read().await?,
                        arrival: request.arrival,
                    };
                    function.invoke(call).await
                };
                until(stop, Box::pin(call)).await
            }
            // The emulator reports function errors as plain 200s, so the caller has to be able to tell
            // its answers from AWS's: they carry no `x-amzn-requestid`.
            Self::Rie(rie, events) => match admit(request, false, events, stop, clock).await? {
                Admission::Invoke(invocation) => {
                    until(stop, Box::pin(rie.invoke(*invocation))).await
                }
                Admission::Done(response) => Ok(response),
            },
            Self::Local(function, events) => {
                let invocation = match admit(request, true, events, stop, clock).await? {
                    Admission::Invoke(invocation) => *invocation,
                    Admission::Done(response) => return Ok(response),
                };
                let (operation, request_id) = (invocation.operation, invocation.request_id);
                let trace_id = invocation.trace_id.clone();
                let answer = function.invoke(invocation).await?;
                Ok(response::invoked(answer, operation, trace_id, request_id))
            }
        }
    }
}

/// Returns what comes of `work`, unless the invoker ends before. A future that is not behind a
/// pointer would be copied at each level.
async fn until<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, ServiceError>> + Unpin,
) -> Result<T, ServiceError> {
    let result = stop.run_until_cancelled(work).await;
    result.unwrap_or(Err(ServiceError::ShuttingDown))
}

/// What is left to do for a request to a function outside AWS.
enum Admission {
    Invoke(Box<Invocation>),
    /// It was a dry run, or the event has been queued.
    Done(Response<ResponseBody>),
}

/// Reads a request to a function outside AWS, and does what needs no call of the function.
async fn admit(
    request: InvokeRequest<'_>,
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
        ..
    } = request;
    let invocation_type = invocation_type(&headers)?;
    let log_type = log_type(&headers)?;
    let unsupported = match (operation, invocation_type) {
        (Operation::Invoke, _) => None,
        (Operation::InvokeWithResponseStream, InvocationType::Event) => {
            Some("InvokeWithResponseStream takes RequestResponse and DryRun")
        }
        (Operation::InvokeWithResponseStream, _) if can_stream => None,
        (Operation::InvokeWithResponseStream, _) => Some("an emulator does not stream; use Invoke"),
    };
    if let Some(message) = unsupported {
        return Err(ServiceError::InvalidParameter(message.to_owned()));
    }
    let client_context = client_context(&headers)?;
    let tenant_id = tenant_id(&headers)?;
    let payload = match until(stop, Box::pin(body.read())).await? {
        // AWS gives a function that is invoked without a payload an empty object.
        payload if payload.is_empty() => Bytes::from_static(b"{}"),
        payload => payload,
    };
    let request_id = **request_id;
    if invocation_type == InvocationType::DryRun {
        return Ok(Admission::Done(response::dry_run(request_id)));
    }
    let trace_id = headers
        .remove(header::TRACE_ID)
        .filter(|value| trace::is_valid(value.as_bytes()))
        .unwrap_or_else(|| new_trace_id(clock()));
    let invocation = Invocation {
        request_id,
        operation,
        log_type,
        address,
        payload,
        trace_id: trace_id.clone(),
        client_context,
        tenant_id,
    };
    if invocation_type == InvocationType::Event {
        events.accept(invocation)?;
        return Ok(Admission::Done(response::queued(trace_id, request_id)));
    }
    Ok(Admission::Invoke(Box::new(invocation)))
}

/// A trace id for a request that came without one: a root at `now`, not sampled.
fn new_trace_id(now: SystemTime) -> HeaderValue {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // The low 32 bits, in which the seconds since 1970 fit until 2106.
    let trace_id = trace::new(seconds as u32, Uuid::new_v4().as_u128() >> 32, Some(false));
    HeaderValue::try_from(trace_id).unwrap_or(HeaderValue::from_static(""))
}
