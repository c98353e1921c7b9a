//! An invocation from its answer to its report.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::failure::Failure;
use crate::invocation::response::{Completion, Reply};
use crate::invocation::{FunctionAnswer, Invocation, LogType, RequestId};

/// An invocation that an environment works on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) request_id: RequestId,
    /// When the process got it.
    pub(crate) since: Instant,
    /// Whether the caller wants the end of the log, which is written last.
    pub(crate) wants_tail: bool,
}

impl Run {
    /// The process got the invocation at `since`.
    pub(crate) fn of(invocation: &Invocation, since: Instant) -> Self {
        Self {
            request_id: invocation.request_id,
            since,
            wants_tail: invocation.log_type == LogType::Tail,
        }
    }
}

/// What an invocation came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) request_id: RequestId,
    pub(crate) duration: Duration,
    /// What ended it, if not the function's own answer.
    pub(crate) failure: Option<Failure>,
    /// The answer, until the end of the log is there to go with it.
    pub(crate) held: Option<Held>,
}

/// An answer with its caller.
#[derive(Debug)]
pub(crate) enum Held {
    Reply {
        to: oneshot::Sender<Reply>,
        answer: FunctionAnswer,
    },
    /// The end of a streamed answer.
    End {
        to: oneshot::Sender<Completion>,
        error: Option<Bytes>,
    },
}

impl Outcome {
    /// The invocation is over, as far as its answer goes; who does not want the log has it now.
    pub(crate) fn of(run: Run, answer: Held, failure: Option<&Failure>) -> Self {
        let held = match run.wants_tail {
            true => Some(answer),
            false => {
                answer.release(None);
                None
            }
        };
        Self {
            request_id: run.request_id,
            duration: run.since.elapsed(),
            failure: failure.cloned(),
            held,
        }
    }
}

impl Held {
    /// Gives the answer to its caller, who may have gone.
    pub(crate) fn release(self, log_tail: Option<Vec<u8>>) {
        match self {
            Self::Reply { to, answer } => _ = to.send(Reply::Whole { answer, log_tail }),
            Self::End { to, error } => _ = to.send(Completion { error, log_tail }),
        }
    }
}
