//! The span of one invocation.

use std::sync::Arc;
use std::time::SystemTime;

use lambda_api::FunctionName;

use crate::invocation::Timeline;
use crate::metrics::Outcome;

/// The span of an invocation that goes on.
pub(crate) struct Span {
    pub(super) trace_id: u128,
    /// The caller's span.
    pub(super) parent: Option<u64>,
    pub(super) id: u64,
    /// The caller's `tracestate`.
    pub(super) state: String,
}

/// The facts about an invocation at its end.
pub(crate) struct Ended {
    pub(crate) function: FunctionName,
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) outcome: Outcome,
    pub(crate) request_id: Option<String>,
    /// The invocation was an attempt to run a queued event.
    pub(crate) is_attempt: bool,
}

/// The span of an invocation that has ended.
pub(super) struct EndedSpan {
    pub(super) trace_id: u128,
    pub(super) parent: Option<u64>,
    pub(super) id: u64,
    pub(super) state: String,
    pub(super) ended: Ended,
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
}

impl Span {
    pub(super) fn finish(self, ended: Ended, now: SystemTime) -> EndedSpan {
        let passed = ended.timeline.arrival().elapsed();
        EndedSpan {
            trace_id: self.trace_id,
            parent: self.parent,
            id: self.id,
            state: self.state,
            start: now.checked_sub(passed).unwrap_or(now),
            end: now,
            ended,
        }
    }
}

/// Returns the id of a new span.
pub(super) fn new_id() -> u64 {
    fastrand::u64(1..)
}
