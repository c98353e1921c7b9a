//! Functions that the invoker runs itself, as real processes.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::{
    Gate, Invoker, eventually, exists, fixture, fixture_function, is_running, make_executable,
};

#[tokio::test]
async fn a_function_gets_its_event_headers_and_environment() {
    let invoker = Invoker::start(&fixture_function("env: { TABLE: orders }, memory: 512")).await;
    let headers = [
        ("x-amz-client-context", "eyJjdXN0b20iOnt9fQ=="),
        (
            "x-amzn-trace-id",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
        ),
        ("x-amz-tenant-id", "blue"),
    ];
    let path = "/2015-03-31/functions/f:live/invocations";
    let response = invoker
        .request(hyper::Method::POST, path, &headers, r#"{"a":"ä"}"#)
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-amz-function-error"), None);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("x-amz-executed-version"), Some("$LATEST"));
    assert_eq!(response.header("x-amzn-trace-id"), Some(headers[1].1));

    let output = response.json();
    assert_eq!(output["event"], json!({ "a": "ä" }));
    let received = &output["headers"];
    assert_eq!(
        received["lambda-runtime-aws-request-id"],
        response.header("x-amzn-requestid").unwrap()
    );
    assert_eq!(
        received["lambda-runtime-client-context"],
        r#"{"custom":{}}"#
    );
    assert_eq!(received["lambda-runtime-trace-id"], headers[1].1);
    assert_eq!(received["lambda-runtime-aws-tenant-id"], "blue");
    let arn = received["lambda-runtime-invoked-function-arn"]
        .as_str()
        .unwrap();
    assert!(
        arn.starts_with("arn:aws:lambda:") && arn.ends_with(":123456789012:function:f:live"),
        "{arn}"
    );
    let deadline: u64 = received["lambda-runtime-deadline-ms"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let left = deadline
        - SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis() as u64;
    assert!((5_000..=10_000).contains(&left), "{left} ms left of 10 s");

    let env = &output["env"];
    assert_eq!(env["TABLE"], "orders");
    assert_eq!(env["AWS_LAMBDA_FUNCTION_NAME"], "f");
    assert_eq!(env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "512");
    assert_eq!(env["AWS_LAMBDA_FUNCTION_VERSION"], "$LATEST");
    assert_eq!(env["AWS_LAMBDA_INITIALIZATION_TYPE"], "on-demand");
    assert_eq!(env["AWS_LAMBDA_LOG_GROUP_NAME"], "/aws/lambda/f");
    let stream = env["AWS_LAMBDA_LOG_STREAM_NAME"].as_str().unwrap();
    assert!(stream.contains("/[$LATEST]"), "{stream}");
    assert_eq!(env["_HANDLER"], fixture());
    assert_eq!(env["LAMBDA_TASK_ROOT"], "/");
    assert_eq!(env["LAMBDA_RUNTIME_DIR"], "/");
    assert_eq!(env["TZ"], ":UTC");
    assert_eq!(env["AWS_REGION"], env["AWS_DEFAULT_REGION"]);
    assert_eq!(env["_X_AMZN_TRACE_ID"], json!(null));
    assert_eq!(
        env["CARGO_MANIFEST_DIR"],
        json!(null),
        "the invoker's own environment stays out"
    );
}

#[tokio::test]
async fn an_empty_payload_is_an_empty_object() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let path = "/2015-03-31/functions/f/invocations";
    let response = invoker.request(hyper::Method::POST, path, &[], "").await;
    assert_eq!(response.json()["event"], json!({}));
    let trace = response.header("x-amzn-trace-id").unwrap();
    assert!(trace.starts_with("Root=1-"), "{trace}");
}

#[tokio::test]
async fn a_function_error_is_returned_and_the_environment_is_reused() {
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let before = invoker.invoke(json!({})).await.json()["pid"].clone();
    let response = invoker.invoke(json!({ "do": "raise" })).await;
    assert_eq!(response.function_error(), "ValueError");
    assert_eq!(response.json()["errorMessage"], "no luck");
    assert_eq!(invoker.invoke(json!({})).await.json()["pid"], before);
}

#[tokio::test]
async fn a_process_that_exits_is_an_exit_error_and_is_replaced() {
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let response = invoker.invoke(json!({ "do": "exit", "status": 3 })).await;
    assert_eq!(response.function_error(), "Runtime.ExitError");
    let id = response.header("x-amzn-requestid").unwrap();
    let message = format!("RequestId: {id} Error: Runtime exited with error: exit status 3");
    assert_eq!(response.json()["errorMessage"], message);
    assert_eq!(invoker.invoke(json!({})).await.status, 200);
}

#[tokio::test]
async fn a_process_killed_while_idle_is_replaced_without_an_error() {
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let pid = invoker.invoke(json!({})).await.json()["pid"].to_string();
    let status = std::process::Command::new("kill")
        .args(["-9", &pid])
        .status()
        .unwrap();
    assert!(status.success());
    eventually("its end", async || {
        (!std::path::Path::new("/proc").join(&pid).exists()).then_some(())
    })
    .await;
    let response = invoker.invoke(json!({})).await;
    assert_eq!(response.header("x-amz-function-error"), None);
    assert_ne!(response.json()["pid"].to_string(), pid);
}

#[tokio::test]
async fn a_timeout_ends_the_whole_process_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let invoker = Invoker::start(
        &fixture_function("concurrency: 1, timeout: 700ms").replacen("timeout: 10s, ", "", 1),
    )
    .await;
    let response = invoker.invoke(json!({ "do": "child", "file": file })).await;
    assert_eq!(response.function_error(), "Sandbox.Timedout");
    let id = response.header("x-amzn-requestid").unwrap();
    let message = format!("RequestId: {id} Error: Task timed out after 0.70 seconds");
    assert_eq!(response.json()["errorMessage"], message);
    let pids = std::fs::read_to_string(file).unwrap();
    assert_eq!(pids.split(' ').count(), 2);
    for pid in pids.split(' ') {
        eventually("the end of the group", async || {
            (!is_running(pid)).then_some(())
        })
        .await;
    }
    assert_eq!(invoker.invoke(json!({})).await.status, 200);
}

