//! The life of an execution environment as a state machine without input or output.
//!
//! ```text
//! Starting ──all ask──▶ Idle ──deliver──▶ Busy ──respond──▶ Settling
//!                         ▲                 │                 ▲    │
//!                         │          begin_stream──▶ Streaming┘    │     any ──end──▶ Ended
//!                         └──────────────────all ask───────────────┘
//! ```
//!
//! "All ask" means that the runtime and every extension have asked for their next invocation or
//! event.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::extensions::Extensions;
use super::failure::Failure;
use super::outcome::{ActiveInvocation, Caller, InvocationOutcome};
use super::phase::{Phase, truncated};
use super::transitions::{
    Deadline, Ending, Next, PendingInvocation, RuntimeApiError, RuntimeState, Transition,
};
use crate::invocation::{FunctionPayload, FunctionResponse, RequestId, Step, StreamSender, stream};
use crate::metrics::EnvironmentPhase;
use lambda_api::Operation;

/// The state of an execution environment.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: Phase,
    /// The runtime waits for its next invocation.
    runtime_waits: bool,
    /// The environment's owner knows that it is idle.
    is_announced: bool,
    /// The time at which the supervisor's timer fires. It may be too early for the present phase,
    /// because firing early costs less than a reset.
    timer: Option<Instant>,
    /// The failure that the runtime or an extension has reported. The environment has to end.
    reported_failure: Option<Failure>,
    /// The registered extensions.
    pub(crate) extensions: Extensions,
}

impl Lifecycle {
    /// Creates the state of an environment that has until `until` to become idle.
    pub(crate) fn starting(until: Instant) -> Self {
        Self {
            phase: Phase::Starting { until },
            runtime_waits: false,
            is_announced: false,
            timer: None,
            reported_failure: None,
            extensions: Extensions::default(),
        }
    }

