//! An invocation from its answer to its report.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::failure::Failure;
use crate::invocation::{Completion, FunctionPayload, FunctionResponse, Invocation, RequestId};
use lambda_api::LogType;

/// An invocation that an environment works on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActiveInvocation {
    pub(crate) request_id: RequestId,
    /// When the process got it.
    pub(crate) since: Instant,
    /// Whether the caller wants the end of the log, which is written last.
    pub(crate) wants_tail: bool,
}

impl ActiveInvocation {
    /// The process got the invocation at `since`.
    pub(crate) fn of(invocation: &Invocation, since: Instant) -> Self {
        Self {
            request_id: invocation.request_id,
            since,
            wants_tail: invocation.log_type == LogType::Tail,
        }
    }
}

/// The outcome of an invocation.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) request_id: RequestId,
    pub(crate) duration: Duration,
    /// What ended it, if not the function's own response.
    pub(crate) failure: Option<Failure>,
    /// The payload and its caller, until the end of the log is there to go with it.
    pub(crate) held: Option<(Caller, FunctionPayload)>,
}

/// The receiver of a response, who may have gone.
#[derive(Debug)]
pub(crate) enum Caller {
    /// Waits for the response.
    Waiting(oneshot::Sender<FunctionResponse>),
    /// Has the beginning of a streamed response.
    Streaming(oneshot::Sender<Completion>),
}

impl Outcome {
    /// The outcome of an invocation that ends with `payload`. The caller gets the payload now, but for
    /// one who wants the log with it.
    pub(crate) fn of(
        active: ActiveInvocation,
        caller: Caller,
        payload: FunctionPayload,
        failure: Option<&Failure>,
    ) -> Self {
        let held = match active.wants_tail {
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
            held,
        }
    }

    /// Sends the payload that is held.
    pub(crate) fn release(self, log_tail: Option<Vec<u8>>) {
        if let Some((caller, payload)) = self.held {
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
