//! The life of an execution environment as a state machine: which step may follow which.
//!
//! ```text
//! Starting ──next──▶ Idle ──deliver──▶ Busy ──answer──▶ Settling
//!                      ▲                                   │
//!                      └───────────────next────────────────┘        any ──end──▶ Ended
//! ```

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::failure::Failure;
use crate::invocation::{FunctionAnswer, Invocation, RequestId};

/// An invocation that waits for its answer.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) invocation: Arc<Invocation>,
    /// Where the answer goes; the caller may have gone.
    pub(super) reply: oneshot::Sender<FunctionAnswer>,
}

/// When a [`Call`] has to be answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// For the invoker's own timer.
    pub(super) at: Instant,
    /// For the function: milliseconds since 1970.
    pub(super) epoch_ms: u128,
}

/// What is to be done when the process asks for the next invocation.
#[derive(Debug)]
pub(super) enum Next {
    /// There is none yet. `newly` if the environment was not idle before.
    Wait { newly: bool },
    /// This is it.
    Deliver(Arc<Invocation>, Deadline),
    /// It still has one, or it has ended.
    Refused,
}

/// Why an answer was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is for another invocation.
    UnknownId,
    /// No answer is due.
    WrongState,
}

/// What the end of an environment leaves to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It never became ready: somebody may be waiting for that.
    FailedToStart,
    /// Nobody else has to know.
    Quiet,
}

#[derive(Debug)]
enum Phase {
    Starting {
        until: Instant,
    },
    Idle,
    Busy {
        call: Call,
        deadline: Deadline,
        delivered: bool,
    },
    Settling {
        deadline: Deadline,
    },
    Ended {
        cause: Option<Failure>,
    },
}

/// Where an environment stands.
#[derive(Debug)]
pub(super) struct Lifecycle(Phase);

impl Lifecycle {
    /// A process that has until `until` to ask for its first invocation.
    pub(super) fn starting(until: Instant) -> Self {
        Self(Phase::Starting { until })
    }

    /// The process asks for an invocation.
    pub(super) fn next(&mut self) -> Next {
        match &mut self.0 {
            Phase::Starting { .. } | Phase::Settling { .. } => {
                self.0 = Phase::Idle;
                Next::Wait { newly: true }
            }
            Phase::Idle => Next::Wait { newly: false },
            Phase::Busy {
                call,
                deadline,
                delivered,
            } if !*delivered => {
                *delivered = true;
                Next::Deliver(Arc::clone(&call.invocation), *deadline)
            }
            Phase::Busy { .. } | Phase::Ended { .. } => Next::Refused,
        }
    }

    /// Gives the environment work; back comes the call if it is not idle (any more).
    pub(super) fn deliver(&mut self, call: Call, deadline: Deadline) -> Result<(), Call> {
        match self.0 {
            Phase::Idle => {
                self.0 = Phase::Busy {
                    call,
                    deadline,
                    delivered: false,
                };
                Ok(())
            }
            _ => Err(call),
        }
    }

    /// Whether the process may answer invocation `id` now.
    pub(super) fn expects(&self, id: Option<RequestId>) -> Result<(), Refusal> {
        match &self.0 {
            Phase::Busy {
                call,
                delivered: true,
                ..
            } if Some(call.invocation.request_id) == id => Ok(()),
            Phase::Busy { .. } => Err(Refusal::UnknownId),
            _ => Err(Refusal::WrongState),
        }
    }

    /// The process answers invocation `id`.
    pub(super) fn answer(&mut self, id: RequestId, answer: FunctionAnswer) -> Result<(), Refusal> {
        self.expects(Some(id))?;
        if let Phase::Busy { deadline, .. } = self.0
            && let Phase::Busy { call, .. } =
                std::mem::replace(&mut self.0, Phase::Settling { deadline })
        {
            // Fails if the caller has gone, which is nobody's mistake.
            let _ = call.reply.send(answer);
        }
        Ok(())
    }

    /// The process reports that it cannot be initialised.
    pub(super) fn init_error(&mut self, payload: Bytes) -> Result<(), Refusal> {
        match self.0 {
            Phase::Starting { .. } => {
                self.0 = Phase::Ended {
                    cause: Some(Failure::InitError(payload)),
                };
                Ok(())
            }
            _ => Err(Refusal::WrongState),
        }
    }

    /// The environment ends, by `failure` unless it was told to. A call in it gets that as answer.
    pub(super) fn end(&mut self, failure: Option<&Failure>) -> Ending {
        match std::mem::replace(&mut self.0, Phase::Ended { cause: None }) {
            Phase::Starting { .. } | Phase::Ended { cause: Some(_) } => Ending::FailedToStart,
            Phase::Busy { call, .. } => {
                if let Some(failure) = failure {
                    let _ = call.reply.send(failure.answer(&call.invocation.request_id));
                }
                Ending::Quiet
            }
            Phase::Idle | Phase::Settling { .. } | Phase::Ended { cause: None } => Ending::Quiet,
        }
    }