    fn take(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Ended)
    }

    /// Handles the runtime's request for its next invocation.
    pub(crate) fn next(&mut self) -> Next {
        if self.reported_failure.is_some() {
            return Next::Refused(self.refusal(RuntimeState::Ready));
        }
        if let Phase::Busy {
            pending,
            deadline,
            since,
            responding: None,
            cut_off: false,
        } = &mut self.phase
        {
            let invocation = Arc::clone(&pending.invocation);
            return match since.replace(Instant::now()) {
                None => {
                    invocation.timeline.reach(Step::Delivered);
                    self.runtime_waits = false;
                    Next::Deliver(invocation, *deadline)
                }
                first => {
                    *since = first;
                    Next::Unanswered(invocation, *deadline)
                }
            };
        }
        self.phase = match self.take() {
            // A runtime that asks for more will not complete a response that it broke off.
            Phase::Busy {
                pending,
                deadline,
                since: Some(since),
                cut_off: true,
                ..
            } => {
                let active = ActiveInvocation::of(&pending.invocation, since);
                truncated(&active, Caller::Waiting(pending.caller), deadline)
            }
            Phase::Streaming {
                active,
                deadline,
                end,
                cut_off: true,
            } => truncated(&active, Caller::Streaming(end), deadline),
            phase @ (Phase::Starting { .. } | Phase::Settling { .. } | Phase::Idle { .. }) => phase,
            phase @ (Phase::Busy { .. } | Phase::Streaming { .. }) => {
                self.phase = phase;
                return Next::Early(self.refusal(RuntimeState::Ready));
            }
            Phase::Ended => return Next::Refused(self.refusal(RuntimeState::Ready)),
        };
        self.runtime_waits = true;
        Next::Wait
    }

    /// Returns the error of a runtime whose state does not allow it to go on to `to`.
    fn refusal(&self, to: RuntimeState) -> RuntimeApiError {
        let from = match &self.reported_failure {
            Some(Failure::InitError { .. }) => RuntimeState::InitError,
            _ => self.phase.runtime_state(self.runtime_waits),
        };
        RuntimeApiError::WrongState { from, to }
    }

    /// Goes on to the next phase if all processes have asked for more.
    ///
    /// An environment that becomes idle stays until `idle_until`.
    pub(crate) fn settle(&mut self, idle_until: Instant) -> Transition {
        if !self.runtime_waits || !self.extensions.all_wait() || self.reported_failure.is_some() {
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
                self.is_announced = false;
                Transition::Idle {
                    first,
                    resets_timer: self.fires_after(idle_until),
                }
            }
            _ => Transition::None,
        }
    }

    /// Takes back an outcome that could not be reported.
    pub(crate) fn take_back(&mut self, unreported: InvocationOutcome) {
        match &mut self.phase {
            Phase::Settling {
                outcome: outcome @ None,
                ..
            } => *outcome = Some(unreported),
            _ => {
                unreported.send(None);
            }
        }
    }

    /// Gives an idle environment an invocation, and returns true if the timer has to be reset.
    ///
    /// # Errors
    /// Returns the invocation if the environment is not idle.
    pub(crate) fn deliver(
        &mut self,
        pending: PendingInvocation,
        arn: &HeaderValue,
        deadline: Deadline,
    ) -> Result<bool, PendingInvocation> {
        match self.phase {
            Phase::Idle { .. } => {
                self.extensions
                    .announce_invocation(&pending.invocation, arn, deadline);
                self.phase = Phase::Busy {
                    pending,
                    deadline,
                    since: None,
                    responding: None,
                    cut_off: false,
                };
                Ok(self.fires_after(deadline.at))
            }
            _ => Err(pending),
        }
    }

    /// Notes that the runtime begins a response to invocation `id`, and returns the caller's
    /// operation.
    pub(crate) fn begin_response(
        &mut self,
        id: RequestId,
        is_error: bool,
    ) -> Result<Operation, RuntimeApiError> {
        let to = RuntimeState::responding(is_error);
        let current = match &mut self.phase {
            Phase::Busy {
                pending,
                since: Some(_),
                responding,
                ..
            } => {
                if pending.invocation.request_id == id && responding.is_none() {
                    *responding = Some(to);
                    return Ok(pending.invocation.operation);
                }
                pending.invocation.request_id
            }
            Phase::Streaming { active, .. } => active.request_id,
            Phase::Settling { request_id, .. } => *request_id,
            _ => return Err(RuntimeApiError::UnknownId),
        };
        match current == id {
            true => Err(self.refusal(to)),
            false => Err(RuntimeApiError::UnknownId),
        }
    }

    /// Ends invocation `id` with a response. `failure` is the cause of a response that is not the
    /// function's own.
    pub(crate) fn respond(
        &mut self,
        id: RequestId,
        payload: FunctionPayload,
        failure: Option<&Failure>,
    ) -> Result<(), RuntimeApiError> {
        let (pending, deadline, since) = self.take_running(id)?;
        let active = ActiveInvocation::of(&pending.invocation, since);
        let caller = Caller::Waiting(pending.caller);
        let outcome = InvocationOutcome::of(&active, caller, payload, failure);
        self.phase = Phase::Settling {
            request_id: id,
            responded: Instant::now(),
            deadline,
            outcome: Some(outcome),
        };
        Ok(())
    }

    /// Takes invocation `id`, to which the runtime responds. The phase has to be set after that.
    fn take_running(
        &mut self,
        id: RequestId,
    ) -> Result<(PendingInvocation, Deadline, Instant), RuntimeApiError> {
        match self.take() {
            Phase::Busy {
                pending,
                deadline,
                since: Some(since),
                ..
            } if pending.invocation.request_id == id => Ok((pending, deadline, since)),
            phase => {
                self.phase = phase;
                Err(self.refusal(RuntimeState::RuntimeResponseSentState))
            }
        }
    }

    /// Begins a streamed response to invocation `id`, and returns the sender of its chunks.
    pub(crate) fn begin_stream(
        &mut self,
        id: RequestId,
        content_type: Option<HeaderValue>,
    ) -> Result<mpsc::Sender<Bytes>, RuntimeApiError> {
        let (pending, deadline, since) = self.take_running(id)?;
        let (StreamSender { chunks, end }, stream) = stream(content_type);
        let active = ActiveInvocation::of(&pending.invocation, since);
        active.timeline.reach(Step::Responded);
        // Fails if the caller has left.
        let _ = pending.caller.send(FunctionResponse::Streamed(stream));
        self.phase = Phase::Streaming {
            active,
            deadline,
            end,
            cut_off: false,
        };
        Ok(chunks)
    }

    /// Ends a streamed response, with the function's own `error` or with a `failure` if it did not
    /// succeed.
    pub(crate) fn end_stream(
        &mut self,
        error: Option<Bytes>,
        failure: Option<&Failure>,
    ) -> Result<(), RuntimeApiError> {
        match self.take() {
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
                let caller = Caller::Streaming(end);
                let outcome = InvocationOutcome::of(&active, caller, payload, failure);
                self.phase = Phase::Settling {
                    request_id: outcome.request_id,
                    responded: Instant::now(),
                    deadline,
                    outcome: Some(outcome),
                };
                Ok(())
            }
            phase => {
                self.phase = phase;
                Err(self.refusal(RuntimeState::RuntimeResponseSentState))
            }
        }
    }

    /// Notes that the runtime broke off its response to invocation `id`. Returns false if that
    /// response is complete.
    ///
    /// The invocation goes on, because the runtime may be about to end, and its exit status says
    /// more.
    pub(crate) fn cut_off(&mut self, id: RequestId) -> bool {
        match &mut self.phase {
            Phase::Busy {
                pending,
                responding,
                cut_off,
                ..
            } if pending.invocation.request_id == id => {
                *responding = None;
                *cut_off = true;
                true
            }
            Phase::Streaming {
                active, cut_off, ..
            } if active.request_id == id => {
                *cut_off = true;
                true
            }
            _ => false,
        }
    }

    /// Notes that the runtime reported a failed initialisation.
    pub(crate) fn init_error(&mut self, failure: Failure) -> Result<(), RuntimeApiError> {
        match self.phase {
            Phase::Starting { .. } if self.reported_failure.is_none() && !self.runtime_waits => {
                self.reported_failure = Some(failure);
                Ok(())
            }
            _ => Err(self.refusal(RuntimeState::InitError)),
        }
    }

    /// Notes that an extension reported an error, which ends the environment.
    pub(crate) fn extension_error(&mut self, failure: Failure) {
        self.reported_failure.get_or_insert(failure);
    }

    /// Ends the environment if it is idle. Returns true if it was.
    pub(crate) fn retire(&mut self) -> bool {
        let is_idle = self.is_idle();
        if is_idle {
            self.phase = Phase::Ended;
        }
        is_idle
    }

    /// Ends the environment without a failure if it is still starting. Returns true if it was.
    pub(crate) fn abandon(&mut self) -> bool {
        let is_starting = self.is_starting();
        if is_starting {
            self.phase = Phase::Ended;
        }
        is_starting
    }

    /// Ends the environment. The caller of an unfinished invocation gets `failure` as the response.
    /// There is no failure if the invoker itself ends the environment.
    pub(crate) fn end(&mut self, failure: Option<&Failure>) -> Ending {
        let (active, caller, failure) = match (self.take(), failure) {
            (Phase::Starting { .. }, _) => return Ending::FailedToStart,
            (Phase::Busy { pending, since, .. }, Some(failure)) => {
                let active =
                    ActiveInvocation::of(&pending.invocation, since.unwrap_or_else(Instant::now));
                (active, Caller::Waiting(pending.caller), failure)
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
        Ending::During(InvocationOutcome::of(
            &active,
            caller,
            payload,
            Some(failure),
        ))
    }

    /// Returns the invocation that the runtime has, and whose response is not complete.
    pub(crate) fn invocation(&self) -> Option<RequestId> {
        self.phase.invocation()
    }

    /// Returns the time limit of the present phase.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.phase.deadline()
    }

    /// Sets the timer to the time limit of the present phase, and returns that time.
    pub(crate) fn set_timer(&mut self) -> Option<Instant> {
        self.timer = self.deadline();
        self.timer
    }

    /// Returns true if the supervisor's timer would fire too late for a time limit.
    fn fires_after(&self, limit: Instant) -> bool {
        self.timer.is_none_or(|at| at > limit)
    }

    /// Lets an idle environment stay until `later`.
    pub(crate) fn keep_until(&mut self, later: Instant) {
        if let Phase::Idle { until } = &mut self.phase {
            *until = later;
        }
    }

    /// Returns the failure that the runtime or an extension has reported.
    pub(crate) fn reported_failure(&self) -> Option<Failure> {
        self.reported_failure.clone()
    }

    /// Returns true if the environment has not been idle yet.
    pub(crate) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. })
    }

    /// Returns the state of the environment as figures have it.
    pub(crate) fn state(&self) -> EnvironmentPhase {
        self.phase.in_figures()
    }

    /// Returns true if the environment waits for an invocation.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle { .. })
    }

    /// Returns the time since which the environment is about to be ready for another invocation: that
    /// of the runtime's response, or the present if only its owner does not know yet that it is idle.
    pub(crate) fn about_to_be_ready_since(&self) -> Option<Instant> {
        match self.phase {
            Phase::Settling { responded, .. } if self.reported_failure.is_none() => Some(responded),
            Phase::Idle { .. } if !self.is_announced => Some(Instant::now()),
            _ => None,
        }
    }

    /// Notes that the environment's owner knows that it is idle.
    pub(crate) fn announce(&mut self) {
        self.is_announced = true;
    }

    /// Returns true if the environment has ended or is about to end.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Returns true if the environment has an invocation without a response, or has ended.
    pub(crate) fn is_occupied(&self) -> bool {
        matches!(
            self.phase,
            Phase::Busy { .. } | Phase::Streaming { .. } | Phase::Ended
        )
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
