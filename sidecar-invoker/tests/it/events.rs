//! Asynchronous invocations.

use std::path::Path;

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Gate, HttpResponse, Invoker, eventually, exists, fixture_function};

async fn invoke(invoker: &Invoker, event: impl Into<bytes::Bytes>) -> HttpResponse {
    let path = "/2015-03-31/functions/f/invocations";
    let headers = [("x-amz-invocation-type", "Event")];
    invoker.request(Method::POST, path, &headers, event).await
}

/// Returns the configuration of a function with these settings for events.
fn function(event: &str, local: &str) -> String {
    fixture_function(local).replacen("queue: 1,", &format!("queue: 1, event: {{ {event} }},"), 1)
}

/// Waits for `count` records in a file and returns all of its records.
async fn records(file: &Path, count: usize) -> Vec<Value> {
    eventually("the records", async || {
        let text = std::fs::read_to_string(file).ok()?;
        (text.matches('\n').count() >= count).then(|| {
            let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
            records.collect()
        })
    })
    .await
}

#[tokio::test]
async fn an_event_is_accepted_at_once_and_run() {
    let gate = Gate::new();
    let invoker = Invoker::start(&function("queue: 1", "concurrency: 1")).await;
    let response = invoke(&invoker, gate.event().to_string()).await;
    assert_eq!((response.status.as_u16(), response.body.len()), (202, 0));
    assert!(response.header("x-amzn-requestid").is_some());
    assert!(response.header("x-amzn-trace-id").is_some());
    exists(&gate.path("begun")).await;
    let rejected = invoke(&invoker, "{}").await;
    assert_eq!(
        (
            rejected.status.as_u16(),
            rejected.header("x-amzn-errortype")
        ),
        (429, Some("TooManyRequestsException")),
        "the queue is full"
    );
    gate.open();
    exists(&gate.path("done")).await;
    eventually("a free slot", async || {
        (invoke(&invoker, "{}").await.status == 202).then_some(())
    })
    .await;
}

/// The operation is deprecated, but SDKs still have it.
#[tokio::test]
async fn invoke_async_queues_an_event() {
    let gate = Gate::new();
    let invoker = Invoker::start(&fixture_function("")).await;
    let call = async |path: &str, body: String| {
        let headers = [("x-amz-invocation-type", "RequestResponse")];
        invoker.request(Method::POST, path, &headers, body).await
    };
    let path = "/2014-11-13/functions/f/invoke-async/";
    for path in [path, "/2014-11-13/functions/f/invoke-async"] {
        let response = call(path, gate.event().to_string()).await;
        assert_eq!((response.status.as_u16(), response.body.len()), (202, 0));
    }
    exists(&gate.path("begun")).await;
    gate.open();
    exists(&gate.path("done")).await;
    let large = format!("\"{}\"", "x".repeat(1_048_576));
    assert_eq!(call(path, large).await.status, 413);
    let unknown = call("/2014-11-13/functions/g/invoke-async/", "{}".to_owned()).await;
    assert_eq!(unknown.status, 404);
}

/// The Lambda API reference, *Invoke*: only in synchronous invocations.
#[tokio::test]
async fn an_event_has_no_client_context() {
    let folder = tempfile::tempdir().unwrap();
    let invoker = Invoker::start(&fixture_function("")).await;
    let path = "/2015-03-31/functions/f/invocations";
    for (kind, expected) in [("RequestResponse", Some("{}")), ("Event", None)] {
        let file = folder.path().join(kind);
        let headers = [
            ("x-amz-invocation-type", kind),
            ("x-amz-client-context", "e30="),
            ("x-amz-tenant-id", "blue"),
        ];
        let event = json!({ "do": "headers", "file": file });
        let event = event.to_string();
        let response = invoker.request(Method::POST, path, &headers, event).await;
        assert!(response.status.is_success());
        exists(&file).await;
        let received = std::fs::read_to_string(file).unwrap();
        let received: Value = serde_json::from_str(&received).unwrap();
        assert_eq!(received["lambda-runtime-aws-tenant-id"], "blue");
        let context = received.get("lambda-runtime-client-context");
        assert_eq!(context.and_then(Value::as_str), expected, "{kind}");
    }
    let headers = [
        ("x-amz-invocation-type", "Event"),
        ("x-amz-client-context", "?"),
    ];
    let wrong = invoker.request(Method::POST, path, &headers, "{}").await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_failed_event_is_retried_and_then_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (attempts, failed) = (folder.path().join("attempts"), folder.path().join("failed"));
    let keys = format!("retry_delay: 10ms, on_failure: {}", failed.display());
    let invoker = Invoker::start(&function(&keys, "")).await;
    let event = json!({ "do": "raise", "file": attempts });
    let id = invoke(&invoker, event.to_string()).await;
    let id = id.header("x-amzn-requestid").unwrap();
    let [record] = &records(&failed, 1).await[..] else {
        panic!("more than one record");
    };
    let attempts = std::fs::read_to_string(attempts).unwrap();
    assert_eq!(attempts, format!("{id}\n").repeat(3));
    let context = &record["requestContext"];
    assert_eq!(context["requestId"], id);
    assert_eq!(context["condition"], "RetriesExhausted");
    assert_eq!(context["approximateInvokeCount"], 3);
    let arn = context["functionArn"].as_str().unwrap();
    assert!(arn.ends_with(":function:f:$LATEST"), "{arn}");
    assert_eq!(record["requestPayload"], event);
    assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    assert_eq!(record["responsePayload"]["errorType"], "ValueError");
}

