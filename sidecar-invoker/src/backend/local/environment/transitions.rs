//! What an environment asks of its lifecycle, and what that has it do.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::outcome::Outcome;
use crate::invocation::FunctionResponse;
use crate::invocation::Invocation;

/// An invocation that waits for its answer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) invocation: Arc<Invocation>,
    /// Where the answer goes; the caller may have gone.
    pub(crate) caller: oneshot::Sender<FunctionResponse>,
}

/// When a [`Call`] has to be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    /// For the invoker's own timer.
    pub(crate) at: Instant,
    /// For the function: milliseconds since 1970.
    pub(crate) epoch_ms: u128,
}

/// What is to be done when the process asks for the next invocation.
#[derive(Debug)]
pub(crate) enum Next {
    /// There is none yet.
    Wait,
    /// This is it.
    Deliver(Arc<Invocation>, Deadline),
    /// It still has one, as far as is known: what it sent over another connection may come late.
    Early,
    /// It is about to end.
    Refused,
}

/// What is to be done once somebody has asked for more.
#[derive(Debug)]
pub(crate) enum Transition {
    /// Somebody has still to ask, or nothing has changed.
    None,
    /// All have asked: the invocation is over. To be asked again when that has been said.
    InvocationFinished(Outcome),
    /// The environment can take an invocation; the `first` one, maybe.
    Idle { first: bool },
}

/// Why an answer was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is for another invocation.
    UnknownId,
    /// No answer is due.
    WrongState,
}

/// What the end of an environment leaves to be done.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It never became ready: somebody may be waiting for that.
    FailedToStart,
    /// An invocation ended with it.
    During(Outcome),
    /// Nobody else has to know.
    Quiet,
}
