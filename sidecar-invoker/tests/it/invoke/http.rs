//! Requests that become events, and responses as a client of Envoy would get them.

use serde_json::{Value, json};

use super::{Ended, answering, run};
use crate::support::{Invoker, fixture_function};

/// Invokes `f` with these arguments.
async fn invoke(invoker: &Invoker, arguments: &[&str]) -> Ended {
    let url = format!("http://{}", invoker.listen);
    let mut all = vec!["invoke", "f", "--url", &url];
    all.extend(arguments);
    run(&all).await
}

/// Invokes `f`, which sends this payload.
async fn answer(invoker: &Invoker, payload: &Value, arguments: &[&str]) -> Ended {
    let answering = answering(&payload.to_string());
    let mut all: Vec<&str> = answering.iter().map(String::as_str).collect();
    all.extend(arguments);
    invoke(invoker, &all).await
}

#[tokio::test]
async fn a_request_becomes_an_event_and_its_payload_a_response() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let arguments = [
        "-d",
        r#"{"a":1}"#,
        "--path",
        "/orders?page=2",
        "-H",
        "X-One: 1",
        "--host",
        "shop.test",
    ];
    let called = invoke(&invoker, &arguments).await;
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    let (head, body) = called.stdout.split_once("\n\n").unwrap();
    let head: Vec<_> = head.lines().collect();
    let length = format!("content-length: {}", body.len());
    assert_eq!(
        head,
        ["HTTP/1.1 200 OK", "content-type: application/json", &length]
    );
    let body: Value = serde_json::from_str(body).unwrap();
    let event = &body["event"];
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["rawPath"], "/orders");
    assert_eq!(event["requestContext"]["http"]["method"], "POST");
    assert_eq!(event["headers"]["host"], "shop.test");
    assert_eq!(event["headers"]["x-one"], "1");
    assert_eq!(event["headers"]["content-type"], "application/json");
    assert_eq!(
        (&event["body"], &event["isBase64Encoded"]),
        (&json!(r#"{"a":1}"#), &json!(false))
    );
}

#[tokio::test]
async fn the_status_headers_and_cookies_of_a_payload_are_shown() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let payload = json!({
        "statusCode": 418, "headers": { "X-Pot": "tea" }, "cookies": ["a=b"], "body": "c2hvcnQ=", "isBase64Encoded": true
    });
    let called = answer(&invoker, &payload, &["--path", "/"]).await;
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    assert!(
        called.stdout.starts_with("HTTP/1.1 418 I'm a teapot\n"),
        "{}",
        called.stdout
    );
    for line in [
        "\nx-pot: tea\n",
        "\nset-cookie: a=b\n",
        "\ncontent-length: 5\n",
    ] {
        assert!(called.stdout.contains(line), "{}", called.stdout);
    }
    assert!(called.stdout.ends_with("\n\nshort"), "{}", called.stdout);

    let called = answer(&invoker, &payload, &["--raw"]).await;
    assert_eq!(called.stdout, payload.to_string());

    let called = answer(&invoker, &payload, &["-X", "HEAD"]).await;
    assert!(
        called.stdout.ends_with("\ncontent-length: 5\n\n"),
        "{}",
        called.stdout
    );
}

#[tokio::test]
async fn a_payload_against_the_contract_is_a_failure() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let payload = json!({ "statusCode": 42 });
    let called = answer(&invoker, &payload, &[]).await;
    assert_eq!(called.code, Some(1));
    assert!(
        called
            .stdout
            .starts_with("HTTP/1.1 500 Internal Server Error\n"),
        "{}",
        called.stdout
    );
    let expected =
        "the function's answer is not valid: the status is not a whole number from 200 to 599\n";
    assert!(called.stderr.ends_with(expected), "{}", called.stderr);
}

#[tokio::test]
async fn a_client_does_not_see_the_error_of_the_function_but_the_user_does() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let arguments = [
        "--payload",
        "template",
        "--filter",
        r#"template={"do":"raise"}"#,
    ];
    let called = invoke(&invoker, &arguments).await;
    assert_eq!(called.code, Some(1));
    assert!(
        called.stdout.starts_with("HTTP/1.1 500 "),
        "{}",
        called.stdout
    );
    assert!(!called.stdout.contains("no luck"), "{}", called.stdout);
    let last = called.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("the function failed: ") && last.contains("no luck"),
        "{last}"
    );

    let mut exposed = arguments.to_vec();
    exposed.extend(["--filter", "expose_errors=true"]);
    let called = invoke(&invoker, &exposed).await;
    assert!(called.stdout.contains("no luck"), "{}", called.stdout);
}

#[tokio::test]
async fn a_raw_event_has_a_raw_response() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let arguments = [
        "--payload",
        "raw",
        "-d",
        r#"{"do":"shell","script":"echo hi"}"#,
    ];
    let called = invoke(&invoker, &arguments).await;
    assert_eq!(called.json(), json!({ "out": "hi\n", "status": 0 }));
}

#[tokio::test]
async fn an_asynchronous_request_gets_202() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let called = invoke(&invoker, &["--path", "/", "--async"]).await;
    assert_eq!(called.code, Some(0));
    assert_eq!(
        called.stdout,
        "HTTP/1.1 202 Accepted\ncontent-length: 0\n\n"
    );
}
