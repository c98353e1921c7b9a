//! An invoker that shuts down accepts no new invocations and finishes the running ones.

use std::thread;

use lambda_mesh_tests::eventually;
use lambda_mesh_tests::invoker::Invoker;
use serde_json::json;

use super::{invoke, request, shared};

fn ended(invoker: &Invoker) -> i32 {
    eventually("the invoker ends", || invoker.exit_status())
}

#[test]
fn a_running_invocation_is_finished_and_no_new_one_is_accepted() {
    let aws = shared();
    aws.function("finishing", &json!({ "gate": true }));
    let invoker = aws.invoker(&json!({})).start();
    thread::scope(|scope| {
        let running = scope.spawn(|| invoke(&invoker, "finishing"));
        eventually("a running call", || aws.calls("finishing").pop());
        invoker.terminate();
        eventually("an invoker that is not ready", || {
            (invoker.ask("/readyz").status == 503).then_some(())
        });
        let refused = request(&invoker, "finishing").try_send();
        assert!(refused.is_err_and(|error| format!("{error:#}").contains("refused")));
        aws.open("finishing");
        let response = running.join().expect("a whole response");
        assert_eq!(response.status, 200);
    });
    assert_eq!(ended(&invoker), 0);
    assert_eq!(aws.calls("finishing").len(), 1);
}

#[test]
fn an_invocation_that_outlasts_the_drain_timeout_is_abandoned() {
    let aws = shared();
    aws.function("endless", &json!({ "gate": true }));
    let config = json!({ "drain_timeout": "100ms" });
    let invoker = lambda_mesh_tests::aws::with_key(aws.invoker_of(&config)).start();
    thread::scope(|scope| {
        let running = scope.spawn(|| request(&invoker, "endless").try_send());
        eventually("a running call", || aws.calls("endless").pop());
        invoker.terminate();
        assert_eq!(ended(&invoker), 0);
        let abandoned = running.join().expect("a result");
        assert!(abandoned.is_err() || abandoned.is_ok_and(|response| response.status >= 500));
        aws.open("endless");
    });
}
