//! Each mistake has one sentence that says what to do.

use std::process::Stdio;

use super::{config, ended, program};
use crate::support::{Invoker, fixture_function};

#[tokio::test]
async fn a_mistake_in_the_arguments_is_one_sentence_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.json"), "{\n  \"a\": tru\n}").unwrap();
    let file = config(&folder);
    let unknown = format!("{file}: there is no function `g`; the file has f\n");
    let typo = format!("{file}: there is no function `ff`; did you mean `f`?\n");
    for (arguments, expected) in [
        (
            &["event", "--sample", "sqss"][..],
            "there is no sample `sqss`; did you mean `sqs`? --list-samples lists them all\n",
        ),
        (
            &["event", "--sample", "sqs", "--set", "buket=b"],
            "--set buket: the sample `sqs` has no such field; its fields are queue, body, region, account\n",
        ),
        (
            &["event", "--sample", "http-api", "--set", "path=x"],
            "--set path: expected a path such as /orders?page=2\n",
        ),
        (
            &["event", "--event", "{\"a\": tru}"],
            "--event {\"a\": tru}: the event is not JSON: expected ident at line 1 column 10\n",
        ),
        (
            &["event", "--event", "broken.json"],
            "--event broken.json: the event is not JSON: expected ident at line 3 column 0\n",
        ),
        (
            &["event", "--event", "nowhere.json"],
            "--event nowhere.json: cannot be read: No such file or directory (os error 2); give JSON, the name of a \
             file, or - for standard input\n",
        ),
        (
            &["event", "-d", "@nowhere"],
            "--data nowhere: cannot be read: No such file or directory (os error 2); give a text, @FILE, or @- for \
             standard input\n",
        ),
        (
            &["event", "--payload", "apigateway"],
            "--payload, --filter: `payload`: expected one of apigateway-v2, apigateway-v1, alb, alb-multi-value, \
             vpc-lattice-v1, vpc-lattice-v2, function-url, envoy, raw, template, found \"apigateway\"\n",
        ),
        (
            &["event", "--filter", "stag=dev"],
            "--payload, --filter: `stag`: unknown key; did you mean `stage`?\n",
        ),
        (
            &["event", "--filter", "function=g"],
            "--filter function: the key is set by the command itself; leave it out\n",
        ),
        (
            &["event", "--payload", "raw", "-d", "no JSON"],
            "no event can be made of the request: the body has to be JSON, and is not: expected ident at line 1 \
             column 2\n",
        ),
        (
            &["invoke", "f", "--url", "https://example.com"],
            "--url https://example.com: expected http://HOST:PORT or unix:///PATH; for a signed call over TLS, add \
             --remote\n",
        ),
        (
            &[
                "invoke",
                "f:a",
                "--qualifier",
                "b",
                "--url",
                "http://127.0.0.1:1",
            ],
            "The derived qualifier from the function name does not match the specified qualifier.\n",
        ),
        (
            &["invoke", "f", "--remote", "--region", "EU"],
            "--remote:1: aws.region: expected a region such as eu-west-1, found \"EU\"\n",
        ),
        (
            &["invoke", "f", "--config", "nowhere.yaml"],
            "nowhere.yaml: there is no such file; name one with --config\n",
        ),
        (
            &["invoke", "gamma", "--config", &file],
            &unknown.replace("`g`", "`gamma`"),
        ),
        (&["invoke", "ff", "--config", &file], &typo),
        (
            &["man", "invok"],
            "there is no subcommand `invok`; the subcommands are up, serve, check, healthcheck, envoy-config, invoke, \
             event, schema, lrp, completions, man, help\n",
        ),
    ] {
        let called = ended(program(arguments, &folder), "").await;
        assert_eq!(called.stderr, expected, "{arguments:?}");
        assert_eq!(
            (called.code, called.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
    }
}

#[tokio::test]
async fn a_mistake_that_clap_finds_names_the_option() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (&["invoke"][..], "FUNCTION"),
        (&["invoke", "no such name"], "no such name"),
        (&["invoke", "f", "--event", "{}", "--path", "/"], "--event"),
        (&["invoke", "f", "--sample", "s3", "-d", "x"], "--sample"),
        (&["invoke", "f", "--set", "a=b"], "--sample"),
        (
            &["invoke", "f", "--sample", "s3", "--set", "bucket"],
            "expected NAME=VALUE",
        ),
        (
            &["invoke", "f", "--path", "orders"],
            "expected a path such as /orders?page=2",
        ),
        (&["invoke", "f", "-H", "no colon"], "expected `Name: value`"),
        (
            &["invoke", "f", "--client-context", "[]"],
            "expected a JSON object",
        ),
        (&["invoke", "f", "--stream", "--async"], "--async"),
        (
            &[
                "invoke",
                "f",
                "--url",
                "http://a:1",
                "--config",
                "x",
                "--start",
            ],
            "--start",
        ),
        (&["invoke", "f", "--region", "eu-west-1"], "--remote"),
        (&["completions", "cmd"], "bash"),
    ] {
        let called = ended(program(arguments, &folder), "").await;
        assert_eq!(called.code, Some(2), "{arguments:?}: {}", called.stderr);
        assert!(
            called.stderr.contains(words),
            "{arguments:?}: {}",
            called.stderr
        );
    }
}

