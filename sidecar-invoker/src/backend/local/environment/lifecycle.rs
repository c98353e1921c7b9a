//! The life of an execution environment as a state machine: which step may follow which.
//!
//! ```text
//! Starting ──all ask──▶ Idle ──deliver──▶ Busy ──answer──▶ Settling
//!                         ▲                 │                ▲    │
//!                         │          begin_stream──▶ Streaming    │      any ──end──▶ Ended
//!                         └──────────────────all ask──────────────┘
//! ```
//!
//! *All* are the runtime and every extension.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::extensions::Extensions;
use super::failure::Failure;
use super::outcome::{ActiveInvocation, Caller, Outcome};
use super::transitions::{Call, Deadline, Ending, Next, Refusal, Transition};
use crate::invocation::{Completion, FunctionResponse, StreamSender, stream};
use crate::invocation::{FunctionPayload, RequestId};
use lambda_api::Operation;

#[derive(Debug)]
enum Phase {
    Starting {
        until: Instant,
    },
    Idle {
        until: Instant,
    },
    Busy {
        call: Call,
        deadline: Deadline,
        /// When the process got it.
        since: Option<Instant>,
        /// The process broke off its answer.
        cut_off: bool,
    },
    Streaming {
        active: ActiveInvocation,
        deadline: Deadline,
        end: oneshot::Sender<Completion>,
        /// The process broke off its answer.
        cut_off: bool,
    },
    Settling {
        deadline: Deadline,
        /// Until it has been told.
        outcome: Option<Outcome>,
    },
    Ended,
}

/// Where an environment stands.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: Phase,
    /// Whether the runtime waits for its next invocation.
    asked: bool,
    /// When the timer goes off that watches over the phases' ends, unless it was set while idle.
    /// Setting it anew costs more than letting it go off early.
    armed: Option<Instant>,
    /// Why it has to end, as the process or an extension has said.
    reported: Option<Failure>,
    /// The extensions that have registered.
    pub(crate) extensions: Extensions,
}

impl Lifecycle {
    /// A process that has until `until` to ask for its first invocation.
    pub(crate) fn starting(until: Instant) -> Self {
        Self {
            phase: Phase::Starting { until },
            asked: false,
            armed: None,
            reported: None,
            extensions: Extensions::default(),
        }
    }

