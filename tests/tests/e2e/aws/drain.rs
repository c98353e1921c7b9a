//! An invoker that is to end takes no new work and finishes what runs.

use std::thread;

use lambda_mesh_tests::eventually;
use lambda_mesh_tests::invoker::Invoker;
use serde_json::json;

use super::{invoke, request, shared};

fn ended(invoker: &Invoker) -> i32 {
    eventually("the invoker ends", || invoker.exit_status())
}

#[test]
fn what_runs_is_finished_and_nothing_new_is_taken() {
    let aws = shared();
    aws.function("finishing", &json!({ "gate": true }));
    let invoker = aws.invoker(&json!({})).start();
    thread::scope(|scope| {
        let running = scope.spawn(|| invoke(&invoker, "finishing"));
        eventually("it runs", || aws.calls("finishing").pop());
        invoker.terminate();
        eventually("it is not ready", || {
            (invoker.ask("/readyz").status == 503).then_some(())
        });
        let refused = request(&invoker, "finishing").try_send();
        assert!(refused.is_err_and(|error| error.contains("refused")));
        aws.open("finishing");
        let answer = running.join().expect("a whole answer");
        assert_eq!(answer.status, 200);
    });
    assert_eq!(ended(&invoker), 0);
    assert_eq!(aws.calls("finishing").len(), 1);
}

#[test]
fn what_runs_for_too_long_is_given_up() {
    let aws = shared();
    aws.function("endless", &json!({ "gate": true }));
    let config = json!({ "drain_timeout": "100ms" });
    let invoker = lambda_mesh_tests::aws::with_key(aws.invoker_of(&config)).start();
    thread::scope(|scope| {
        let running = scope.spawn(|| request(&invoker, "endless").try_send());
        eventually("it runs", || aws.calls("endless").pop());
        invoker.terminate();
        assert_eq!(ended(&invoker), 0);
        let given_up = running.join().expect("an outcome");
        assert!(given_up.is_err() || given_up.is_ok_and(|answer| answer.status >= 500));
        aws.open("endless");
    });
}
