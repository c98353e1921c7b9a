//! The Invoke API from the view of callers: addresses, protocols, and AWS's errors.

use http_body_util::BodyExt;
use hyper::Method;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Invoker, fixture_function, request, send, send_h2};

const INVOKE: &str = "/2015-03-31/functions/f/invocations";

#[tokio::test]
async fn http_1_and_http_2_are_served_on_the_same_port() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let response = send(
        invoker.connect().await,
        request(Method::POST, INVOKE, &[], "{}"),
    )
    .await;
    assert_eq!(response.json()["event"], json!({}));
    let uri = format!("http://invoker{INVOKE}");
    let response = send_h2(
        invoker.connect().await,
        request(Method::POST, &uri, &[], "{}"),
    )
    .await;
    assert_eq!(response.json()["event"], json!({}));
}

/// The filter sends the invocation of a request without a body in this way.
#[tokio::test]
async fn a_header_may_carry_the_whole_invocation() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let fill = "\u{e9}".repeat(28 * 1024);
    let event = json!({ "fill": fill });
    let invocation = format!(
        "RequestResponse Root=1-58406520-a006649127e371903a2de979 {INVOKE}?Qualifier=live {event}"
    );
    let foreign = "x".repeat(60 * 1024);
    let headers = [
        ("x-lambda-mesh-invocation", invocation.as_str()),
        // Headers of the client, which are ignored.
        ("x-amz-invocation-type", "DryRun"),
        ("x-amz-client-context", "?"),
        ("x-foreign", &foreign),
    ];
    let call = |path: &str, body| request(Method::GET, path, &headers, body);
    for response in [
        send(invoker.connect().await, call("/orders/7", "")).await,
        send_h2(invoker.connect().await, call("http://shop/orders", "")).await,
    ] {
        assert_eq!(response.status, 200, "{}", response.json());
        assert_eq!(response.json()["event"]["fill"], fill);
        assert_eq!(
            response.header("x-amzn-trace-id"),
            Some("Root=1-58406520-a006649127e371903a2de979")
        );
    }
    let twice = send(invoker.connect().await, call(INVOKE, "{}")).await;
    assert_eq!(twice.status, 400);
    let none = request(
        Method::GET,
        "/",
        &[("x-lambda-mesh-invocation", "Event")],
        "",
    );
    let none = send(invoker.connect().await, none).await;
    assert_eq!(none.status, 400);
    let message = none.json().to_string();
    assert!(message.contains("TYPE TRACE PATH EVENT"), "{message}");
}

