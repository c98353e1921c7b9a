//! The values that pass between an environment and its lifecycle.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::outcome::InvocationOutcome;
use crate::invocation::FunctionResponse;
use crate::invocation::Invocation;

/// An invocation without a response yet.
#[derive(Debug)]
pub(crate) struct PendingInvocation {
    pub(crate) invocation: Arc<Invocation>,
    /// The receiver of the response, who may have left.
    pub(crate) caller: oneshot::Sender<FunctionResponse>,
}

/// The time limit of a [`PendingInvocation`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    /// For the invoker's own timer.
    pub(crate) at: Instant,
    /// For the function, in milliseconds since 1970.
    pub(crate) epoch_ms: u128,
}

/// The next step of a runtime that asks for an invocation.
#[derive(Debug)]
pub(crate) enum Next {
    /// There is no invocation yet.
    Wait,
    /// The runtime gets this invocation.
    Deliver(Arc<Invocation>, Deadline),
    /// The response to this invocation is missing. It may still arrive over another connection. If
    /// not, the runtime gets the invocation again.
    Unanswered(Arc<Invocation>, Deadline),
    /// The response to the previous invocation is not complete yet. The runtime waits for that, or
    /// gets this error.
    Early(RuntimeApiError),
    /// The runtime gets this error.
    Refused(RuntimeApiError),
}

/// The change that follows once a process has asked for more work.
#[derive(Debug)]
pub(crate) enum Transition {
    /// Nothing changes, or another process has yet to ask.
    None,
    /// All processes have asked, so the invocation is over. Once its end is reported, the
    /// lifecycle is asked for the next transition.
    InvocationFinished(InvocationOutcome),
    /// The environment can take an invocation. `first` is true after its start. `resets_timer` is
    /// true if the supervisor's timer would fire after the environment's idle time.
    Idle { first: bool, resets_timer: bool },
}

/// The reason to refuse a request to the Runtime API. Its text is the message of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RuntimeApiError {
    /// The request is for another invocation.
    #[error("Invalid request ID")]
    UnknownId,
    /// The runtime's state does not allow the request.
    #[error(
        "State transition from {from:?} to {to:?} failed for runtime. \
         Error: State transition is not allowed"
    )]
    WrongState {
        from: RuntimeState,
        to: RuntimeState,
    },
    /// The response ended before its time.
    #[error("HTTP request detected as truncated")]
    Truncated,
    /// The response has a mode that does not exist.
    #[error("Invalid function response mode")]
    InvalidResponseMode,
}

/// A state of the runtime in the words of the Runtime Interface Emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuntimeState {
    Started,
    InitError,
    Ready,
    Running,
    InvocationResponse,
    InvocationErrorResponse,
    RuntimeResponseSentState,
}

impl RuntimeState {
    /// Returns the state of a runtime that sends a response or an error.
    pub(crate) fn responding(is_error: bool) -> Self {
        match is_error {
            true => Self::InvocationErrorResponse,
            false => Self::InvocationResponse,
        }
    }
}

/// The work that the end of an environment leaves.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The environment never became ready. A caller may be waiting for it.
    FailedToStart,
    /// An invocation ended with the environment.
    During(InvocationOutcome),
    /// No caller is affected.
    Quiet,
}
