//! Execution environments over time: their number, end, logs and extensions.

use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::Method;
use serde_json::{Value, json};

use crate::support::{
    HttpResponse, Invoker, eventually, exists, fixture, fixture_function, is_running,
    make_executable,
};

const TAIL: [(&str, &str); 1] = [("x-amz-log-type", "Tail")];

async fn with_log(invoker: &Invoker, event: Value) -> (HttpResponse, String) {
    let path = "/2015-03-31/functions/f/invocations";
    let response = invoker.request(Method::POST, path, &TAIL, event.to_string());
    let response = response.await;
    let log = BASE64_STANDARD.decode(response.header("x-amz-log-result").unwrap());
    (response, String::from_utf8(log.unwrap()).unwrap())
}

#[tokio::test]
async fn the_log_tail_has_the_output_of_the_function_between_the_lines_of_lambda() {
    let invoker = Invoker::start(&fixture_function("concurrency: 1, memory: 256")).await;
    let (response, log) = with_log(&invoker, json!({ "do": "say", "line": "hello" })).await;
    let id = response.header("x-amzn-requestid").unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], format!("START RequestId: {id} Version: $LATEST"));
    assert_eq!(
        lines[1..3],
        ["hello", format!("END RequestId: {id}").as_str()]
    );
    let report = lines[3];
    assert!(
        report.starts_with(&format!("REPORT RequestId: {id}\tDuration: ")),
        "{report}"
    );
    for part in [
        " ms\tBilled Duration: ",
        " ms\tMemory Size: 256 MB\t",
        "Init Duration: ",
    ] {
        assert!(report.contains(part), "{report}");
    }
    if cfg!(target_os = "linux") {
        assert!(report.contains("\tMax Memory Used: "), "{report}");
    }
    assert_eq!(lines.len(), 4);
    // The next invocation has only its own lines, and no initialisation.
    let (_, log) = with_log(&invoker, json!({ "do": "say", "line": "again" })).await;
    assert!(
        log.contains("\nagain\nEND ") && !log.contains("hello"),
        "{log}"
    );
    assert!(!log.contains("Init Duration"), "{log}");
    let response = invoker.invoke(json!({})).await;
    assert_eq!(response.header("x-amz-log-result"), None);
}

#[tokio::test]
async fn the_log_tail_has_the_reason_for_a_failed_invocation() {
    let keys = "concurrency: 1, timeout: 1s";
    let invoker = Invoker::start(&fixture_function(keys).replacen("timeout: 10s, ", "", 1)).await;
    let (response, log) = with_log(&invoker, json!({ "do": "exit", "status": 3 })).await;
    assert_eq!(response.function_error(), "Runtime.ExitError");
    let id = response.header("x-amzn-requestid").unwrap();
    let line = format!("\nRequestId: {id} Error: Runtime exited with error: exit status 3\nEND ");
    assert!(log.contains(&line), "{log}");
    assert!(
        log.contains("\tStatus: error\tError Type: Runtime.ExitError\t\n"),
        "{log}"
    );
    let folder = tempfile::tempdir().unwrap();
    let event = json!({ "do": "child", "file": folder.path().join("pids") });
    let (response, log) = with_log(&invoker, event).await;
    assert_eq!(response.function_error(), "Sandbox.Timedout");
    assert!(
        log.contains("Task timed out after 1.00 seconds\n\nEND "),
        "{log}"
    );
    assert!(log.contains("\tStatus: timeout\t\n"), "{log}");
    // The tail has at most the last 4 KB.
    let (_, log) = with_log(&invoker, json!({ "do": "print", "lines": 10 })).await;
    assert_eq!(log.len(), 4_096);
    assert!(log.contains("REPORT"), "{log}");
}