    /// When the present phase is over at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.0 {
            Phase::Starting { until } => Some(*until),
            Phase::Busy { deadline, .. } | Phase::Settling { deadline } => Some(deadline.at),
            Phase::Idle | Phase::Ended { .. } => None,
        }
    }

    /// The error of its initialisation, once the process has reported one.
    pub(super) fn reported(&self) -> Option<Failure> {
        match &self.0 {
            Phase::Ended { cause } => cause.clone(),
            _ => None,
        }
    }

    /// Whether the process has not yet asked for its first invocation.
    pub(super) fn is_starting(&self) -> bool {
        matches!(self.0, Phase::Starting { .. })
    }

    /// Whether the process has answered and not yet asked for more.
    pub(super) fn is_settling(&self) -> bool {
        matches!(self.0, Phase::Settling { .. })
    }

    /// Whether it can take no more for now.
    pub(super) fn is_occupied(&self) -> bool {
        matches!(self.0, Phase::Busy { .. } | Phase::Ended { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::header::HeaderValue;

    use super::*;
    use crate::invocation::{LogType, Operation};

    fn call() -> (Call, RequestId, oneshot::Receiver<FunctionAnswer>) {
        let (reply, answer) = oneshot::channel();
        let request_id = RequestId::random();
        let invocation = Invocation {
            request_id,
            operation: Operation::Invoke,
            log_type: LogType::None,
            target: "f".parse().unwrap(),
            payload: Bytes::from_static(b"{}"),
            trace_id: HeaderValue::from_static("Root=1"),
            client_context: None,
            tenant_id: None,
        };
        (
            Call {
                invocation: Arc::new(invocation),
                reply,
            },
            request_id,
            answer,
        )
    }

    fn deadline() -> Deadline {
        Deadline {
            at: Instant::now() + Duration::from_secs(3),
            epoch_ms: 3_000,
        }
    }

    fn idle() -> Lifecycle {
        let mut life = Lifecycle::starting(Instant::now());
        assert!(matches!(life.next(), Next::Wait { newly: true }));
        life
    }

    #[test]
    fn an_invocation_is_delivered_answered_and_the_environment_idle_again() {
        let mut life = idle();
        let (call, id, mut answer) = call();
        life.deliver(call, deadline()).unwrap();
        assert!(matches!(life.next(), Next::Deliver(invocation, _) if invocation.request_id == id));
        life.answer(id, FunctionAnswer::Success(Bytes::from_static(b"1")))
            .unwrap();
        assert_eq!(
            answer.try_recv(),
            Ok(FunctionAnswer::Success(Bytes::from_static(b"1")))
        );
        assert!(life.is_settling() && life.deadline().is_some());
        assert!(matches!(life.next(), Next::Wait { newly: true }));
        assert!(life.deadline().is_none());
    }

    #[test]
    fn a_second_poll_waits_and_does_not_make_it_idle_twice() {
        let mut life = idle();
        assert!(matches!(life.next(), Next::Wait { newly: false }));
    }

    #[test]
    fn an_answer_needs_an_invocation_and_its_id() {
        let mut life = idle();
        let (call, id, _answer) = call();
        assert_eq!(life.expects(Some(id)), Err(Refusal::WrongState));
        life.deliver(call, deadline()).unwrap();
        assert_eq!(
            life.expects(Some(id)),
            Err(Refusal::UnknownId),
            "not delivered yet"
        );
        assert!(matches!(life.next(), Next::Deliver(..)));
        assert_eq!(
            life.expects(Some(RequestId::random())),
            Err(Refusal::UnknownId)
        );
        assert_eq!(life.expects(None), Err(Refusal::UnknownId));
        assert!(matches!(life.next(), Next::Refused));
        life.answer(id, FunctionAnswer::Error(Bytes::new()))
            .unwrap();
        assert_eq!(
            life.answer(id, FunctionAnswer::Error(Bytes::new())),
            Err(Refusal::WrongState)
        );
    }

    #[test]
    fn the_end_answers_the_call_that_runs() {
        let mut life = idle();
        let (call, id, mut answer) = call();
        life.deliver(call, deadline()).unwrap();
        let failure = Failure::TimedOut(Duration::from_secs(3));
        assert_eq!(life.end(Some(&failure)), Ending::Quiet);
        assert_eq!(answer.try_recv().unwrap(), failure.answer(&id));
        assert!(life.is_occupied());
        assert!(matches!(life.next(), Next::Refused));
    }

    #[test]
    fn only_an_environment_that_never_was_ready_fails_to_start() {
        assert_eq!(
            Lifecycle::starting(Instant::now()).end(None),
            Ending::FailedToStart
        );
        assert_eq!(idle().end(None), Ending::Quiet);
        let mut reported = Lifecycle::starting(Instant::now());
        reported.init_error(Bytes::from_static(b"{}")).unwrap();
        assert!(reported.reported().is_some());
        assert_eq!(reported.end(None), Ending::FailedToStart);
        assert_eq!(reported.end(None), Ending::Quiet, "once");
        assert_eq!(idle().init_error(Bytes::new()), Err(Refusal::WrongState));
    }
}
