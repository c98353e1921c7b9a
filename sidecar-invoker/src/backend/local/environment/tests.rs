use tokio::sync::oneshot;

use super::*;
use crate::backend::local::pool::tests::{function, invocation};
use crate::invocation::response::Reply;

/// What happens until the process has to wait, and then leaves.
async fn asks_and_leaves(environment: &Arc<Environment>, function: &Arc<Function>) {
    tokio::select! {
        biased;
        _ = environment.next(function) => panic!("there is nothing to do"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn a_process_that_leaves_while_its_log_is_read_takes_no_answer_with_it() {
    let function = function(0);
    let environment = Environment::new(&function, 0);
    let (output, _writer) = std::io::pipe().unwrap();
    let _unread = environment.log.tap(output).unwrap();
    asks_and_leaves(&environment, &function).await;
    let mut invocation = invocation(&serde_json::json!({}));
    invocation.log_type = LogType::Tail;
    let id = invocation.request_id;
    let (reply, mut answer) = oneshot::channel();
    let call = Call {
        invocation: Arc::new(invocation),
        reply,
    };
    environment.deliver(call, &function).unwrap();
    environment.next(&function).await.unwrap();
    let payload = FunctionAnswer::Success(Bytes::from_static(b"1"));
    environment.answer(id, payload.clone(), None).unwrap();
    asks_and_leaves(&environment, &function).await;
    assert_eq!(
        answer.try_recv().unwrap_err(),
        oneshot::error::TryRecvError::Empty
    );
    let reply = tokio::select! {
        _ = environment.next(&function) => panic!("there is nothing to do"),
        reply = answer => reply.unwrap(),
    };
    let Reply::Whole { answer, log_tail } = reply else {
        panic!("streamed");
    };
    assert_eq!(answer, payload);
    let log = String::from_utf8(log_tail.unwrap()).unwrap();
    assert_eq!(log.matches(&format!("REPORT RequestId: {id}")).count(), 1);
}
