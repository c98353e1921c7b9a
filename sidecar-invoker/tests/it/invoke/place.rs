//! The places of an invocation, and the report about it.

use std::time::Duration;

use serde_json::json;

use super::{config, ended, other_server, program, run};
use crate::aws::program::KEYS;
use crate::aws::stand_in::StandIn;
use crate::support::{Invoker, fixture_function, is_running};

#[tokio::test]
async fn a_function_whose_invoker_does_not_run_is_started_for_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = config(&folder);
    let event = r#"{"do":"say","line":"a line of the function"}"#;
    let arguments = ["invoke", "f", "--config", &file, "--event", event];
    let called = ended(program(&arguments, &folder), "").await;
    let pid = called.json()["pid"].to_string();
    let expected = format!("invoking f on an invoker for this call only ({file})\n");
    let log = &called.stderr;
    assert!(log.starts_with(&expected), "{log}");
    let line = |end: &str| log.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!(line("| a line of the function"), 1, "{log}");
    assert!(
        log.contains("\ninvocation status 200, version $LATEST, request "),
        "{log}"
    );
    assert!(
        log.contains("\nduration ") && log.contains(" ms, init "),
        "{log}"
    );
    assert!(!is_running(&pid));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn an_event_that_is_queued_for_the_call_still_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = config(&folder);
    let written = folder.path().join("written");
    let event = json!({ "do": "log", "file": written, "line": "ran" }).to_string();
    let arguments = [
        "invoke", "f", "--config", &file, "--event", &event, "--async",
    ];
    let called = ended(program(&arguments, &folder), "").await;
    assert_eq!((called.code, called.stdout.as_str()), (Some(0), ""));
    assert!(
        called.stderr.contains("\ninvocation status 202, request "),
        "{}",
        called.stderr
    );
    assert_eq!(std::fs::read_to_string(written).unwrap(), "ran\n");
}

#[tokio::test]
async fn a_signal_ends_the_function_that_was_started_for_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = config(&folder);
    let child = folder.path().join("child");
    let event = json!({ "do": "child", "file": child }).to_string();
    let arguments = ["invoke", "f", "--config", &file, "--event", &event];
    let mut command = program(&arguments, &folder);
    let running = command.spawn().unwrap();
    crate::support::exists(&child).await;
    let pid = running.id().unwrap().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(sent.unwrap().success());
    let output = tokio::time::timeout(Duration::from_secs(20), running.wait_with_output());
    let output = output.await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.ends_with("interrupted\n"), "{log}");
    // The socket's folder is gone. The file of the configuration and that of the function are left.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_running_invoker_is_called_by_its_url_or_its_file() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("invoker.yaml");
    let text = format!("listen: {}\n{}", invoker.listen, fixture_function(""));
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let url = format!("http://{}", invoker.listen);
    let event = r#"{"do":"say","line":"a line of the function"}"#;
    for place in [["--url", &url], ["--config", &file]] {
        let mut arguments = vec!["invoke", "f", "--event", event];
        arguments.extend(place);
        let called = ended(program(&arguments, &folder), "").await;
        assert!(called.json()["pid"].is_u64());
        let log = &called.stderr;
        let expected = format!("invoking f on the running invoker at {url}\nSTART RequestId: ");
        assert!(log.starts_with(&expected), "{log}");
        assert!(log.contains("\na line of the function\n"), "{log}");
        assert!(log.contains("\nREPORT RequestId: "), "{log}");
        assert!(log.contains("\nduration "), "{log}");
    }
    let arguments = ["invoke", "f", "--config", &file, "--start"];
    let called = ended(program(&arguments, &folder), "").await;
    assert!(
        called.stderr.contains("for this call only"),
        "{}",
        called.stderr
    );
    assert_eq!(called.json()["event"], json!({}));
}

#[tokio::test]
async fn a_unix_socket_is_a_url_too() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("unix://{}/invoker.sock", folder.path().display());
    let _invoker = Invoker::listening(&url, &fixture_function("")).await;
    assert_eq!(
        run(&["invoke", "f", "--url", &url]).await.json()["event"],
        json!({})
    );
}

#[tokio::test]
async fn a_function_error_is_printed_and_the_exit_code_is_1() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let url = format!("http://{}", invoker.listen);
    let event = r#"{"do":"raise","message":"no\u001b[2J luck"}"#;
    let called = run(&["invoke", "f", "--url", &url, "--event", event]).await;
    assert_eq!(called.code, Some(1));
    let error: serde_json::Value = serde_json::from_str(&called.stdout).unwrap();
    assert_eq!(error["errorType"], "ValueError");
    let expected = "\nthe function failed: ValueError: no\\u{1b}[2J luck\n";
    assert!(called.stderr.ends_with(expected), "{}", called.stderr);
    assert!(!called.stderr.contains('\u{1b}'));
}

#[tokio::test]
async fn the_options_of_an_invocation_reach_the_function() {
    let invoker = Invoker::start(
        "functions: { f: { versions: ['1'], aliases: { live: '1' }, local: { command: [python3, FIXTURE], timeout: 10s } } }"
            .replace("FIXTURE", &crate::support::fixture())
            .as_str(),
    )
    .await;
    let url = format!("http://{}", invoker.listen);
    let mut arguments = vec!["invoke", "f", "--url", &url, "--qualifier", "live"];
    arguments.extend([
        "--client-context",
        r#"{"custom":{"a":"b"}}"#,
        "--tenant",
        "blue",
    ]);
    let called = run(&arguments).await;
    let headers = &called.json()["headers"];
    assert_eq!(
        headers["lambda-runtime-client-context"],
        r#"{"custom":{"a":"b"}}"#
    );
    assert_eq!(headers["lambda-runtime-aws-tenant-id"], "blue");
    assert!(
        called.stderr.contains("invocation status 200, version 1, "),
        "{}",
        called.stderr
    );

    let called = run(&["invoke", "f:live", "--url", &url, "--dry-run"]).await;
    assert_eq!((called.code, called.stdout.as_str()), (Some(0), ""));
    assert!(
        called.stderr.contains("\ninvocation status 204, "),
        "{}",
        called.stderr
    );
}