#[tokio::test]
async fn an_event_may_have_1_mib() {
    let invoker = Invoker::start(&function("queue: 1", "")).await;
    let event = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let response = invoke(&invoker, event(1_048_577)).await;
    assert_eq!(response.status, 413);
    assert_eq!(
        response.json()["message"],
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
    );
    assert_eq!(invoke(&invoker, event(1_048_576)).await.status, 202);
}

#[tokio::test]
async fn events_that_are_too_old_are_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let failed = folder.path().join("failed");
    let gate = Gate::new();
    let keys = format!("maximum_event_age: 1s, on_failure: {}", failed.display());
    let invoker = Invoker::start(&function(&keys, "concurrency: 1")).await;
    invoke(&invoker, gate.event().to_string()).await;
    exists(&gate.path("begun")).await;
    invoke(&invoker, r#"{"late":true}"#).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    gate.open();
    let records = records(&failed, 1).await;
    assert_eq!(
        records[0]["requestContext"]["condition"],
        "EventAgeExceeded"
    );
    assert_eq!(records[0]["requestContext"]["approximateInvokeCount"], 0);
    assert_eq!(records[0]["requestPayload"], json!({ "late": true }));
    assert_eq!(records[0]["responsePayload"], json!(null));
}

#[tokio::test]
async fn no_event_is_lost_when_the_invoker_stops() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let gate = Gate::new();
    let keys = format!("on_failure: {}", file("failed").display());
    let invoker = Invoker::start(&function(&keys, "concurrency: 1")).await;
    let retried = json!({ "do": "raise", "file": file("attempts") });
    invoke(&invoker, retried.to_string()).await;
    exists(&file("attempts")).await;
    invoke(&invoker, gate.event().to_string()).await;
    exists(&gate.path("begun")).await;
    let queued = json!({ "do": "log", "file": file("log"), "line": "ran" });
    invoke(&invoker, queued.to_string()).await;
    let opened = async {
        // The invoker is shutting down: it does not wait for the retry of the first event.
        records(&file("failed"), 1).await;
        gate.open();
    };
    tokio::join!(invoker.stop(), opened);
    assert!(gate.path("done").exists());
    assert_eq!(std::fs::read_to_string(file("log")).unwrap(), "ran\n");
    let records = records(&file("failed"), 1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["requestContext"]["condition"], "ShuttingDown");
    assert_eq!(records[0]["requestPayload"], retried);
}

#[tokio::test]
async fn an_event_that_is_no_json_reaches_no_function() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("failed.ndjson");
    let queue = format!("maximum_retry_attempts: 0, on_failure: {}", file.display());
    let invoker = Invoker::start(&function(&queue, "env: { INIT: exit }")).await;
    let invocations = "/2015-03-31/functions/f/invocations";
    let kind = "x-amz-invocation-type";
    let header =
        format!("RequestResponse Root=1-58406520-a006649127e371903a2de979 {invocations} no json");
    for (path, headers, body) in [
        (invocations, &[(kind, "RequestResponse")][..], "no json"),
        (invocations, &[(kind, "Event")], "no json"),
        (invocations, &[(kind, "DryRun")], "no json"),
        (invocations, &[], "{} {}"),
        (invocations, &[("x-lambda-mesh-invocation", &header)], ""),
        ("/2014-11-13/functions/f/invoke-async/", &[], "{'a': 1}"),
        (
            "/2021-11-15/functions/f/response-streaming-invocations",
            &[],
            "NaN",
        ),
    ] {
        let response = invoker.request(Method::POST, path, headers, body).await;
        let name = response.header("x-amzn-errortype");
        assert_eq!(
            (response.status.as_u16(), name),
            (400, Some("InvalidRequestContentException"))
        );
        let body = response.json();
        let message = body["message"].as_str().unwrap();
        assert!(
            message.starts_with("Could not parse request body into json: "),
            "{message}"
        );
        assert_eq!(body["Type"], "User");
    }
    invoker.stop().await;
    assert!(!file.exists(), "no event was queued");
}
