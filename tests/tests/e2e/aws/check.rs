//! `sidecar-invoker check` reports which functions work, and why others do not.

use std::net::TcpListener;
use std::process::Output;

use lambda_mesh_tests::aws::{Aws, with_key};
use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::invoker::Invoker;
use serde_json::json;

use super::shared;
use crate::service::probe;

/// Returns the line of the table for `function`.
#[track_caller]
fn line<'o>(output: &'o Output, function: &str) -> &'o str {
    let text = std::str::from_utf8(&output.stdout).expect("text");
    let mut lines = text.lines();
    let line = lines.find(|line| line.split_whitespace().next() == Some(function));
    assert!(line.is_some(), "no line for {function}: {output:?}");
    line.unwrap_or_default()
}

#[test]
fn check_succeeds_if_every_function_works() {
    let aws = shared();
    aws.function("checked", &json!({}));
    let emulator = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = emulator.local_addr().expect("an address");
    let config = json!({ "functions": {
        "checked": { "aws": {} },
        "renamed": { "aws": { "function": "checked", "qualifier": "live" } },
        "emulated": { "rie": format!("http://{address}") },
        "own": { "local": { "command": [probe()] } },
    } });
    let output = with_key(aws.invoker_of(&config)).run("check");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for function in ["checked", "renamed", "emulated", "own"] {
        assert!(line(&output, function).contains("ok"), "{output:?}");
    }
    let calls = aws.calls("checked");
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call["headers"]["x-amz-invocation-type"], "DryRun");
        assert_eq!(call["executed"], false);
    }
}

#[test]
fn check_reports_the_reason_for_each_function_that_does_not_work() {
    let aws = Aws::start();
    aws.function("fine", &json!({}));
    aws.function("denied", &json!({ "error": "AccessDeniedException" }));
    let gone = free_address();
    let config = json!({ "functions": {
        "fine": { "aws": {} },
        "missing": { "aws": {} },
        "denied": { "aws": {} },
        "away": { "aws": { "endpoint": format!("http://{gone}") } },
        "emulated": { "rie": format!("http://{gone}") },
        "own": { "local": { "command": ["./not-there"] } },
    } });
    let output = with_key(aws.invoker_of(&config)).run("check");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(line(&output, "fine").contains("ok"), "{output:?}");
    let reasons = [
        ("missing", "correct its name"),
        ("denied", "lambda:InvokeFunction"),
        ("away", "cannot be reached"),
        ("emulated", "Connection refused"),
        ("own", "not-there"),
    ];
    for (function, reason) in reasons {
        let line = line(&output, function);
        assert!(line.contains(reason), "{reason}: {line}");
    }
}

#[test]
fn check_reports_missing_credentials() {
    let aws = Aws::start();
    aws.function("fine", &json!({}));
    let config = json!({ "functions": { "fine": { "aws": {} } } });
    let output = aws.invoker_of(&config).run("check");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(line(&output, "fine").contains("credentials"), "{output:?}");
    assert!(aws.requests("calls").is_empty());
}

#[test]
fn check_reports_mistakes_in_the_file() {
    let output = Invoker::with(json!({ "functions": { "f": { "aws": { "functoin": "x" } } } }));
    let output = output.run("check");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("functions.f.aws.functoin: unknown key"),
        "{errors}"
    );
}
