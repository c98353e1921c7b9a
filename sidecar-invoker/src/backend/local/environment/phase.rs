//! The phases of an execution environment.

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::failure::Failure;
use super::outcome::{ActiveInvocation, Caller, InvocationOutcome};
use super::transitions::{Deadline, PendingInvocation, RuntimeState};
use crate::invocation::{Completion, FunctionPayload, RequestId};
use crate::metrics::EnvironmentPhase;

/// The phase of an environment's life, with what it needs.
#[derive(Debug)]
pub(super) enum Phase {
    Starting {
        until: Instant,
    },
    Idle {
        until: Instant,
    },
    Busy {
        pending: PendingInvocation,
        deadline: Deadline,
        /// The time of delivery to the runtime.
        since: Option<Instant>,
        /// The state of a runtime whose response is on its way.
        responding: Option<RuntimeState>,
        /// The runtime broke off its response.
        cut_off: bool,
    },
    Streaming {
        active: ActiveInvocation,
        deadline: Deadline,
        end: oneshot::Sender<Completion>,
        /// The runtime broke off its response.
        cut_off: bool,
    },
    Settling {
        request_id: RequestId,
        /// The time of the response.
        responded: Instant,
        deadline: Deadline,
        /// Present until it is reported.
        outcome: Option<InvocationOutcome>,
    },
    Ended,
}

impl Phase {
    /// Returns the state of the runtime, which may be waiting for its next invocation.
    pub(super) fn runtime_state(&self, runtime_waits: bool) -> RuntimeState {
        match self {
            _ if runtime_waits => RuntimeState::Ready,
            Self::Starting { .. } => RuntimeState::Started,
            Self::Busy {
                responding, since, ..
            } => match since {
                Some(_) => responding.unwrap_or(RuntimeState::Running),
                None => RuntimeState::Ready,
            },
            Self::Streaming { .. } => RuntimeState::InvocationResponse,
            Self::Settling { .. } => RuntimeState::RuntimeResponseSentState,
            Self::Idle { .. } | Self::Ended => RuntimeState::Ready,
        }
    }

    /// Returns the invocation that the runtime has, and whose response is not complete.
    pub(super) fn invocation(&self) -> Option<RequestId> {
        match self {
            Self::Busy {
                pending,
                since: Some(_),
                ..
            } => Some(pending.invocation.request_id),
            Self::Streaming { active, .. } => Some(active.request_id),
            _ => None,
        }
    }

    /// Returns the time limit of the phase.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Starting { until } | Self::Idle { until } => Some(*until),
            Self::Busy { deadline, .. }
            | Self::Streaming { deadline, .. }
            | Self::Settling { deadline, .. } => Some(deadline.at),
            Self::Ended => None,
        }
    }

    /// Returns the phase as figures have it.
    pub(super) fn in_figures(&self) -> EnvironmentPhase {
        match self {
            Self::Starting { .. } => EnvironmentPhase::Starting,
            Self::Idle { .. } => EnvironmentPhase::Idle,
            Self::Busy { .. } | Self::Streaming { .. } | Self::Settling { .. } => {
                EnvironmentPhase::Busy
            }
            Self::Ended => EnvironmentPhase::Ending,
        }
    }
}

/// Returns the phase of an environment whose runtime did not complete its response.
pub(super) fn truncated(active: &ActiveInvocation, caller: Caller, deadline: Deadline) -> Phase {
    let failure = Failure::Truncated;
    let payload = FunctionPayload::Error(failure.payload(&active.request_id));
    let outcome = InvocationOutcome::of(active, caller, payload, Some(&failure));
    Phase::Settling {
        request_id: outcome.request_id,
        responded: Instant::now(),
        deadline,
        outcome: Some(outcome),
    }
}