#[tokio::test]
async fn work_after_the_response_counts_towards_the_timeout_and_delays_no_other_call() {
    let function = fixture_function("concurrency: 2, timeout: 1s");
    let invoker = Invoker::start(&function.replacen("timeout: 10s, ", "", 1)).await;
    let busy = invoker
        .invoke(json!({ "do": "linger" }))
        .await
        .json()
        .to_string();
    assert_ne!(
        invoker.invoke(json!({})).await.json()["pid"].to_string(),
        busy
    );
    eventually("its end", async || (!is_running(&busy)).then_some(())).await;
}

#[tokio::test]
async fn a_failed_initialisation_is_a_function_error() {
    for (init, error_type, message) in [
        (
            "exit",
            "Runtime.ExitError",
            "Runtime exited with error: exit status 7",
        ),
        ("error", "Init.Broken", "cannot begin"),
        (
            "hang",
            "Sandbox.Timedout",
            "Task timed out after 0.50 seconds",
        ),
    ] {
        // The timeout is short only where the test is about it.
        let limit = if init == "hang" { "500ms" } else { "10s" };
        let keys = format!("env: {{ INIT: {init} }}, init_timeout: {limit}");
        let invoker = Invoker::start(&fixture_function(&keys)).await;
        // Each caller gets the error, and each call is a new attempt.
        for _ in 0..2 {
            let response = invoker.invoke(json!({})).await;
            assert_eq!(response.function_error(), error_type);
            let found = response.json()["errorMessage"].as_str().unwrap().to_owned();
            assert!(found.ends_with(message), "{found}");
        }
    }
}

#[tokio::test]
async fn a_bootstrap_of_shell_and_curl_is_a_function() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("bootstrap");
    let lines = r#"#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
    headers=$(mktemp)
    event=$(curl -sS -D "$headers" "$api/next")
    id=$(grep -i lambda-runtime-aws-request-id "$headers" | tr -d '[:space:]' | cut -d: -f2)
    rm "$headers"
    curl -sS "$api/$id/response" -d "{\"event\":$event,\"handler\":\"$_HANDLER\",\"root\":\"$LAMBDA_TASK_ROOT\",\"cwd\":\"$PWD\"}"
done
"#;
    std::fs::write(&script, lines).unwrap();
    make_executable(&script);
    let directory = folder.path().canonicalize().unwrap();
    let directory = directory.to_str().unwrap();
    let invoker = Invoker::start(&format!(
        "functions: {{ f: {{ local: {{ directory: {directory}, timeout: 10s }} }} }}"
    ))
    .await;
    for _ in 0..2 {
        let response = invoker.invoke(json!({ "a": 1 })).await.json();
        let expected = json!({ "event": { "a": 1 }, "handler": "bootstrap", "root": directory, "cwd": directory });
        assert_eq!(response, expected);
    }
}

#[tokio::test]
async fn responses_need_the_right_id_and_are_accepted_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("status");
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let statuses = invoker.invoke(json!({ "do": "wrong-id" })).await.json();
    assert_eq!(statuses[0][0], 400);
    assert!(
        statuses[0][1]
            .as_str()
            .unwrap()
            .contains("InvalidRequestID")
    );
    assert_eq!(statuses[1][0], 400);

    let response = invoker.invoke(json!({ "do": "twice", "file": file })).await;
    assert_eq!(response.json(), "first");
    assert_eq!(invoker.invoke(json!({})).await.status, 200);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "403");
}