#[tokio::test]
async fn an_unreachable_invoker_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let called = ended(program(&["invoke", "f", "--url", &url], &folder), "").await;
    assert_eq!(called.code, Some(1));
    let expected = format!("{url} cannot be reached or broke off: Connection refused");
    assert!(called.stderr.contains(&expected), "{}", called.stderr);
    assert!(
        called
            .stderr
            .ends_with("; check that an invoker runs there\n")
    );
}

/// In a network of its own, nothing listens at the default address.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn without_an_invoker_at_the_default_address_the_ways_to_have_one_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let plain = program(&["invoke", "f"], &folder);
    let mut command = tokio::process::Command::new("unshare");
    command.args(["--user", "--net", "--map-root-user"]);
    command
        .arg(plain.as_std().get_program())
        .args(plain.as_std().get_args());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let called = ended(command, "").await;
    let expected = "no invoker runs at http://127.0.0.1:9090; start one with `sidecar-invoker serve --config FILE`, \
        give --config FILE to start the function for this call, --url URL for an invoker elsewhere, or --remote for \
        AWS\n";
    assert_eq!((called.code, called.stderr.as_str()), (Some(1), expected));
}

#[tokio::test]
async fn a_function_that_the_invoker_does_not_have_is_a_failure() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let url = format!("http://{}", invoker.listen);
    let folder = tempfile::tempdir().unwrap();
    let called = ended(program(&["invoke", "other", "--url", &url], &folder), "").await;
    assert_eq!((called.code, called.stdout.as_str()), (Some(1), ""));
    let expected = "the function was not run: 404 (ResourceNotFoundException): Function not found: \
        arn:aws:lambda:us-east-1:123456789012:function:other:$LATEST\n";
    assert!(called.stderr.ends_with(expected), "{}", called.stderr);
}

#[tokio::test]
async fn a_function_that_does_not_start_is_a_failure_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("invoker.yaml");
    let socket = folder.path().join("none.sock");
    let text = format!(
        "listen: unix://{}\nfunctions: {{ f: {{ local: {{ command: [./nowhere] }} }} }}",
        socket.display()
    );
    std::fs::write(&file, text).unwrap();
    let called = ended(
        program(&["invoke", "f", "--config", "invoker.yaml"], &folder),
        "",
    )
    .await;
    assert_eq!(called.code, Some(1));
    let expected = "build it, install it or correct the command";
    assert!(called.stderr.contains(expected), "{}", called.stderr);
    assert!(called.stdout.contains("errorType"), "{}", called.stdout);
}