#[tokio::test]
async fn idle_environments_end_except_for_the_minimum() {
    let folder = tempfile::tempdir().unwrap();
    let keys = "concurrency: 2, min_environments: 1, idle_timeout: 300ms";
    let invoker = Invoker::start(&fixture_function(keys)).await;
    let meet = json!({ "do": "meet", "folder": folder.path(), "count": 2 });
    let (one, two) = tokio::join!(invoker.invoke(meet.clone()), invoker.invoke(meet));
    let pids = [one, two].map(|response| response.json()["pid"].to_string());
    eventually("the end of an environment", async || {
        (pids.iter().filter(|pid| is_running(pid)).count() < 2).then_some(())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let left = pids.iter().filter(|pid| is_running(pid)).count();
    assert_eq!(left, 1);
    let pid = invoker.invoke(json!({})).await.json()["pid"].to_string();
    assert!(pids.contains(&pid));
}

#[tokio::test]
async fn an_idle_timeout_shorter_than_the_timeout_holds() {
    let function = fixture_function("concurrency: 1, idle_timeout: 500ms");
    let invoker = Invoker::start(&function.replacen("timeout: 10s", "timeout: 5m", 1)).await;
    // The second call begins while the timer is set for the idle time of the first.
    for _ in 0..2 {
        let pid = invoker.invoke(json!({})).await.json()["pid"].to_string();
        // It fails after 10 s, long before the call would have timed out.
        eventually("its end", async || (!is_running(&pid)).then_some(())).await;
    }
}

#[tokio::test]
async fn min_environments_run_before_the_first_call_and_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let env = format!("env: {{ STARTS: {} }}", starts.display());
    let keys = format!("concurrency: 2, min_environments: 2, {env}");
    let invoker = Invoker::start(&fixture_function(&keys)).await;
    let started = async |count: usize| {
        eventually("the start", async || {
            let pids = std::fs::read_to_string(&starts).ok()?;
            (pids.lines().count() == count).then_some(pids)
        })
        .await
    };
    let pids = started(2).await;
    let pid = invoker.invoke(json!({})).await.json()["pid"].to_string();
    assert!(pids.lines().any(|started| started == pid));
    let response = invoker.invoke(json!({ "do": "exit", "status": 1 })).await;
    assert_eq!(response.function_error(), "Runtime.ExitError");
    started(3).await;
}

#[tokio::test]
async fn an_environment_of_the_minimum_that_cannot_start_is_retried_with_backoff() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let env = format!("env: {{ STARTS: {}, INIT: exit }}", starts.display());
    let invoker = Invoker::start(&fixture_function(&format!("min_environments: 1, {env}"))).await;
    eventually("a retry", async || {
        let pids = std::fs::read_to_string(&starts).ok()?;
        (pids.lines().count() >= 3).then_some(())
    })
    .await;
    // Three attempts take two pauses. The second pause is twice as long as the first.
    let response = invoker.invoke(json!({})).await;
    assert_eq!(response.function_error(), "Runtime.ExitError");
    invoker.stop().await;
}

#[tokio::test]
async fn an_exec_wrapper_starts_the_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let wrapper = folder.path().join("wrapper");
    std::fs::write(&wrapper, "#!/bin/sh\nWRAPPED=$# exec \"$@\"\n").unwrap();
    make_executable(&wrapper);
    let function = |wrapper: &str| {
        let env = format!("env: {{ AWS_LAMBDA_EXEC_WRAPPER: {wrapper} }}");
        fixture_function(&format!("directory: {}, {env}", folder.path().display()))
    };
    let invoker = Invoker::start(&function("./wrapper")).await;
    let output = invoker.invoke(json!({})).await.json();
    assert_eq!(output["env"]["WRAPPED"], "2", "program and argument");
    let invoker = Invoker::start(&function("./absent")).await;
    let failure = async |invoker: Invoker| {
        let response = invoker.invoke(json!({})).await;
        assert_eq!(response.function_error(), "Runtime.ExitError");
        response.json()["errorMessage"].as_str().unwrap().to_owned()
    };
    let found = failure(invoker).await;
    let message = "Runtime exited with error: exit status 127";
    assert!(found.ends_with(message), "{found}");
    std::fs::write(folder.path().join("locked"), "").unwrap();
    let found = failure(Invoker::start(&function("./locked")).await).await;
    assert!(
        found.ends_with("Runtime exited with error: exit status 126"),
        "{found}"
    );
    let invoker = Invoker::start(&function("''")).await;
    assert_eq!(
        invoker.invoke(json!({})).await.status,
        200,
        "an empty value is none"
    );
}