#[tokio::test]
async fn a_response_over_the_limit_is_a_function_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("status");
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let limit = lambda_api::limits::MAX_PAYLOAD_BYTES;
    let response = invoker
        .invoke(json!({ "do": "large", "bytes": limit, "file": file }))
        .await;
    assert_eq!(
        (response.status.as_u16(), response.body.len()),
        (200, limit)
    );
    let response = invoker
        .invoke(json!({ "do": "large", "bytes": limit + 1, "file": file }))
        .await;
    assert_eq!(response.function_error(), "Function.ResponseSizeTooLarge");
    assert_eq!(invoker.invoke(json!({})).await.status, 200);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "413");
}

#[tokio::test]
async fn a_streamed_response_is_buffered_and_may_fail_in_its_trailers() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let response = invoker.invoke(json!({ "do": "stream" })).await;
    assert_eq!(
        (response.header("x-amz-function-error"), &response.body[..]),
        (None, &b"hello"[..])
    );
    let response = invoker
        .invoke(json!({ "do": "stream", "end": "error" }))
        .await;
    assert_eq!(response.function_error(), "Late");
    assert_eq!(response.json()["errorMessage"], "after all");
}

#[tokio::test]
async fn a_truncated_response_is_a_function_error_and_the_environment_is_reused() {
    let invoker = Invoker::start(&fixture_function("concurrency: 1").replace("10s", "5m")).await;
    let pid = invoker.invoke(json!({})).await.json()["pid"].clone();
    let response = invoker
        .invoke(json!({ "do": "stream", "end": "cut" }))
        .await;
    assert_eq!(response.function_error(), "Runtime.TruncatedResponse");
    assert_eq!(invoker.invoke(json!({})).await.json()["pid"], pid);
}

#[tokio::test]
async fn concurrent_calls_have_separate_environments_that_later_calls_reuse() {
    let folder = tempfile::tempdir().unwrap();
    let invoker = Invoker::start(&fixture_function("concurrency: 2")).await;
    let meet = json!({ "do": "meet", "folder": folder.path(), "count": 2 });
    let (one, two) = tokio::join!(invoker.invoke(meet.clone()), invoker.invoke(meet));
    let pids = HashSet::from([one.json()["pid"].clone(), two.json()["pid"].clone()]);
    assert_eq!(pids.len(), 2);
    for _ in 0..20 {
        assert!(pids.contains(&invoker.invoke(json!({})).await.json()["pid"]));
    }
}

#[tokio::test]
async fn sequential_calls_share_one_environment() {
    let invoker = Invoker::start(&fixture_function("concurrency: 10")).await;
    let mut pids = HashSet::new();
    for _ in 0..100 {
        pids.insert(invoker.invoke(json!({})).await.json()["pid"].clone());
    }
    assert_eq!(pids.len(), 1);
}

#[tokio::test]
async fn calls_beyond_the_queue_are_rejected_and_a_disconnect_frees_the_slot() {
    let gate = Gate::new();
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let running = invoker.invoke(gate.event());
    let rest = async {
        exists(&gate.path("begun")).await;
        let rejected = async |label| {
            let probe = async || {
                let response =
                    tokio::time::timeout(Duration::from_millis(100), invoker.invoke(json!({})))
                        .await;
                response.ok().filter(|response| response.status == 429)
            };
            eventually(label, probe).await
        };
        {
            // The queue has one slot.
            let queued = std::pin::pin!(invoker.invoke(json!({})));
            let response = tokio::select! {
                biased;
                _ = queued => panic!("it returned although the only environment is busy"),
                response = rejected("a rejection") => response,
            };
            assert_eq!(
                response.header("x-amzn-errortype"),
                Some("TooManyRequestsException")
            );
            assert_eq!(response.header("retry-after"), Some("1"));
            assert_eq!(
                response.json()["Reason"],
                "ReservedFunctionConcurrentInvocationLimitExceeded"
            );
        }
        // That caller has disconnected: its slot is free before the environment is.
        let accepted = async || {
            let call = invoker.invoke(json!({ "do": "raise" }));
            match tokio::time::timeout(Duration::from_millis(50), call).await {
                Ok(response) => {
                    assert_eq!(response.status, 429);
                    None
                }
                Err(_) => Some(()),
            }
        };
        eventually("a free slot", accepted).await;
        gate.open();
    };
    let (response, ()) = tokio::join!(running, rest);
    assert_eq!(response.status, 200);
    assert_eq!(invoker.invoke(json!({})).await.status, 200);
}

#[tokio::test]
async fn an_invocation_outlives_its_caller_and_its_environment_is_reused() {
    let gate = Gate::new();
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let pid = invoker.invoke(json!({})).await.json()["pid"].clone();
    let begun = gate.path("begun");
    tokio::select! {
        _ = invoker.invoke(gate.event()) => panic!("it returned although the gate is shut"),
        () = exists(&begun) => {}
    }
    gate.open();
    exists(&gate.path("done")).await;
    assert_eq!(invoker.invoke(json!({})).await.json()["pid"], pid);
}

#[tokio::test]
async fn a_flood_of_output_does_not_block_the_function() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let response = invoker
        .invoke(json!({ "do": "print", "lines": 2_000 }))
        .await;
    assert_eq!(response.status, 200);
}
