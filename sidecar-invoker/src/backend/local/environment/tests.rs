use tokio::sync::oneshot;

use super::*;
use crate::backend::local::spec::tests::{invocation, spec};
use crate::invocation::FunctionResponse;
use lambda_api::LogType;

/// An owner that ignores all reports.
struct NoOwner;

impl EnvironmentOwner for NoOwner {
    fn started(&self, _: Duration) {}

    fn used_memory(&self, _: u64) {}

    fn ready(self: Arc<Self>, _: Arc<Environment>) {}
    fn failed_to_start(&self, _: &Environment, _: Failure) {}
    fn retire(&self, _: &Arc<Environment>) -> bool {
        true
    }
    fn removed(self: Arc<Self>, _: &Arc<Environment>) {}
}

/// Polls `next` once, until the runtime has to wait, and drops it.
async fn ask_and_leave(environment: &Arc<Environment>) {
    tokio::select! {
        biased;
        _ = environment.next() => panic!("there is no invocation"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn no_response_is_lost_if_the_runtime_leaves_while_its_log_is_read() {
    let spec = Arc::new(spec("concurrency: 1"));
    let environment = Environment::new(spec, Weak::<NoOwner>::new(), 0, &Qualifier::latest());
    let (output, _writer) = std::io::pipe().unwrap();
    let _unread = environment.log.tap(output).unwrap();
    ask_and_leave(&environment).await;
    let mut invocation = invocation(&serde_json::json!({}));
    invocation.log_type = LogType::Tail;
    let id = invocation.request_id;
    let (caller, mut response) = oneshot::channel();
    let pending = PendingInvocation {
        invocation: Arc::new(invocation),
        caller,
    };
    environment.deliver(pending).unwrap();
    environment.next().await.unwrap();
    let payload = FunctionPayload::Success(Bytes::from_static(b"1"));
    environment.respond(id, payload.clone(), None).unwrap();
    ask_and_leave(&environment).await;
    assert_eq!(
        response.try_recv().unwrap_err(),
        oneshot::error::TryRecvError::Empty
    );
    let response = tokio::select! {
        _ = environment.next() => panic!("there is no invocation"),
        response = response => response.unwrap(),
    };
    let FunctionResponse::Buffered {
        payload: sent,
        log_tail,
    } = response
    else {
        panic!("streamed");
    };
    assert_eq!(sent, payload);
    let log = String::from_utf8(log_tail.unwrap()).unwrap();
    assert_eq!(log.matches(&format!("REPORT RequestId: {id}")).count(), 1);
}