#[tokio::test]
async fn an_exec_wrapper_may_set_the_handler_of_an_imported_function() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    // Stands for AWS's client, which takes its handler from its argument.
    let client = format!(
        "import os, runpy, sys\nos.environ['STARTED'] = ' '.join(sys.argv[1:])\nrunpy.run_path({:?})",
        fixture()
    );
    file("awslambdaric/__main__.py", &client);
    file("awslambdaric/__init__.py", "");
    // As in AWS's documentation: the options stand before the last argument.
    let wrapper = "#!/bin/bash\nexport _HANDLER=other.handler\nargs=(\"$@\")\n\
                   exec \"${args[@]:0:$#-1}\" -X utf8 \"${args[@]: -1}\"\n";
    make_executable(&file("wrapper", wrapper));
    let template = file(
        "template.yaml",
        "
Resources:
  f:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: .
      Handler: app.handler
      Runtime: python3.12
      Timeout: 10
      Environment: { Variables: { AWS_LAMBDA_EXEC_WRAPPER: ./wrapper } }
",
    );
    let invoker = Invoker::start(&format!("import: {}", template.display())).await;
    let env = invoker.invoke(json!({})).await.json()["env"].clone();
    assert_eq!(env["STARTED"], "other.handler");
    assert_eq!(env["AWS_EXECUTION_ENV"], "AWS_Lambda_python3.12");
}