#[tokio::test]
async fn a_stale_unix_socket_is_replaced_and_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("invoker.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "stale");
    let invoker =
        Invoker::listening(&format!("unix://{}", path.display()), &fixture_function("")).await;
    assert_eq!(invoker.invoke(json!({})).await.status, 200);
    invoker.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_function_can_be_invoked_by_each_form_of_its_name() {
    let invoker = Invoker::start(&fixture_function("")).await;
    for name in [
        "f:live",
        "123456789012:function:f",
        "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Af%3Alive?Qualifier=live",
    ] {
        let (name, query) = name.split_once('?').unwrap_or((name, ""));
        let path = format!("/2015-03-31/functions/{name}/invocations?{query}");
        assert_eq!(
            invoker.request(Method::POST, &path, &[], "{}").await.status,
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn each_invalid_request_gets_the_error_of_aws() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let event = [("x-amz-invocation-type", "Event")];
    let nonsense = [("x-amz-invocation-type", "Maybe")];
    let log = [("x-amz-log-type", "All")];
    let tenant = [("x-amz-tenant-id", "a,b")];
    let context = [("x-amz-client-context", "not base64!")];
    let large = [("x-amz-client-context", &*"e30=".repeat(1_000))];
    let stream = "/2021-11-15/functions/f/response-streaming-invocations";
    type Case<'c> = (Method, &'c str, &'c [(&'c str, &'c str)], u16, &'c str);
    let cases: [Case<'_>; 11] = [
        (
            Method::POST,
            "/2015-03-31/functions/g/invocations",
            &[],
            404,
            "ResourceNotFoundException",
        ),
        (
            Method::POST,
            "/2015-03-31/functions/a.b/invocations",
            &[],
            400,
            "ValidationException",
        ),
        (
            Method::POST,
            "/2015-03-31/functions/f:a/invocations?Qualifier=b",
            &[],
            400,
            "InvalidParameterValueException",
        ),
        (
            Method::POST,
            stream,
            &event,
            400,
            "InvalidParameterValueException",
        ),
        (
            Method::POST,
            INVOKE,
            &nonsense,
            400,
            "InvalidParameterValueException",
        ),
        (
            Method::POST,
            INVOKE,
            &log,
            400,
            "InvalidParameterValueException",
        ),
        (
            Method::POST,
            INVOKE,
            &tenant,
            400,
            "InvalidParameterValueException",
        ),
        (
            Method::POST,
            INVOKE,
            &context,
            400,
            "InvalidRequestContentException",
        ),
        (
            Method::POST,
            INVOKE,
            &large,
            400,
            "InvalidRequestContentException",
        ),
        (Method::GET, INVOKE, &[], 405, "UnknownOperationException"),
        (
            Method::POST,
            "/2015-03-31/functions",
            &[],
            404,
            "UnknownOperationException",
        ),
    ];
    for (method, path, headers, status, error_type) in cases {
        let response = invoker.request(method, path, headers, "{}").await;
        assert_eq!(
            (
                response.status.as_u16(),
                response.header("x-amzn-errortype")
            ),
            (status, Some(error_type)),
            "{path}"
        );
        assert!(response.header("x-amzn-requestid").is_some());
        let body = response.json();
        assert_eq!(body["Type"], "User");
        assert_eq!(body["message"], body["Message"]);
        assert!(!body["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_error_for_an_unknown_function_has_its_arn_and_its_qualifier() {
    let invoker = Invoker::start(&fixture_function("")).await;
    for (function, named) in [("g:v", "g:v"), ("g", "g:$LATEST")] {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let response = invoker.request(Method::POST, &path, &[], "{}").await;
        let message = response.json()["Message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with("Function not found: arn:aws:lambda:"),
            "{message}"
        );
        let end = format!(":123456789012:function:{named}");
        assert!(message.ends_with(&end), "{message}");
    }
}

/// As recorded on AWS by `test_function_name_and_qualifier_validation` of LocalStack.
#[tokio::test]
async fn the_error_for_an_invalid_name_tells_the_parameter() {
    let invoker = Invoker::start(&fixture_function("")).await;
    for (call, parameter) in [
        ("f%21/invocations", "Value 'f!' at 'functionName'"),
        ("f:a%21/invocations", "Value 'f:a!' at 'functionName'"),
        ("f/invocations?Qualifier=a%21", "Value 'a!' at 'qualifier'"),
    ] {
        let path = format!("/2015-03-31/functions/{call}");
        let response = invoker.request(Method::POST, &path, &[], "{}").await;
        assert_eq!(response.status, 400);
        let kind = response.header("x-amzn-errortype");
        assert_eq!(kind, Some("ValidationException"));
        let start = format!("1 validation error detected: {parameter} failed to satisfy");
        let message = response.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&start), "{message}");
    }
}

#[tokio::test]
async fn a_dry_run_does_not_invoke_the_function() {
    let invoker = Invoker::start(&fixture_function("env: { INIT: exit }")).await;
    let response = invoker
        .request(
            Method::POST,
            INVOKE,
            &[("x-amz-invocation-type", "DryRun")],
            "{}",
        )
        .await;
    assert_eq!((response.status.as_u16(), response.body.len()), (204, 0));
}

#[tokio::test]
async fn an_event_may_have_as_many_bytes_as_on_aws_and_no_more() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let limit = lambda_api::limits::MAX_PAYLOAD_BYTES;
    let event = |size: usize| format!("{{\"x\":\"{}\"}}", "a".repeat(size - 8));
    let response = invoker
        .request(Method::POST, INVOKE, &[], event(limit))
        .await;
    // The fixture's response has more than the event, and so exceeds the limit.
    assert_eq!(response.function_error(), "Function.ResponseSizeTooLarge");
    let response = invoker
        .request(Method::POST, INVOKE, &[], event(limit + 1))
        .await;
    assert_eq!(response.status, 413);
    assert_eq!(
        response.header("x-amzn-errortype"),
        Some("RequestTooLargeException")
    );
    let message = "Request must be smaller than 6291556 bytes for the InvokeFunction operation";
    assert_eq!(response.json()["message"], message);
}

#[tokio::test]
async fn a_connection_survives_a_rejected_request() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let stream = TokioIo::new(invoker.connect().await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let unknown = "/2015-03-31/functions/g/invocations";
    let large = "x".repeat(lambda_api::limits::MAX_PAYLOAD_BYTES + 1);
    for (path, body, status) in [(unknown, "x".repeat(1_000_000), 404), (INVOKE, large, 413)] {
        sender.ready().await.unwrap();
        let response = sender
            .send_request(request(Method::POST, path, &[], body))
            .await
            .unwrap();
        assert_eq!(response.status(), status);
        assert!(!response.headers().contains_key("connection"));
        response.into_body().collect().await.unwrap();
    }
}

/// Sends these bytes and returns all that the invoker sends until the connection ends.
async fn response_to(bytes: &[u8]) -> String {
    let invoker = Invoker::start(&fixture_function("")).await;
    let mut stream = invoker.connect().await;
    stream.write_all(bytes).await.unwrap();
    // From here on, each time limit passes at once.
    tokio::time::pause();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    tokio::time::resume();
    response
}

#[tokio::test]
async fn a_missing_body_is_a_timeout_and_closes_the_connection() {
    for begun in ["", "half"] {
        let head = format!("POST {INVOKE} HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\n{begun}");
        let response = response_to(head.as_bytes()).await;
        assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
        assert!(response.contains("connection: close\r\n"), "{response}");
        assert!(
            response.contains("x-amzn-errortype: RequestTimeoutException\r\n"),
            "{response}"
        );
    }
}

#[tokio::test]
async fn a_missing_body_of_a_rejected_request_closes_the_connection() {
    let head =
        "POST /2015-03-31/functions/g/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\n";
    let response = response_to(head.as_bytes()).await;
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
}

#[tokio::test]
async fn a_client_that_sends_far_too_much_can_read_the_error() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let length = 2 * lambda_api::limits::MAX_PAYLOAD_BYTES + 1;
    let mut stream = invoker.connect().await;
    let head = format!("POST {INVOKE} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; length]).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_rejected_before_it_arrives() {
    let length = lambda_api::limits::MAX_PAYLOAD_BYTES + 1;
    for (expect, length, closes) in [
        ("expect: 100-continue\r\n", length, true),
        ("", 2 * length, true),
        ("", length, false),
    ] {
        let invoker = Invoker::start(&fixture_function("")).await;
        let mut stream = invoker.connect().await;
        let head = format!(
            "POST {INVOKE} HTTP/1.1\r\nhost: x\r\n{expect}content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut response = vec![0; 4_096];
        let count = tokio::time::timeout(
            std::time::Duration::from_secs(4),
            stream.read(&mut response),
        );
        let count = count.await.unwrap().unwrap();
        let response = String::from_utf8_lossy(&response[..count]);
        assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
        assert_eq!(
            response.contains("connection: close\r\n"),
            closes,
            "{response}"
        );
    }
}

#[tokio::test]
async fn a_truncated_body_does_not_invoke_the_function() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let line = |text: &str| json!({ "do": "log", "file": file, "line": text }).to_string();
    let cut = line("cut");
    let mut stream = invoker.connect().await;
    let head = format!(
        "POST {INVOKE} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        cut.len() + 1
    );
    stream
        .write_all(format!("{head}{cut}").as_bytes())
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    let response = invoker
        .request(Method::POST, INVOKE, &[], line("whole"))
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "whole\n");
}

#[tokio::test]
async fn the_admin_endpoints_respond() {
    let invoker = Invoker::start(&fixture_function("")).await;
    for (path, status, body) in [
        ("/ping", 200, "pong"),
        ("/healthz", 200, "ok"),
        ("/readyz", 200, "ready"),
    ] {
        let response = invoker.admin(path).await;
        assert_eq!(
            (response.status.as_u16(), &response.body[..]),
            (status, body.as_bytes()),
            "{path}"
        );
    }
    assert_eq!(invoker.admin("/metrics-not-here").await.status, 404);
}
