use std::time::Duration;

use super::*;
use crate::invocation::{Invocation, StreamPiece};
use lambda_api::{FunctionAddress, LogType};

type Answer = oneshot::Receiver<FunctionResponse>;

fn call_of(operation: Operation, log_type: LogType) -> (Call, RequestId, Answer) {
    let (caller, response) = oneshot::channel();
    let request_id = RequestId::random();
    let invocation = Invocation {
        request_id,
        operation,
        log_type,
        address: FunctionAddress::parse("f", None).unwrap(),
        payload: Bytes::from_static(b"{}"),
        trace_id: HeaderValue::from_static("Root=1"),
        client_context: None,
        tenant_id: None,
    };
    let invocation = Arc::new(invocation);
    (Call { invocation, caller }, request_id, response)
}

fn call() -> (Call, RequestId, Answer) {
    call_of(Operation::Invoke, LogType::None)
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

fn deliver(life: &mut Lifecycle, call: Call) -> bool {
    let arn = HeaderValue::from_static("arn");
    life.deliver(call, &arn, deadline()).unwrap()
}

fn idle() -> Lifecycle {
    let mut life = Lifecycle::starting(Instant::now());
    assert!(
        matches!(life.settle(later()), Transition::None),
        "nobody asked"
    );
    assert!(matches!(life.next(), Next::Wait));
    assert!(matches!(
        life.settle(later()),
        Transition::Idle { first: true }
    ));
    life
}

/// An environment that works on this call.
fn busy(call: Call) -> Lifecycle {
    let mut life = idle();
    deliver(&mut life, call);
    assert!(matches!(life.next(), Next::Deliver(..)));
    life
}

fn payload(reply: FunctionResponse) -> FunctionPayload {
    match reply {
        FunctionResponse::Buffered { payload, .. } => payload,
        FunctionResponse::Streamed(_) => panic!("streamed"),
    }
}

fn success() -> FunctionPayload {
    FunctionPayload::Success(Bytes::from_static(b"1"))
}

#[test]
fn an_invocation_is_delivered_answered_and_the_environment_idle_again() {
    let (call, id, mut answer) = call();
    let mut life = busy(call);
    life.answer(id, success(), None).unwrap();
    assert_eq!(payload(answer.try_recv().unwrap()), success());
    assert!(life.is_settling() && life.deadline().is_some());
    assert!(
        matches!(life.settle(later()), Transition::None),
        "not asked yet"
    );
    assert!(matches!(life.next(), Next::Wait));
    assert!(
        matches!(life.settle(later()), Transition::InvocationFinished(outcome) if outcome.request_id == id)
    );
    assert!(matches!(
        life.settle(later()),
        Transition::Idle { first: false }
    ));
    assert!(life.is_idle());
}

#[test]
fn a_second_poll_waits_and_does_not_make_it_idle_twice() {
    let mut life = idle();
    assert!(matches!(life.next(), Next::Wait));
    assert!(matches!(life.settle(later()), Transition::None));
}

#[test]
fn an_answer_needs_an_invocation_and_its_id() {
    let mut life = idle();
    let (call, id, _answer) = call();
    assert_eq!(life.expects(Some(id)), Err(Refusal::WrongState));
    deliver(&mut life, call);
    assert_eq!(
        life.expects(Some(id)),
        Err(Refusal::UnknownId),
        "not delivered yet"
    );
    assert!(matches!(life.next(), Next::Deliver(..)));
    let other = Some(RequestId::random());
    assert_eq!(life.expects(other), Err(Refusal::UnknownId));
    assert_eq!(life.expects(None), Err(Refusal::UnknownId));
    assert!(matches!(life.next(), Next::Early));
    life.answer(id, success(), None).unwrap();
    assert_eq!(
        life.answer(id, success(), None),
        Err(Refusal::WrongState),
        "once"
    );
}

#[test]
fn an_answer_waits_for_the_end_of_the_log_if_that_is_wanted() {
    let (call, id, mut answer) = call_of(Operation::Invoke, LogType::Tail);
    let mut life = busy(call);
    life.answer(id, success(), None).unwrap();
    answer.try_recv().unwrap_err();
    assert!(matches!(life.next(), Next::Wait));
    let Transition::InvocationFinished(outcome) = life.settle(later()) else {
        panic!("not over");
    };
    assert!(outcome.held.is_some());
    outcome.release(Some(b"log".to_vec()));
    assert!(matches!(
        answer.try_recv(),
        Ok(FunctionResponse::Buffered { log_tail: Some(log), .. }) if log == b"log"
    ));
}

#[tokio::test]
async fn a_stream_that_is_broken_off_ends_in_an_error_once_the_process_goes_on() {
    let (call, id, mut answer) = call_of(Operation::InvokeWithResponseStream, LogType::None);
    let mut life = busy(call);
    let chunks = life.begin_stream(id, None).unwrap();
    let Ok(FunctionResponse::Streamed(mut stream)) = answer.try_recv() else {
        panic!("not a stream");
    };
    assert_eq!(life.expects(Some(id)), Err(Refusal::WrongState));
    assert!(matches!(life.next(), Next::Early));
    life.cut_off(RequestId::random());
    assert!(matches!(life.next(), Next::Early), "another's");
    life.cut_off(id);
    drop(chunks);
    assert!(matches!(life.next(), Next::Wait));
    let piece = std::future::poll_fn(|context| stream.poll_next(context)).await;
    let StreamPiece::End(completion) = piece else {
        panic!("{piece:?}");
    };
    assert_eq!(completion.error, Some(Failure::Truncated.payload(&id)));
    assert_eq!(
        life.end_stream(None, None),
        Err(Refusal::WrongState),
        "once"
    );
}

#[test]
fn the_end_answers_the_call_that_runs() {
    let (call, id, mut answer) = call();
    let mut life = busy(call);
    let failure = Failure::TimedOut(Duration::from_secs(3));
    assert!(
        matches!(life.end(Some(&failure)), Ending::During(outcome) if outcome.request_id == id)
    );
    let expected = FunctionPayload::Error(failure.payload(&id));
    assert_eq!(payload(answer.try_recv().unwrap()), expected);
    assert!(life.is_occupied());
    assert!(matches!(life.next(), Next::Refused));
}

#[test]
fn only_an_environment_that_never_was_ready_fails_to_start() {
    let mut starting = Lifecycle::starting(Instant::now());
    assert!(matches!(starting.end(None), Ending::FailedToStart));
    assert!(matches!(starting.end(None), Ending::Quiet), "once");
    assert!(matches!(idle().end(None), Ending::Quiet));
    let mut reported = Lifecycle::starting(Instant::now());
    let error = Failure::InitError(Bytes::from_static(b"{}"));
    reported.init_error(error.clone()).unwrap();
    assert!(reported.reported().is_some());
    assert!(matches!(reported.next(), Next::Refused));
    assert!(matches!(reported.end(None), Ending::FailedToStart));
    assert_eq!(idle().init_error(error), Err(Refusal::WrongState));
}

#[test]
fn it_is_idle_when_its_extensions_are_too() {
    let mut life = Lifecycle::starting(Instant::now());
    let events = br#"{"events":["INVOKE"]}"#;
    let id = life.extensions.register("e", events, true).unwrap();
    let id = id.to_string();
    assert!(matches!(life.next(), Next::Wait));
    assert!(matches!(life.settle(later()), Transition::None));
    assert_eq!(life.extensions.next(Some(&id)), Ok(None));
    assert!(matches!(life.settle(later()), Transition::Idle { .. }));

    let (call, request_id, mut answer) = call();
    deliver(&mut life, call);
    assert!(matches!(life.next(), Next::Deliver(..)));
    let event = life.extensions.next(Some(&id)).unwrap().unwrap();
    let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
    assert_eq!(event["requestId"], request_id.to_string());
    assert_eq!(event["deadlineMs"], 3_000);
    life.answer(request_id, success(), None).unwrap();
    answer.try_recv().unwrap();
    assert!(matches!(life.next(), Next::Wait));
    assert!(matches!(life.settle(later()), Transition::None));
    assert_eq!(life.extensions.next(Some(&id)), Ok(None));
    assert!(matches!(
        life.settle(later()),
        Transition::InvocationFinished(_)
    ));
}

#[test]
fn the_timer_is_set_anew_only_if_it_would_go_off_too_late() {
    let mut life = idle();
    life.arm();
    let (first, ..) = call();
    assert!(deliver(&mut life, first), "it was set while idle");
    let mut life = Lifecycle::starting(Instant::now());
    life.arm();
    assert!(matches!(life.next(), Next::Wait));
    assert!(matches!(life.settle(later()), Transition::Idle { .. }));
    let (first, ..) = call();
    assert!(!deliver(&mut life, first), "it goes off before that");
}

#[test]
fn an_idle_environment_may_retire_and_a_busy_one_not() {
    let mut life = idle();
    assert!(life.retire() && life.is_ended());
    let (call, ..) = call();
    let mut life = busy(call);
    assert!(!life.retire());
}

#[test]
fn an_answer_that_waits_for_the_log_comes_without_it_if_the_environment_has_ended() {
    let (call, id, mut answer) = call_of(Operation::Invoke, LogType::Tail);
    let mut life = busy(call);
    life.answer(id, success(), None).unwrap();
    life.next();
    let Transition::InvocationFinished(outcome) = life.settle(later()) else {
        panic!("not over");
    };
    assert!(matches!(life.end(None), Ending::Quiet));
    life.take_back(outcome);
    assert_eq!(payload(answer.try_recv().unwrap()), success());
}