    fn take(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Ended)
    }

    /// The process asks for an invocation.
    pub(crate) fn next(&mut self) -> Next {
        if self.reported.is_some() {
            return Next::Refused;
        }
        self.phase = match self.take() {
            Phase::Busy {
                call,
                deadline,
                since: None,
                ..
            } => {
                let invocation = Arc::clone(&call.invocation);
                let since = Some(Instant::now());
                self.asked = false;
                self.phase = Phase::Busy {
                    call,
                    deadline,
                    since,
                    cut_off: false,
                };
                return Next::Deliver(invocation, deadline);
            }
            // What it broke off it does not mean to end any more.
            Phase::Busy {
                call,
                deadline,
                since: Some(since),
                cut_off: true,
            } => {
                let active = ActiveInvocation::of(&call.invocation, since);
                truncated(active, Caller::Waiting(call.caller), deadline)
            }
            Phase::Streaming {
                active,
                deadline,
                end,
                cut_off: true,
            } => truncated(active, Caller::Streaming(end), deadline),
            phase @ (Phase::Starting { .. } | Phase::Settling { .. } | Phase::Idle { .. }) => phase,
            phase @ (Phase::Busy { .. } | Phase::Streaming { .. }) => {
                self.phase = phase;
                return Next::Early;
            }
            Phase::Ended => return Next::Refused,
        };
        self.asked = true;
        Next::Wait
    }

    /// Whether the environment has become idle by what was asked last; if so, it stays until
    /// `idle_until`.
    pub(crate) fn settle(&mut self, idle_until: Instant) -> Transition {
        if !self.asked || !self.extensions.all_asked() || self.reported.is_some() {
            return Transition::None;
        }
        match &mut self.phase {
            Phase::Settling {
                outcome: outcome @ Some(_),
                ..
            } => outcome
                .take()
                .map_or(Transition::None, Transition::InvocationFinished),
            Phase::Settling { .. } | Phase::Starting { .. } => {
                let first = self.is_starting();
                self.phase = Phase::Idle { until: idle_until };
                Transition::Idle { first }
            }
            _ => Transition::None,
        }
    }

    /// That the invocation is over has not been said after all.
    pub(crate) fn take_back(&mut self, unreported: Outcome) {
        match &mut self.phase {
            Phase::Settling {
                outcome: outcome @ None,
                ..
            } => *outcome = Some(unreported),
            _ => {
                unreported.release(None);
            }
        }
    }

    /// Gives the environment work; back comes the call if it is not idle (any more). Tells whether
    /// the timer has to be set anew.
    pub(crate) fn deliver(
        &mut self,
        call: Call,
        arn: &HeaderValue,
        deadline: Deadline,
    ) -> Result<bool, Call> {
        match self.phase {
            Phase::Idle { .. } => {
                self.extensions.invoked(&call.invocation, arn, deadline);
                self.phase = Phase::Busy {
                    call,
                    deadline,
                    since: None,
                    cut_off: false,
                };
                Ok(self.armed.is_none_or(|armed| armed > deadline.at))
            }
            _ => Err(call),
        }
    }

    /// Whether the process may answer invocation `id` now, and how its caller wants the answer.
    pub(crate) fn expects(&self, id: Option<RequestId>) -> Result<Operation, Refusal> {
        match &self.phase {
            Phase::Busy {
                call,
                since: Some(_),
                ..
            } if Some(call.invocation.request_id) == id => Ok(call.invocation.operation),
            Phase::Busy { .. } => Err(Refusal::UnknownId),
            _ => Err(Refusal::WrongState),
        }
    }

    /// The process answers invocation `id`, by `failure` if that is not the function's own answer.
    pub(crate) fn answer(
        &mut self,
        id: RequestId,
        payload: FunctionPayload,
        failure: Option<&Failure>,
    ) -> Result<(), Refusal> {
        self.expects(Some(id))?;
        self.phase = match self.take() {
            Phase::Busy {
                call,
                deadline,
                since: Some(since),
                ..
            } => {
                let active = ActiveInvocation::of(&call.invocation, since);
                let caller = Caller::Waiting(call.caller);
                let outcome = Outcome::of(active, caller, payload, failure);
                Phase::Settling {
                    deadline,
                    outcome: Some(outcome),
                }
            }
            phase => phase,
        };
        Ok(())
    }

    /// The process begins to answer invocation `id`, whose caller takes the answer as it comes.
    pub(crate) fn begin_stream(
        &mut self,
        id: RequestId,
        content_type: Option<HeaderValue>,
    ) -> Result<mpsc::Sender<Bytes>, Refusal> {
        self.expects(Some(id))?;
        let (StreamSender { chunks, end }, stream) = stream(content_type);
        self.phase = match self.take() {
            Phase::Busy {
                call,
                deadline,
                since: Some(since),
                ..
            } => {
                let active = ActiveInvocation::of(&call.invocation, since);
                // Fails if the caller has gone, which is nobody's mistake.
                let _ = call.caller.send(FunctionResponse::Streamed(stream));
                Phase::Streaming {
                    active,
                    deadline,
                    end,
                    cut_off: false,
                }
            }
            phase => phase,
        };
        Ok(chunks)
    }

    /// All of the answer that was begun has come: it ended well, in the function's own `error`, or
    /// in a `failure`.
    pub(crate) fn end_stream(
        &mut self,
        error: Option<Bytes>,
        failure: Option<&Failure>,
    ) -> Result<(), Refusal> {
        let (phase, ended) = match self.take() {
            Phase::Streaming {
                active,
                deadline,
                end,
                ..
            } => {
                let payload = match error {
                    Some(error) => FunctionPayload::Error(error),
                    None => FunctionPayload::Success(Bytes::new()),
                };
                let outcome = Outcome::of(active, Caller::Streaming(end), payload, failure);
                let outcome = Some(outcome);
                (Phase::Settling { deadline, outcome }, Ok(()))
            }
            phase => (phase, Err(Refusal::WrongState)),
        };
        self.phase = phase;
        ended
    }

    /// The process broke off its answer to invocation `id`: it may be about to end, which says more.
    pub(crate) fn cut_off(&mut self, id: RequestId) {
        match &mut self.phase {
            Phase::Busy { call, cut_off, .. } if call.invocation.request_id == id => {
                *cut_off = true;
            }
            Phase::Streaming {
                active, cut_off, ..
            } if active.request_id == id => *cut_off = true,
            _ => {}
        }
    }

    /// The process, or an extension, reports that it cannot be initialised.
    pub(crate) fn init_error(&mut self, failure: Failure) -> Result<(), Refusal> {
        match self.phase {
            Phase::Starting { .. } if self.reported.is_none() => {
                self.reported = Some(failure);
                Ok(())
            }
            _ => Err(Refusal::WrongState),
        }
    }

    /// An extension is about to exit, which ends the environment.
    pub(crate) fn exit_error(&mut self, failure: Failure) {
        self.reported.get_or_insert(failure);
    }

    /// Ends an idle environment; `false` if it has become busy meanwhile.
    pub(crate) fn retire(&mut self) -> bool {
        let idle = matches!(self.phase, Phase::Idle { .. });
        if idle {
            self.phase = Phase::Ended;
        }
        idle
    }

    /// Ends the environment if it is still starting, which nobody has to be told; `false` if it is
    /// not.
    pub(crate) fn abandon(&mut self) -> bool {
        let starting = self.is_starting();
        if starting {
            self.phase = Phase::Ended;
        }
        starting
    }

    /// The environment ends, by `failure` unless it was told to. A call in it gets that as answer.
    pub(crate) fn end(&mut self, failure: Option<&Failure>) -> Ending {
        let (active, caller, failure) = match (self.take(), failure) {
            (Phase::Starting { .. }, _) => return Ending::FailedToStart,
            (Phase::Busy { call, since, .. }, Some(failure)) => {
                let active =
                    ActiveInvocation::of(&call.invocation, since.unwrap_or_else(Instant::now));
                (active, Caller::Waiting(call.caller), failure)
            }
            (Phase::Streaming { active, end, .. }, Some(failure)) => {
                (active, Caller::Streaming(end), failure)
            }
            (
                Phase::Settling {
                    outcome: Some(mut outcome),
                    ..
                },
                failure,
            ) => {
                outcome.failure = outcome.failure.or(failure.cloned());
                return Ending::During(outcome);
            }
            _ => return Ending::Quiet,
        };
        let payload = FunctionPayload::Error(failure.payload(&active.request_id));
        Ending::During(Outcome::of(active, caller, payload, Some(failure)))
    }

    /// When the present phase is over at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Starting { until } | Phase::Idle { until } => Some(*until),
            Phase::Busy { deadline, .. }
            | Phase::Streaming { deadline, .. }
            | Phase::Settling { deadline, .. } => Some(deadline.at),
            Phase::Ended => None,
        }
    }

    /// Sets the timer to the end of the present phase.
    pub(crate) fn arm(&mut self) -> Option<Instant> {
        self.armed = self.deadline();
        self.armed
    }

    /// Lets an idle environment stay until then.
    pub(crate) fn keep_until(&mut self, later: Instant) {
        if let Phase::Idle { until } = &mut self.phase {
            *until = later;
        }
    }

    /// Why it has to end, as the process or an extension has said.
    pub(crate) fn reported(&self) -> Option<Failure> {
        self.reported.clone()
    }

    /// Whether the process has not yet asked for its first invocation.
    pub(crate) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. })
    }

    /// Whether it waits for an invocation.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle { .. })
    }

    /// Whether the process has answered and not yet asked for more.
    pub(crate) fn is_settling(&self) -> bool {
        matches!(self.phase, Phase::Settling { .. })
    }

    /// Whether it is about to end.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Whether it can take no more for now.
    pub(crate) fn is_occupied(&self) -> bool {
        matches!(
            self.phase,
            Phase::Busy { .. } | Phase::Streaming { .. } | Phase::Ended
        )
    }
}

/// The process has gone on without the rest of its answer.
fn truncated(active: ActiveInvocation, caller: Caller, deadline: Deadline) -> Phase {
    let failure = Failure::Truncated;
    let payload = FunctionPayload::Error(failure.payload(&active.request_id));
    Phase::Settling {
        deadline,
        outcome: Some(Outcome::of(active, caller, payload, Some(&failure))),
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
