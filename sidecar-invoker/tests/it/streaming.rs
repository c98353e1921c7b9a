//! Responses of local functions as event streams.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::events::Events;
use crate::support::{Invoker, exists, fixture_function};

#[tokio::test]
async fn each_chunk_arrives_as_soon_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let invoker = Invoker::start(&fixture_function("")).await;
    let event = json!({ "do": "stream", "chunks": ["one", "two"], "gates": folder.path() });
    let open = |gate: &str| std::fs::write(folder.path().join(gate), "").unwrap();
    let mut events = Events::invoke(&invoker, &[], &event).await;
    let header = |name: &str| events.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(events.response.status(), 200);
    assert_eq!(header("content-type"), "application/vnd.amazon.eventstream");
    assert_eq!(header("x-amz-executed-version"), "$LATEST");
    assert_eq!(
        header("x-lambda-mesh-function-content-type"),
        "text/event-stream"
    );
    assert!(header("x-amzn-requestid").len() == 36 && header("x-amzn-trace-id").len() > 1);
    open("one");
    assert_eq!(events.chunk().await, "one");
    open("two");
    assert_eq!(events.chunk().await, "two");
    assert_eq!(events.complete().await, json!({}));
}

#[tokio::test]
async fn the_media_type_of_http_responses_is_enough_to_stream() {
    let folder = tempfile::tempdir().unwrap();
    let invoker = Invoker::start(&fixture_function("")).await;
    let event =
        json!({ "do": "stream", "http": true, "chunks": ["one", "two"], "gates": folder.path() });
    let mut events = Events::invoke(&invoker, &[], &event).await;
    std::fs::write(folder.path().join("one"), "").unwrap();
    assert_eq!(events.chunk().await, "one");
    std::fs::write(folder.path().join("two"), "").unwrap();
    assert_eq!(events.chunk().await, "two");
    assert_eq!(events.complete().await, json!({}));
}

#[tokio::test]
async fn a_buffered_response_is_one_chunk() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let mut events = Events::invoke(
        &invoker,
        &[],
        &json!({ "do": "meet", "folder": "/tmp", "count": 0 }),
    )
    .await;
    let output: Value = serde_json::from_slice(&events.chunk().await).unwrap();
    assert!(output["pid"].is_u64());
    assert_eq!(events.complete().await, json!({}));

    let mut events = Events::invoke(&invoker, &[], &json!({ "do": "raise" })).await;
    assert_eq!(events.error().await["errorType"], "ValueError");
}

#[tokio::test]
async fn the_log_tail_is_in_the_last_event() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let headers = [("x-amz-log-type", "Tail")];
    let mut events = Events::invoke(&invoker, &headers, &json!({ "do": "stream" })).await;
    assert_eq!(events.chunk().await, "hello");
    let complete = events.complete().await;
    assert_eq!(complete["ErrorCode"], json!(null));
    let log = BASE64_STANDARD.decode(complete["LogResult"].as_str().unwrap());
    let log = String::from_utf8(log.unwrap()).unwrap();
    assert!(
        log.starts_with("START ") && log.contains("\nREPORT "),
        "{log}"
    );
}

#[tokio::test]
async fn the_last_event_has_the_error_of_a_failed_stream() {
    let keys = "concurrency: 1, timeout: 1s";
    let invoker = Invoker::start(&fixture_function(keys).replacen("timeout: 10s, ", "", 1)).await;
    for (end, error_type, message) in [
        ("error", "Late", "after all"),
        (
            "exit",
            "Runtime.ExitError",
            "Runtime exited with error: exit status 5",
        ),
        (
            "cut",
            "Runtime.TruncatedResponse",
            "Response payload has been truncated",
        ),
        (
            "hang",
            "Sandbox.Timedout",
            "Task timed out after 1.00 seconds",
        ),
    ] {
        let event = json!({ "do": "stream", "end": end });
        let mut events = Events::invoke(&invoker, &[], &event).await;
        assert_eq!(events.chunk().await, "hello", "{end}");
        let error = events.error().await;
        assert_eq!(error["errorType"], error_type, "{end}");
        let found = error["errorMessage"].as_str().unwrap();
        assert!(found.ends_with(message), "{end}: {found}");
    }
    assert_eq!(invoker.invoke(json!({})).await.status, 200);
}

#[tokio::test]
async fn a_slow_caller_slows_the_function_down_and_a_disconnect_does_not_stop_it() {
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let pid = invoker.invoke(json!({})).await.json()["pid"].clone();
    // More than all buffers between the function and the caller can hold.
    let event = json!({ "do": "stream", "mebibytes": 48, "done": done });
    let mut events = Events::invoke(&invoker, &[], &event).await;
    assert_eq!(events.chunk().await, "hello");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        !done.exists(),
        "the function wrote all of it before the caller read it"
    );
    drop(events);
    exists(&done).await;
    assert_eq!(
        std::fs::read_to_string(&done).unwrap(),
        "{\"status\":\"OK\"}\n"
    );
    assert_eq!(invoker.invoke(json!({})).await.json()["pid"], pid);
}

#[tokio::test]
async fn a_stream_ends_at_200_mib() {
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let invoker = Invoker::start(&fixture_function("concurrency: 1").replace("10s", "5m")).await;
    let event = json!({ "do": "stream", "chunks": [], "mebibytes": 201, "done": done });
    let mut events = Events::invoke(&invoker, &[], &event).await;
    let mut received = 0;
    let complete = loop {
        match events.next().await.unwrap() {
            (event_type, chunk) if event_type == "PayloadChunk" => received += chunk.len(),
            (_, complete) => break complete,
        }
    };
    assert!(
        received <= 200 * 1024 * 1024 && received > 199 * 1024 * 1024,
        "{received}"
    );
    assert!(complete.starts_with(b"{\"ErrorCode\":\"Unhandled\",\"ErrorDetails\":\"{"));
    exists(&done).await;
    let error: Value = serde_json::from_slice(&std::fs::read(&done).unwrap()).unwrap();
    assert_eq!(error["errorType"], "RequestEntityTooLarge");
    assert_eq!(invoker.invoke(json!({})).await.status, 200);
}

#[tokio::test]
async fn stopping_the_invoker_truncates_a_stream() {
    // The timeout of the invocation is longer than the invoker waits at its end.
    let invoker = Invoker::start(&fixture_function("").replace("10s", "5m")).await;
    let event = json!({ "do": "stream", "end": "hang" });
    let mut events = Events::invoke(&invoker, &[], &event).await;
    assert_eq!(events.chunk().await, "hello");
    let (ended, ()) = tokio::join!(events.response.body_mut().frame(), invoker.stop());
    assert!(
        ended.is_some_and(|frame| frame.is_err()),
        "the stream is complete"
    );
}
