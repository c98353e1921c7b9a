//! Streamed responses.

use serde_json::json;
use tokio::io::AsyncReadExt;

use super::{ended, other_server, program, run};
use crate::support::{Invoker, fixture_function};

#[tokio::test]
async fn a_chunk_is_printed_before_the_next_one_exists() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let url = format!("http://{}", invoker.listen);
    let folder = tempfile::tempdir().unwrap();
    let gate = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
    let event = json!({ "do": "stream", "chunks": ["one", "two"], "gates": folder.path() });
    let event = event.to_string();
    let arguments = ["invoke", "f", "--url", &url, "--stream", "--event", &event];
    let mut child = program(&arguments, &folder).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut chunk = [0; 3];
    gate("one");
    stdout.read_exact(&mut chunk).await.unwrap();
    assert_eq!(&chunk, b"one");
    gate("two");
    stdout.read_exact(&mut chunk).await.unwrap();
    assert_eq!(&chunk, b"two");
    let output = child.wait_with_output().await.unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(
        log.contains("\nREPORT RequestId: ") && log.contains("\nduration "),
        "{log}"
    );
}

#[tokio::test]
async fn the_prelude_of_a_streamed_response_is_its_head() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let url = format!("http://{}", invoker.listen);
    let prelude = json!({ "statusCode": 201, "headers": { "x-one": "1" } });
    let chunk = format!("{prelude}{}body", "\0".repeat(8));
    let event = json!({ "do": "stream", "http": true, "chunks": [chunk] });
    let template = format!("template={event}");
    let mut arguments = vec!["invoke", "f", "--url", &url, "--stream"];
    arguments.extend(["--payload", "template", "--filter", &template]);
    let called = run(&arguments).await;
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    assert!(
        called.stdout.starts_with("HTTP/1.1 201 Created\n"),
        "{}",
        called.stdout
    );
    assert!(called.stdout.contains("\nx-one: 1\n"), "{}", called.stdout);
    assert!(called.stdout.ends_with("\n\nbody"), "{}", called.stdout);

    arguments.push("--raw");
    assert_eq!(run(&arguments).await.stdout, chunk);
}

#[tokio::test]
async fn an_error_after_the_first_chunk_is_reported() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let url = format!("http://{}", invoker.listen);
    let event = r#"{"do":"stream","chunks":["begun"],"end":"error"}"#;
    let called = run(&["invoke", "f", "--url", &url, "--stream", "--event", event]).await;
    assert_eq!((called.code, called.stdout.as_str()), (Some(1), "begun"));
    let last = called.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("the function failed: ") && last.contains("after all"),
        "{last}"
    );
}

#[tokio::test]
async fn an_error_before_the_first_chunk_is_the_response() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let url = format!("http://{}", invoker.listen);
    let event = r#"{"do":"raise"}"#;
    let called = run(&["invoke", "f", "--url", &url, "--stream", "--event", event]).await;
    assert_eq!(called.code, Some(1));
    assert!(called.stdout.contains("no luck"), "{}", called.stdout);
    assert!(
        called
            .stderr
            .ends_with("the function failed: ValueError: no luck\n"),
        "{}",
        called.stderr
    );
}

#[tokio::test]
async fn a_response_that_is_no_stream_is_shown_as_a_whole() {
    let url = other_server(r#"{"plain":"answer"}"#).await;
    let called = run(&["invoke", "f", "--url", &url, "--stream"]).await;
    assert_eq!(called.json(), json!({ "plain": "answer" }));
}

/// A function that streams has a prelude, which an ordinary invocation cannot read.
#[tokio::test]
async fn a_route_that_streams_is_invoked_so() {
    let folder = tempfile::tempdir().unwrap();
    let invoker = Invoker::start(&fixture_function("")).await;
    let chunk = format!("{}{}body", json!({ "statusCode": 201 }), "\0".repeat(8));
    let event = json!({ "do": "stream", "http": true, "chunks": [chunk] }).to_string();
    let route = json!({ "function": "f", "payload": "template", "template": event, "invocation": "response-stream" });
    let text = format!(
        "listen: {}\n{}\nroutes: [{route}]",
        invoker.listen,
        fixture_function("")
    );
    std::fs::write(folder.path().join("invoker.yaml"), text).unwrap();
    let arguments = ["invoke", "f", "--config", "invoker.yaml", "--path", "/"];
    let called = ended(program(&arguments, &folder), "").await;
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    assert!(
        called.stdout.starts_with("HTTP/1.1 201 Created\n"),
        "{}",
        called.stdout
    );
    assert!(called.stdout.ends_with("\n\nbody"), "{}", called.stdout);
}
