use std::time::Duration;

use tokio::sync::oneshot;

use super::super::extensions::Registration;
use super::*;
use crate::invocation::{Invocation, StreamPiece, Timeline};
use lambda_api::{FunctionAddress, LogType};

type NewInvocation = (
    PendingInvocation,
    RequestId,
    oneshot::Receiver<FunctionResponse>,
);

fn invocation_of(operation: Operation, log_type: LogType) -> NewInvocation {
    let (caller, response) = oneshot::channel();
    let request_id = RequestId::random();
    let invocation = Invocation {
        version: lambda_api::Qualifier::latest(),
        request_id,
        operation,
        log_type,
        address: FunctionAddress::parse("f", None).unwrap(),
        payload: Bytes::from_static(b"{}"),
        trace_id: HeaderValue::from_static("Root=1"),
        client_context: None,
        tenant_id: None,
        timeline: Arc::new(Timeline::begin(false)),
    };
    let invocation = Arc::new(invocation);
    (
        PendingInvocation { invocation, caller },
        request_id,
        response,
    )
}

fn invocation() -> NewInvocation {
    invocation_of(Operation::Invoke, LogType::None)
}

fn deadline() -> Deadline {
    Deadline {
        at: Instant::now() + Duration::from_secs(3),
        epoch_ms: 3_000,
    }
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

fn deliver(life: &mut Lifecycle, pending: PendingInvocation) -> bool {
    let arn = HeaderValue::from_static("arn");
    life.deliver(pending, &arn, deadline()).unwrap()
}

fn idle() -> Lifecycle {
    let mut life = Lifecycle::starting(Instant::now());
    assert!(
        matches!(life.settle(later()), Transition::None),
        "no process has asked"
    );
    assert!(matches!(life.next(), Next::Wait));
    assert!(matches!(
        life.settle(later()),
        Transition::Idle { first: true, .. }
    ));
    life
}

/// Returns an environment whose runtime has received the invocation.
fn busy(pending: PendingInvocation) -> Lifecycle {
    let mut life = idle();
    deliver(&mut life, pending);
    assert!(matches!(life.next(), Next::Deliver(..)));
    life
}

fn payload(response: FunctionResponse) -> FunctionPayload {
    match response {
        FunctionResponse::Buffered { payload, .. } => payload,
        FunctionResponse::Streamed(_) => panic!("streamed"),
    }
}

fn success() -> FunctionPayload {
    FunctionPayload::Success(Bytes::from_static(b"1"))
}

#[test]
fn an_environment_is_idle_again_after_its_invocation() {
    let (pending, id, mut response) = invocation();
    let mut life = busy(pending);
    life.respond(id, success(), None).unwrap();
    assert_eq!(payload(response.try_recv().unwrap()), success());
    assert!(life.about_to_be_ready_since().is_some() && life.deadline().is_some());
    assert!(
        matches!(life.settle(later()), Transition::None),
        "the runtime has not asked yet"
    );
    assert!(matches!(life.next(), Next::Wait));
    assert!(
        matches!(life.settle(later()), Transition::InvocationFinished(outcome) if outcome.request_id == id)
    );
    assert!(matches!(
        life.settle(later()),
        Transition::Idle { first: false, .. }
    ));
    assert!(life.is_idle());
    assert!(
        life.about_to_be_ready_since().is_some(),
        "until it is announced"
    );
    life.announce();
    assert!(life.about_to_be_ready_since().is_none());
}

#[test]
fn an_environment_does_not_become_idle_twice() {
    let mut life = idle();
    assert!(matches!(life.next(), Next::Wait));
    assert!(matches!(life.settle(later()), Transition::None));
}

fn refused(from: RuntimeState, to: RuntimeState) -> RuntimeApiError {
    RuntimeApiError::WrongState { from, to }
}

#[test]
fn a_response_needs_an_invocation_and_its_id() {
    let mut life = idle();
    let (pending, id, _response) = invocation();
    let unknown = Err(RuntimeApiError::UnknownId);
    assert_eq!(life.begin_response(id, false), unknown, "idle");
    deliver(&mut life, pending);
    assert_eq!(life.begin_response(id, false), unknown, "not delivered yet");
    assert!(matches!(life.next(), Next::Deliver(..)));
    assert_eq!(life.begin_response(RequestId::random(), false), unknown);
    assert_eq!(life.begin_response(id, true), Ok(Operation::Invoke));
    assert_eq!(
        life.begin_response(id, false),
        Err(refused(
            RuntimeState::InvocationErrorResponse,
            RuntimeState::InvocationResponse
        )),
        "another response is on its way"
    );
    life.respond(id, success(), None).unwrap();
    assert_eq!(
        life.begin_response(id, false),
        Err(refused(
            RuntimeState::RuntimeResponseSentState,
            RuntimeState::InvocationResponse
        )),
        "once"
    );
    assert!(life.respond(id, success(), None).is_err(), "once");
    assert_eq!(life.begin_response(RequestId::random(), false), unknown);
}

#[test]
fn a_runtime_that_asks_again_gets_its_invocation_again() {
    let (pending, id, _response) = invocation();
    let mut life = busy(pending);
    for _ in 0..2 {
        let Next::Unanswered(again, _) = life.next() else {
            panic!("not again");
        };
        assert_eq!(again.request_id, id);
    }
    // While a response is on its way, the runtime has to wait for its end.
    life.begin_response(id, false).unwrap();
    let refusal = refused(RuntimeState::InvocationResponse, RuntimeState::Ready);
    assert!(matches!(life.next(), Next::Early(found) if found == refusal));
    life.respond(id, success(), None).unwrap();
    assert!(matches!(life.next(), Next::Wait));
}

#[test]
fn a_response_with_a_log_tail_waits_for_the_end_of_the_log() {
    let (pending, id, mut response) = invocation_of(Operation::Invoke, LogType::Tail);
    let mut life = busy(pending);
    life.respond(id, success(), None).unwrap();
    response.try_recv().unwrap_err();
    assert!(matches!(life.next(), Next::Wait));
    let Transition::InvocationFinished(outcome) = life.settle(later()) else {
        panic!("not over");
    };
    assert!(outcome.unsent.is_some());
    outcome.send(Some(b"log".to_vec()));
    assert!(matches!(
        response.try_recv(),
        Ok(FunctionResponse::Buffered { log_tail: Some(log), .. }) if log == b"log"
    ));
}

#[tokio::test]
async fn a_truncated_stream_ends_in_an_error_once_the_runtime_asks_for_more() {
    let (pending, id, mut response) =
        invocation_of(Operation::InvokeWithResponseStream, LogType::None);
    let mut life = busy(pending);
    let chunks = life.begin_stream(id, None).unwrap();
    let Ok(FunctionResponse::Streamed(mut stream)) = response.try_recv() else {
        panic!("not a stream");
    };
    assert!(life.begin_response(id, false).is_err());
    assert!(matches!(life.next(), Next::Early(_)));
    assert!(!life.cut_off(RequestId::random()));
    assert!(
        matches!(life.next(), Next::Early(_)),
        "of another invocation"
    );
    assert!(life.cut_off(id));
    drop(chunks);
    assert!(matches!(life.next(), Next::Wait));
    let piece = std::future::poll_fn(|context| stream.poll_next(context)).await;
    let StreamPiece::End(completion) = piece else {
        panic!("{piece:?}");
    };
    assert_eq!(completion.error, Some(Failure::Truncated.payload(&id)));
    assert!(life.end_stream(None, None).is_err(), "once");
}

#[test]
fn the_caller_gets_the_failure_that_ends_the_environment() {
    let (pending, id, mut response) = invocation();
    let mut life = busy(pending);
    let failure = Failure::TimedOut(Duration::from_secs(3));
    assert!(
        matches!(life.end(Some(&failure)), Ending::During(outcome) if outcome.request_id == id)
    );
    let expected = FunctionPayload::Error(failure.payload(&id));
    assert_eq!(payload(response.try_recv().unwrap()), expected);
    assert!(life.is_occupied());
    assert!(matches!(life.next(), Next::Refused(_)));
}

#[test]
fn only_an_environment_that_was_never_idle_fails_to_start() {
    let mut starting = Lifecycle::starting(Instant::now());
    assert!(matches!(starting.end(None), Ending::FailedToStart));
    assert!(matches!(starting.end(None), Ending::Quiet), "once");
    assert!(matches!(idle().end(None), Ending::Quiet));
    let mut reported = Lifecycle::starting(Instant::now());
    let error = Failure::InitError {
        error_type: "Runtime.Unknown".to_owned(),
        payload: Bytes::from_static(b"{}"),
    };
    reported.init_error(error.clone()).unwrap();
    assert!(reported.reported_failure().is_some());
    assert!(matches!(reported.next(), Next::Refused(_)));
    assert!(matches!(reported.end(None), Ending::FailedToStart));
    let refusal = refused(RuntimeState::Ready, RuntimeState::InitError);
    assert_eq!(idle().init_error(error), Err(refusal));
}

#[test]
fn an_environment_is_idle_once_its_extensions_are() {
    let mut life = Lifecycle::starting(Instant::now());
    let events = br#"{"events":["INVOKE"]}"#;
    let registration = Registration {
        name: "e",
        body: events,
        is_external: true,
        is_closed: false,
    };
    let id = life.extensions.register(&registration).unwrap();
    assert!(matches!(life.next(), Next::Wait));
    assert!(matches!(life.settle(later()), Transition::None));
    assert_eq!(life.extensions.next(id), Ok(None));
    assert!(matches!(life.settle(later()), Transition::Idle { .. }));

    let (pending, request_id, mut response) = invocation();
    deliver(&mut life, pending);
    assert!(matches!(life.next(), Next::Deliver(..)));
    let event = life.extensions.next(id).unwrap().unwrap();
    let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
    assert_eq!(event["requestId"], request_id.to_string());
    assert_eq!(event["deadlineMs"], 3_000);
    life.respond(request_id, success(), None).unwrap();
    response.try_recv().unwrap();
    assert!(matches!(life.next(), Next::Wait));
    assert!(matches!(life.settle(later()), Transition::None));
    assert_eq!(life.extensions.next(id), Ok(None));
    assert!(matches!(
        life.settle(later()),
        Transition::InvocationFinished(_)
    ));
}

#[test]
fn the_timer_is_reset_only_if_it_would_fire_too_late() {
    let mut life = idle();
    life.set_timer();
    let (first, ..) = invocation();
    assert!(
        deliver(&mut life, first),
        "the timer was set for the idle phase"
    );
    let mut life = Lifecycle::starting(Instant::now());
    life.set_timer();
    assert!(matches!(life.next(), Next::Wait));
    assert!(matches!(life.settle(later()), Transition::Idle { .. }));
    let (first, ..) = invocation();
    assert!(
        !deliver(&mut life, first),
        "the timer fires before the deadline"
    );
}

#[test]
fn the_idle_time_counts_even_if_it_is_shorter_than_the_timeout_of_the_call() {
    let (pending, id, _response) = invocation();
    let mut life = busy(pending);
    life.set_timer();
    life.respond(id, success(), None).unwrap();
    life.next();
    life.settle(later());
    let until = Instant::now() + Duration::from_secs(1);
    let Transition::Idle { resets_timer, .. } = life.settle(until) else {
        panic!("not idle");
    };
    assert!(
        resets_timer,
        "the timer is set for the deadline of the call"
    );
    assert_eq!(life.set_timer(), Some(until));
    // The next call does not touch the timer, which fires before its deadline.
    let (pending, ..) = invocation();
    assert!(!deliver(&mut life, pending));
}

#[test]
fn only_an_idle_environment_retires() {
    let mut life = idle();
    assert!(life.retire() && life.is_ended());
    let (pending, ..) = invocation();
    let mut life = busy(pending);
    assert!(!life.retire());
}

#[test]
fn an_outcome_that_cannot_be_reported_is_sent_without_the_log() {
    let (pending, id, mut response) = invocation_of(Operation::Invoke, LogType::Tail);
    let mut life = busy(pending);
    life.respond(id, success(), None).unwrap();
    life.next();
    let Transition::InvocationFinished(outcome) = life.settle(later()) else {
        panic!("not over");
    };
    assert!(matches!(life.end(None), Ending::Quiet));
    life.take_back(outcome);
    assert_eq!(payload(response.try_recv().unwrap()), success());
}
