use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::super::spec::tests::{Written, invocation, spec, spec_writing_to};
use super::*;

fn function(queue: usize, keys: &str) -> LocalFunction {
    LocalFunction::of(spec(keys), queue, Arc::default())
}

#[tokio::test]
async fn callers_are_served_in_order_and_one_beyond_the_queue_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let function = function(2, "concurrency: 1");
    let call = |line: &str| {
        let event = json!({ "do": "log", "file": file, "line": line });
        let function = &function;
        async move { function.invoke(invocation(&event)).await }
    };
    // One caller has the environment that is started for it, two wait in the queue.
    let (a, b, c, d) = tokio::join!(call("a"), call("b"), call("c"), call("d"));
    assert!([a, b, c].iter().all(|response| matches!(
        response,
        Ok(FunctionResponse::Buffered {
            payload: FunctionPayload::Success(_),
            ..
        })
    )));
    assert_eq!(d.unwrap_err(), ServiceError::ReservedConcurrencyExceeded);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "a\nb\nc\n");
    assert_eq!(function.pool.environments(), 1);
}

/// Waits until the output of functions contains `part`.
async fn written(output: &Written, part: &str) {
    for _ in 0..1_000 {
        if output.text().contains(part) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{part:?} is not in {}", output.text());
}

#[tokio::test]
async fn the_type_of_an_initialisation_error_is_in_its_report() {
    for (sent, reported) in [
        ("Runtime.NoSuchHandler", "Runtime.NoSuchHandler"),
        ("Function.Forged\tStatus: success", "Function.Unknown"),
        ("Init.Broken", "Runtime.Unknown"),
    ] {
        let output = Written::default();
        let env = json!({ "INIT": "error", "INIT_TYPE": sent });
        let spec = spec_writing_to(output.clone(), &format!("env: {env}"));
        let function = LocalFunction::of(spec, 0, Arc::default());
        let response = function.invoke(invocation(&json!({})));
        let Ok(FunctionResponse::Buffered { payload, .. }) = response.await else {
            panic!("no response");
        };
        let FunctionPayload::Error(payload) = payload else {
            panic!("no error");
        };
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["errorType"], "Init.Broken", "the function's own");
        written(&output, &format!("Status: error\tError Type: {reported}\n")).await;
    }
}

#[tokio::test]
async fn lines_without_an_end_belong_to_their_invocation() {
    let output = Written::default();
    let function = LocalFunction::of(
        spec_writing_to(output.clone(), "concurrency: 1"),
        0,
        Arc::default(),
    );
    for _ in 0..2 {
        let mut begin = invocation(&json!({ "do": "begin" }));
        begin.log_type = lambda_api::LogType::Tail;
        let id = begin.request_id;
        let Ok(FunctionResponse::Buffered { log_tail, .. }) = function.invoke(begin).await else {
            panic!("no response");
        };
        let tail = String::from_utf8_lossy(&log_tail.unwrap()).into_owned();
        let expected = format!(
            "START RequestId: {id} Version: $LATEST\nout late\nerr ä\u{fffd}\nEND RequestId: {id}\n"
        );
        assert!(tail.starts_with(&expected), "{tail}");
        written(&output, &format!("REPORT RequestId: {id}")).await;
        // Without the name of the environment before each line.
        let text = output.text();
        let lines = text.lines().map(|line| line.split_once(" | ").unwrap().1);
        let lines: Vec<_> = lines.map(|line| format!("{line}\n")).collect();
        assert!(lines.concat().contains(&expected), "{text}");
    }
}

#[tokio::test]
async fn files_that_keep_changing_do_not_delay_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.py");
    std::fs::write(&file, "").unwrap();
    let function = function(0, &format!("watch: ['{}']", file.display()));
    function.begin(&AttachPoints::default());
    let changes = async {
        for change in 1.. {
            std::fs::write(&file, "x".repeat(change)).unwrap();
            sleep(Duration::from_millis(20)).await;
        }
    };
    let end = async {
        // The change is noticed within this time.
        sleep(Duration::from_millis(800)).await;
        function.spec.context.stop.cancel();
        function.spec.context.tasks.close();
        function.spec.context.tasks.wait().await;
    };
    tokio::select! {
        () = changes => {}
        () = end => {}
        () = sleep(Duration::from_secs(5)) => panic!("the files are still watched"),
    }
}
