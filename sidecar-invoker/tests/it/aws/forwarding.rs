//! Forwarding of requests to AWS and of responses to callers.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use super::program::Program;
use super::stand_in::StandIn;
use crate::support::{eventually, request};

async fn start(keys: &str) -> (Program, StandIn) {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let text = format!("aws: {{ region: eu-west-1, endpoint: '{endpoint}' }}\n{keys}");
    (Program::start(&text).await, aws)
}

#[tokio::test]
async fn only_headers_of_the_invoke_api_are_forwarded() {
    let (invoker, aws) = start("").await;
    let forwarded = [
        ("content-type", "application/json"),
        ("x-amz-invocation-type", "Event"),
        ("x-amz-log-type", "Tail"),
        ("x-amz-client-context", "e30="),
        ("x-amz-tenant-id", "blue tenant"),
        ("x-amz-durable-execution-name", "run-1"),
        (
            "x-amzn-trace-id",
            "Root=1-5e6a879e-0123456789abcdef01234567",
        ),
    ];
    let dropped = [
        ("authorization", "AWS4-HMAC-SHA256 of the caller"),
        ("x-amz-date", "20000101T000000Z"),
        ("x-amz-security-token", "the caller's"),
        ("cookie", "secret"),
        ("x-anything", "else"),
    ];
    let body = "{\"name\":\"J\u{fc}rgen\"}";
    let path = "/2015-03-31/functions/hello/invocations";
    let response = invoker
        .post(
            path,
            &[forwarded.as_slice(), &dropped].concat(),
            body.to_owned(),
        )
        .await;
    assert_eq!(
        (response.status.as_u16(), &response.body[..]),
        (200, body.as_bytes())
    );
    assert_eq!(response.header("x-amzn-requestid"), Some("1-2-3"));
    assert_eq!(response.header("x-amz-executed-version"), Some("7"));
    assert_eq!(response.header("x-internal"), None);

    let received = &aws.received()[0];
    assert_eq!(
        (received.path.as_str(), &received.body[..]),
        (path, body.as_bytes())
    );
    for (name, value) in forwarded {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
    for (name, value) in dropped {
        assert_ne!(received.header(name), Some(value), "{name}");
    }
    assert_eq!(received.scope(), "eu-west-1/lambda");
}

#[tokio::test]
async fn aws_receives_the_function_name_of_the_configuration_or_of_the_caller() {
    let keys = "\
functions:
  orders: { aws: { function: orders-prod, qualifier: live, region: eu-west-3 } }
  far: { aws: { function: 'arn:aws:lambda:us-east-2:123456789012:function:far:7' } }
";
    let (invoker, aws) = start(keys).await;
    let arn = "arn%3Aaws%3Alambda%3Aus-west-2%3A123456789012%3Afunction%3Ahello";
    let far = "arn%3Aaws%3Alambda%3Aus-east-2%3A123456789012%3Afunction%3Afar";
    let cases = [
        ("orders", "orders-prod", Some("Qualifier=live"), "eu-west-3"),
        (
            "orders:%24LATEST",
            "orders-prod",
            Some("Qualifier=%24LATEST"),
            "eu-west-3",
        ),
        ("far", far, Some("Qualifier=7"), "us-east-2"),
        ("hello", "hello", None, "eu-west-1"),
        (
            "123456789012:function:hello",
            "123456789012%3Afunction%3Ahello",
            None,
            "eu-west-1",
        ),
        (
            &format!("{arn}%3Alive"),
            arn,
            Some("Qualifier=live"),
            "us-west-2",
        ),
    ];
    for (name, forwarded, query, region) in cases {
        assert_eq!(invoker.invoke(name, json!({})).await.status, 200, "{name}");
        let received = aws.received().pop().unwrap();
        assert_eq!(
            received.path,
            format!("/2015-03-31/functions/{forwarded}/invocations")
        );
        assert_eq!(received.query.as_deref(), query, "{name}");
        assert_eq!(received.scope(), format!("{region}/lambda"), "{name}");
    }
    let response = invoker
        .post(
            "/2015-03-31/functions/orders:a/invocations?Qualifier=b",
            &[],
            "{}".to_owned(),
        )
        .await;
    assert_eq!(response.status, 400);
    assert_eq!(
        response.header("x-amzn-errortype"),
        Some("InvalidParameterValueException")
    );
}

/// Invokes `function` and returns its response as a stream.
async fn streamed(invoker: &Program, function: &str) -> Response<Incoming> {
    let stream = TcpStream::connect(&invoker.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let path = format!("/2021-11-15/functions/{function}/response-streaming-invocations");
    let request = request(Method::POST, &path, &[], "{}");
    sender.send_request(request).await.unwrap()
}

#[tokio::test]
async fn a_stream_is_forwarded_chunk_by_chunk() {
    let (invoker, aws) = start("").await;
    let mut response = streamed(&invoker, "streams").await;
    assert_eq!(
        response.headers()["content-type"],
        "application/vnd.amazon.eventstream"
    );
    let path = "/2021-11-15/functions/streams/response-streaming-invocations";
    assert_eq!(aws.received()[0].path, path);
    for chunk in ["one", "two", "three"] {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), chunk);
        // Only now may the stand-in send the next chunk.
        aws.release.add_permits(1);
    }
    assert!(response.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn chunks_that_are_available_together_are_forwarded_together() {
    let (invoker, _aws) = start("").await;
    let mut response = streamed(&invoker, "scatters").await;
    let (mut bytes, mut chunks) = (0, 0);
    while let Some(frame) = response.body_mut().frame().await {
        bytes += frame.unwrap().into_data().unwrap().len();
        chunks += 1;
    }
    assert_eq!(bytes, 100_000);
    assert!(chunks < 500, "{chunks} chunks");
}

#[tokio::test]
async fn unlisted_functions_are_allowed_and_denied_by_pattern() {
    let aws = StandIn::start().await;
    let keys = "allow: ['orders-*', billing], deny: ['*-admin']";
    let endpoint = &aws.url;
    let text = format!(
        "aws: {{ region: eu-west-1, endpoint: '{endpoint}', {keys} }}\nfunctions: {{ x-admin: {{ aws: {{}} }} }}"
    );
    let invoker = Program::start(&text).await;
    for name in ["orders-eu", "billing", "x-admin"] {
        assert_eq!(invoker.invoke(name, json!({})).await.status, 200, "{name}");
    }
    let reached = aws.received().len();
    for name in ["other", "orders-admin", "123456789012:function:other"] {
        let response = invoker.invoke(name, json!({})).await;
        assert_eq!(response.status, 403, "{name}");
        assert_eq!(
            response.header("x-amzn-errortype"),
            Some("AccessDeniedException")
        );
    }
    assert_eq!(aws.received().len(), reached);
}

#[tokio::test]
async fn without_an_aws_block_only_listed_functions_are_known() {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let invoker = Program::start(&format!(
        "functions: {{ f: {{ aws: {{ region: eu-west-1, endpoint: '{endpoint}' }} }} }}"
    ))
    .await;
    assert_eq!(invoker.invoke("f", json!({})).await.status, 200);
    let response = invoker.invoke("g", json!({})).await;
    assert_eq!(response.status, 404);
    assert_eq!(
        response.header("x-amzn-errortype"),
        Some("ResourceNotFoundException")
    );
}

#[tokio::test]
async fn the_largest_payload_is_forwarded_both_ways() {
    let (invoker, aws) = start("").await;
    let event = "x".repeat(lambda_api::limits::MAX_PAYLOAD_BYTES);
    let path = "/2015-03-31/functions/f/invocations";
    let response = invoker.post(path, &[], event.clone()).await;
    assert_eq!(response.status, 200);
    assert!(response.body == event && aws.received()[0].body == event);
}

#[tokio::test]
async fn an_endpoint_that_switches_protocols_is_a_bad_gateway() {
    let (invoker, _aws) = start("").await;
    let response = invoker.invoke("switches", json!({})).await;
    assert_eq!(response.status, 502);
    assert_eq!(
        response.header("x-amzn-errortype"),
        Some("ServiceException")
    );
}

#[tokio::test]
async fn sigterm_lets_running_invocations_finish_and_refuses_new_connections() {
    let (mut invoker, aws) = start("").await;
    let call = invoker.invoke("waits", json!("last"));
    let end = async {
        eventually("its start", async || (aws.running() == 1).then_some(())).await;
        invoker.signal("-TERM");
        eventually("the end of readiness", async || {
            (invoker.readyz().await.status == 503).then_some(())
        })
        .await;
        let refused = TcpStream::connect(&invoker.address).await;
        aws.release.add_permits(1);
        refused.is_err()
    };
    let (response, refused) = tokio::join!(call, end);
    assert_eq!(response.json(), "last");
    assert!(refused, "no new connections");
    assert!(invoker.child.wait().unwrap().success());
}

#[tokio::test]
async fn callers_get_an_error_when_the_drain_timeout_passes() {
    let (invoker, aws) = start("drain_timeout: 10ms").await;
    let call = invoker.invoke("waits", json!("last"));
    let end = async {
        eventually("its start", async || (aws.running() == 1).then_some(())).await;
        invoker.signal("-TERM");
    };
    let (response, ()) = tokio::join!(call, end);
    assert_eq!(response.status, 503);
    assert_eq!(response.json()["message"], "the invoker is about to end");
}
