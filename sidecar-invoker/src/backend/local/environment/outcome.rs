//! An invocation from its delivery to its report.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::failure::Failure;
use crate::invocation::{
    Completion, FunctionPayload, FunctionResponse, Invocation, RequestId, Step, Timeline,
};
use lambda_api::LogType;

/// An invocation that the runtime has received.
#[derive(Debug, Clone)]
pub(crate) struct ActiveInvocation {
    pub(crate) request_id: RequestId,
    /// The time of delivery to the runtime.
    pub(crate) since: Instant,
    /// The caller wants the end of the log, which is written last.
    pub(crate) wants_tail: bool,
    pub(crate) timeline: Arc<Timeline>,
}

impl ActiveInvocation {
    /// Creates the record of an invocation that the runtime received at `since`.
    pub(crate) fn of(invocation: &Invocation, since: Instant) -> Self {
        Self {
            request_id: invocation.request_id,
            since,
            wants_tail: invocation.log_type == LogType::Tail,
            timeline: Arc::clone(&invocation.timeline),
        }
    }
}

/// The outcome of an invocation.
#[derive(Debug)]
pub(crate) struct InvocationOutcome {
    pub(crate) request_id: RequestId,
    pub(crate) duration: Duration,
    /// The failure that ended the invocation, unless the function itself responded.
    pub(crate) failure: Option<Failure>,
    /// A payload that waits for the end of the log, and its caller.
    pub(crate) unsent: Option<(Caller, FunctionPayload)>,
    pub(crate) timeline: Arc<Timeline>,
}

/// The receiver of a response, who may have left.
#[derive(Debug)]
pub(crate) enum Caller {
    /// Waits for the response.
    Waiting(oneshot::Sender<FunctionResponse>),
    /// Has the beginning of a streamed response.
    Streaming(oneshot::Sender<Completion>),
}

impl InvocationOutcome {
    /// Ends an invocation with `payload`.
    ///
    /// The caller gets the payload at once, unless the caller wants the log with it.
    pub(crate) fn of(
        active: &ActiveInvocation,
        caller: Caller,
        payload: FunctionPayload,
        failure: Option<&Failure>,
    ) -> Self {
        let timeline = &active.timeline;
        match (failure, &payload) {
            (Some(failure), _) => timeline.set_error_type(failure.error_type()),
            (None, FunctionPayload::Error(error)) => timeline.set_error_payload(error),
            (None, FunctionPayload::Success(_)) => {}
        }
        if matches!(caller, Caller::Waiting(_)) {
            timeline.reach(Step::Responded);
        }
        timeline.reach(Step::Completed);
        let unsent = match active.wants_tail {
            true => Some((caller, payload)),
            false => {
                caller.send(payload, None);
                None
            }
        };
        Self {
            request_id: active.request_id,
            duration: active.since.elapsed(),
            failure: failure.cloned(),
            unsent,
            timeline: Arc::clone(timeline),
        }
    }

    /// Sends the payload if it has not been sent.
    pub(crate) fn send(self, log_tail: Option<Vec<u8>>) {
        if let Some((caller, payload)) = self.unsent {
            caller.send(payload, log_tail);
        }
    }
}

impl Caller {
    fn send(self, payload: FunctionPayload, log_tail: Option<Vec<u8>>) {
        match self {
            Self::Waiting(caller) => {
                _ = caller.send(FunctionResponse::Buffered { payload, log_tail });
            }
            Self::Streaming(caller) => {
                let error = match payload {
                    FunctionPayload::Success(_) => None,
                    FunctionPayload::Error(error) => Some(error),
                };
                _ = caller.send(Completion { error, log_tail });
            }
        }
    }
}