#[tokio::test]
async fn a_remote_function_is_called_with_a_signature() {
    let aws = StandIn::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["invoke", "orders:live", "--remote", "--url", &aws.url];
    arguments.extend(["--region", "eu-west-1", "--event", r#"{"a":1}"#]);
    let mut command = program(&arguments, &folder);
    let called = ended(
        {
            command.envs(KEYS);
            command
        },
        "",
    )
    .await;
    assert_eq!(called.json(), json!({ "a": 1 }));
    let host = aws.url.trim_start_matches("http://");
    let expected = format!(
        "invoking orders on {host} with a signed call\ninvocation status 200, version 7, request 1-2-3\ntotal "
    );
    assert!(called.stderr.starts_with(&expected), "{}", called.stderr);
    let received = &aws.received()[0];
    assert_eq!(received.scope(), "eu-west-1/lambda");
    assert_eq!(received.path, "/2015-03-31/functions/orders/invocations");
    assert_eq!(received.query.as_deref(), Some("Qualifier=live"));
    assert_eq!(received.header("x-amz-log-type"), Some("Tail"));
}

#[tokio::test]
async fn errors_of_aws_are_shown_with_their_message() {
    let aws = StandIn::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["invoke", "denied", "--remote", "--url", &aws.url];
    arguments.extend(["--region", "eu-west-1"]);
    let mut command = program(&arguments, &folder);
    let called = ended(
        {
            command.envs(KEYS);
            command
        },
        "",
    )
    .await;
    assert_eq!((called.code, called.stdout.as_str()), (Some(1), ""));
    let expected = "\nthe function was not run: 403 (AccessDeniedException): not authorized to perform: \
        lambda:InvokeFunction\n";
    assert!(called.stderr.ends_with(expected), "{}", called.stderr);

    // Without a region or credentials, nothing is sent.
    let sent = aws.received().len();
    let mut command = program(&arguments[..arguments.len() - 2], &folder);
    command.envs(KEYS);
    let called = ended(command, "").await;
    assert_eq!(called.code, Some(1));
    let expected =
        "\nno AWS region is known; give --region, or set AWS_REGION or the profile's region\n";
    assert!(called.stderr.ends_with(expected), "{}", called.stderr);
    let called = ended(program(&arguments, &folder), "").await;
    assert_eq!(called.code, Some(1));
    assert!(
        called.stderr.contains("no AWS credentials were found"),
        "{}",
        called.stderr
    );
    assert_eq!(aws.received().len(), sent);
}

/// The operator of an invoker invents access keys, which its callers use as those of AWS.
#[tokio::test]
async fn an_invoker_that_demands_signatures_is_called_like_aws() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s".repeat(40)).unwrap();
    let callers = format!(
        "callers: {{ access_keys: [{{ id: REPORTS, secret: 'file:{}' }}] }}\n{}",
        secret.display(),
        fixture_function("")
    );
    let invoker = Invoker::start(&callers).await;
    let url = format!("http://{}", invoker.listen);
    let signed = [
        "invoke",
        "f",
        "--remote",
        "--url",
        &url,
        "--region",
        "eu-west-1",
    ];
    let mut command = program(&signed, &folder);
    command.env("AWS_ACCESS_KEY_ID", "REPORTS");
    command.env("AWS_SECRET_ACCESS_KEY", "s".repeat(40));
    assert_eq!(ended(command, "").await.json()["event"], json!({}));

    let called = ended(program(&["invoke", "f", "--url", &url], &folder), "").await;
    assert_eq!(called.code, Some(1));
    let expected = "403 (MissingAuthenticationTokenException): Missing Authentication Token: the invoker serves calls";
    assert!(called.stderr.contains(expected), "{}", called.stderr);
}

/// Emulators report a function error with status 200 and without a header.
#[tokio::test]
async fn the_error_of_an_emulated_function_is_a_failure() {
    let url =
        other_server(r#"{"errorMessage":"no luck","errorType":"ValueError","stackTrace":[]}"#)
            .await;
    let called = run(&["invoke", "f", "--url", &url]).await;
    assert_eq!(called.code, Some(1), "{}", called.stderr);
    assert!(
        called
            .stderr
            .ends_with("the function failed: ValueError: no luck\n"),
        "{}",
        called.stderr
    );
    assert!(called.stdout.contains("no luck"));
}

/// An invoker for one call needs no callers, but their secrets stay hidden.
#[tokio::test]
async fn a_function_does_not_inherit_the_secrets_of_the_callers() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = "callers: { filters: [{ secrets: ['env:A_SECRET'] }] }";
    for keys in ["inherit_env: true", "inherit_env: [A_SECRET, ANOTHER]"] {
        let text = format!("{secrets}\n{}", fixture_function(keys));
        std::fs::write(folder.path().join("invoker.yaml"), text).unwrap();
        let arguments = ["invoke", "f", "--config", "invoker.yaml", "--start"];
        let mut command = program(&arguments, &folder);
        command
            .env("A_SECRET", "s".repeat(40))
            .env("ANOTHER", "seen");
        let variables = ended(command, "").await.json()["env"].clone();
        assert_eq!(variables.get("A_SECRET"), None);
        assert_eq!(variables["ANOTHER"], "seen");
    }
}