/// Returns a folder with the extension `probe`, its log file, and the configuration of a function
/// in that folder.
fn with_extension(mode: &str, keys: &str) -> (tempfile::TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let extension = folder.path().join("extensions/probe");
    std::fs::create_dir(folder.path().join("extensions")).unwrap();
    let source = format!("{}/tests/fixtures/extension.py", env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(source, &extension).unwrap();
    make_executable(&extension);
    let directory = folder.path().display();
    let keys = format!("directory: {directory}, env: {{ EXTENSION: {mode} }}, {keys}");
    let log = folder.path().join("probe.log");
    (folder, log, fixture_function(&keys))
}

/// Reads the records that the extension `probe` has written.
fn read_notes(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn an_extension_receives_each_invocation_and_the_shutdown() {
    let (_folder, log, function) = with_extension("none", "concurrency: 1, idle_timeout: 500ms");
    let invoker = Invoker::start(&function).await;
    let response = invoker.invoke(json!({})).await;
    let headers = response.json()["headers"].clone();
    let notes = eventually("the end", async || {
        let notes = read_notes(&log);
        (notes.len() == 3).then_some(notes)
    })
    .await;
    let registered = &notes[0]["registered"];
    assert_eq!(registered["functionName"], "f");
    assert_eq!(registered["functionVersion"], "$LATEST");
    assert!(
        registered["handler"]
            .as_str()
            .unwrap()
            .ends_with("runtime.py")
    );
    let event = &notes[1]["event"];
    assert_eq!(event["eventType"], "INVOKE");
    assert_eq!(event["requestId"], headers["lambda-runtime-aws-request-id"]);
    let deadline = event["deadlineMs"].to_string();
    assert_eq!(headers["lambda-runtime-deadline-ms"], deadline);
    let arn = &headers["lambda-runtime-invoked-function-arn"];
    assert_eq!(event["invokedFunctionArn"], *arn);
    let tracing = json!({ "type": "X-Amzn-Trace-Id", "value": headers["lambda-runtime-trace-id"] });
    assert_eq!(event["tracing"], tracing);
    assert_eq!(notes[2]["event"]["eventType"], "SHUTDOWN");
    assert_eq!(notes[2]["event"]["shutdownReason"], "spindown");
    let pid = notes[0]["pid"].to_string();
    eventually("its end", async || (!is_running(&pid)).then_some(())).await;
}

#[tokio::test]
async fn an_environment_is_busy_until_its_extensions_are_done() {
    let (_folder, log, function) = with_extension("slow", "concurrency: 1");
    let invoker = Invoker::start(&function).await;
    let begun = tokio::time::Instant::now();
    let first = invoker.invoke(json!({})).await.json()["pid"].clone();
    assert_eq!(invoker.invoke(json!({})).await.json()["pid"], first);
    assert!(begun.elapsed() >= std::time::Duration::from_millis(300));
    invoker.stop().await;
    let last = read_notes(&log).pop().unwrap();
    assert_eq!(last["event"]["shutdownReason"], "spindown");
}

#[tokio::test]
async fn a_failed_extension_fails_the_environment() {
    for (mode, error_type, message) in [
        ("exit", "Extension.Crash", "extension probe: exit status: 4"),
        (
            "silent",
            "Sandbox.Timedout",
            "Task timed out after 1.00 seconds",
        ),
        (
            "init-error",
            "Extension.NoLuck",
            "extension probe: it reported an error",
        ),
    ] {
        let limit = if mode == "silent" { "1s" } else { "10s" };
        let (_folder, _, function) = with_extension(mode, &format!("init_timeout: {limit}"));
        let invoker = Invoker::start(&function).await;
        let response = invoker.invoke(json!({})).await;
        assert_eq!(response.function_error(), error_type, "{mode}");
        let found = response.json()["errorMessage"].as_str().unwrap().to_owned();
        assert!(found.ends_with(message), "{mode}: {found}");
    }
}

#[tokio::test]
async fn the_mistakes_of_an_extension_are_refused_as_by_the_emulator() {
    let (_folder, log, function) = with_extension("twice", "concurrency: 1");
    let invoker = Invoker::start(&function).await;
    assert_eq!(invoker.invoke(json!({})).await.status, 200);
    let notes = read_notes(&log);
    let again = json!({ "status": 403, "error": "Extension.InvalidExtensionState" });
    let missing = json!({ "status": 403, "error": "Extension.MissingHeader" });
    assert_eq!(notes[1..4], [again, missing.clone(), missing]);
}

#[tokio::test]
async fn an_extension_can_end_its_environment_and_is_killed_if_it_ignores_the_shutdown() {
    let (folder, log, function) = with_extension("exit-error", "concurrency: 1");
    let invoker = Invoker::start(&function).await;
    let event = json!({ "do": "child", "file": folder.path().join("pids") });
    let response = invoker.invoke(event).await;
    assert_eq!(response.function_error(), "Extension.Tired");
    let refused = json!({ "status": 403, "error": "Extension.InvalidExtensionState" });
    eventually("the refusal of another event", async || {
        (read_notes(&log).pop()? == refused).then_some(())
    })
    .await;

    let (_folder, log, function) = with_extension("none", "concurrency: 1");
    let invoker = Invoker::start(&function).await;
    let response = invoker.invoke(json!({ "do": "exit", "status": 3 })).await;
    assert_eq!(response.function_error(), "Runtime.ExitError");
    eventually("the shutdown", async || {
        let last = read_notes(&log).pop()?;
        (last["event"]["shutdownReason"] == "failure").then_some(())
    })
    .await;

    let (folder, log, function) = with_extension("deaf", "concurrency: 1");
    let function = function.replacen("timeout: 10s", "timeout: 1s", 1);
    let invoker = Invoker::start(&function).await;
    let pids = folder.path().join("pids");
    let response = invoker.invoke(json!({ "do": "child", "file": pids })).await;
    assert_eq!(response.function_error(), "Sandbox.Timedout");
    exists(&pids).await;
    eventually("the shutdown", async || {
        let last = read_notes(&log).pop()?;
        (last["event"]["shutdownReason"] == "timeout").then_some(())
    })
    .await;
    let pid = read_notes(&log)[0]["pid"].to_string();
    eventually("its end", async || (!is_running(&pid)).then_some(())).await;
}
