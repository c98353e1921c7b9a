//! Too many requests, slow functions and broken connections. Each caller gets a response, and no event is
//! invoked twice.

use std::collections::HashMap;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use lambda_mesh_tests::aws::{Aws, with_key};
use lambda_mesh_tests::client::send_all;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::{TIMEOUT, eventually};
use serde_json::{Value, json};

use super::{invoke, request, shared};

#[test]
fn a_thousand_requests_to_a_failing_function_are_served_and_none_runs_twice() {
    const REQUESTS: usize = 1000;
    let aws = Aws::start();
    let throttled = json!({ "error": "TooManyRequestsException" });
    aws.function(
        "moody",
        &json!({ "turns": [
        throttled, {}, throttled, { "delay": 0.3 }, throttled, { "reset": "read" },
        throttled, { "reset": "answered" }, throttled, { "reset": "within" },
        throttled, {}, throttled, {}, throttled, {},
    ] }),
    );
    aws.put("/connections", &json!({ "reset_every": 9 }));
    let invoker = aws.invoker(&json!({})).start();
    let lambda = json!({ "function": "moody" });
    let mesh = Mesh::to(&invoker)
        .routes(&[route(&json!({ "prefix": "/" }), &lambda)])
        .start();
    let requests = (0..REQUESTS).map(|number| mesh.get(format!("/{number}")));
    let responses: Vec<_> = send_all(requests, 64)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("each request has a response");
    let mut statuses = HashMap::<u16, usize>::new();
    for response in &responses {
        *statuses.entry(response.status).or_default() += 1;
    }
    println!("{statuses:?}");
    assert!(
        statuses
            .keys()
            .all(|status| [200, 429, 502].contains(status)),
        "{statuses:?}"
    );

    let calls = aws.calls("moody");
    let mut executed = HashMap::<String, usize>::new();
    for call in calls.iter().filter(|call| call["executed"] == true) {
        let event: Value =
            serde_json::from_str(call["body"].as_str().expect("text")).expect("JSON");
        let path = event["rawPath"].as_str().expect("a path").to_owned();
        *executed.entry(path).or_default() += 1;
    }
    let twice: Vec<_> = executed.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "executed more than once: {twice:?}");
    for response in responses.iter().filter(|response| response.status == 200) {
        let event = response.json();
        let path = event["rawPath"].as_str().expect("a path");
        assert_eq!(executed.get(path), Some(&1), "{path}");
    }
    // Half of the calls are throttled. Without retries, half of the requests would be.
    let throttled = statuses.get(&429).copied().unwrap_or_default();
    assert!(
        calls.len() > REQUESTS && throttled < REQUESTS / 2,
        "{} calls: {statuses:?}",
        calls.len()
    );
}

/// Sends `number` concurrent requests to a function that waits at its gate. Asserts that `refused` of them
/// are refused, with the time of a retry. Then opens the gate, and asserts that all others succeed.
fn assert_refused(aws: &Aws, invoker: &Invoker, function: &str, number: usize, refused: usize) {
    let (sender, responses) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..number {
            let sender = sender.clone();
            scope.spawn(move || sender.send(invoke(invoker, function)).is_ok());
        }
        for number in 0..number {
            let response = responses.recv_timeout(TIMEOUT).expect("a response");
            if number >= refused {
                assert_eq!(response.status, 200, "{response:?}");
                continue;
            }
            assert_eq!(response.status, 429, "{response:?}");
            assert_eq!(
                response.header("x-amzn-errortype"),
                "TooManyRequestsException"
            );
            assert!(response.header("retry-after").parse::<u32>().is_ok());
            if number + 1 == refused {
                eventually("a running call", || aws.calls(function).pop());
                assert_eq!(aws.calls(function).len(), 1);
                aws.open(function);
            }
        }
    });
    assert_eq!(aws.calls(function).len(), number - refused);
}

#[test]
fn a_request_is_refused_if_the_queue_is_full() {
    let aws = shared();
    aws.function("narrow", &json!({ "gate": true }));
    let invoker = aws
        .invoker(&json!({ "max_concurrency": 1, "queue": 2 }))
        .start();
    assert_refused(&aws, &invoker, "narrow", 5, 2);
}

#[test]
fn a_request_that_waits_too_long_is_refused() {
    let aws = shared();
    aws.function("waited", &json!({ "gate": true }));
    let limits = json!({ "max_concurrency": 1, "queue_timeout": "100ms" });
    let invoker = aws.invoker(&limits).start();
    assert_refused(&aws, &invoker, "waited", 3, 2);
}

#[test]
fn a_limit_holds_for_all_functions_together() {
    let aws = shared();
    aws.function("left", &json!({ "delay": 0.5 }));
    aws.function("right", &json!({ "delay": 0.5 }));
    let config = json!({ "max_concurrency": 1, "aws": { "queue_timeout": "30s" } });
    let invoker = with_key(aws.invoker_of(&config)).start();
    let requests = ["left", "right"].map(|function| request(&invoker, function));
    for response in send_all(requests, 2) {
        assert_eq!(response.expect("a response").status, 200);
    }
    let at = |function| aws.calls(function)[0]["at"].as_f64().expect("seconds");
    let between: f64 = at("left") - at("right");
    assert!(between.abs() >= 0.5, "not one at a time: {between} s");
}

#[test]
fn a_call_has_a_time_limit() {
    let aws = shared();
    aws.function("stuck", &json!({ "gate": true }));
    let short = json!({ "functions": { "stuck": { "aws": { "timeout": "200ms" } } } });
    let invoker = with_key(aws.invoker_of(&short)).start();
    let response = invoke(&invoker, "stuck");
    assert_eq!(response.status, 504, "{response:?}");
    assert!(response.json()["Message"].is_string(), "{response:?}");

    let invoker = aws.invoker(&json!({})).start();
    let call = request(&invoker, "stuck").header("x-envoy-expected-rq-timeout-ms", "200");
    assert_eq!(call.send().status, 504);
    assert_eq!(aws.calls("stuck").len(), 2);
    aws.open("stuck");
}

#[test]
fn a_throttled_call_is_retried_within_its_timeout() {
    let aws = shared();
    let throttled = json!({ "error": "TooManyRequestsException" });
    aws.function(
        "throttled-twice",
        &json!({ "turns": [throttled, throttled, {}] }),
    );
    aws.function(
        "throttled",
        &json!({ "error": "TooManyRequestsException", "retry_after": 60 }),
    );
    let invoker = aws
        .invoker(&json!({ "retries": 2, "timeout": "20s" }))
        .start();
    assert_eq!(invoke(&invoker, "throttled-twice").status, 200);
    assert_eq!(aws.calls("throttled-twice").len(), 3);

    let lambda = json!({ "function": "throttled" });
    let mesh = Mesh::to(&invoker)
        .routes(&[route(&json!({ "prefix": "/" }), &lambda)])
        .start();
    let began = Instant::now();
    let response = mesh.get("/").send();
    assert_eq!(
        (response.status, response.header("retry-after")),
        (429, "60")
    );
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "it waited for a retry that comes too late"
    );
}
