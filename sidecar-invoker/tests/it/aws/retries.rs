//! Retries: which errors are retried, and which must not be.

use serde_json::json;

use super::program::Program;
use super::stand_in::StandIn;

async fn start(keys: &str) -> (Program, StandIn) {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let text = format!("aws: {{ region: eu-west-1, endpoint: '{endpoint}', {keys} }}");
    (Program::start(&text).await, aws)
}

#[tokio::test]
async fn a_throttled_call_is_retried() {
    let (invoker, aws) = start("").await;
    let response = invoker.invoke("throttled-once", json!(1)).await;
    assert_eq!((response.status.as_u16(), response.json()), (200, json!(1)));
    assert_eq!(aws.received().len(), 2);
    invoker
        .wait_for_metric("lambda_mesh_aws_retries_total{function=\"(others)\"} 1")
        .await;
}

#[tokio::test]
async fn throttling_is_passed_on_once_the_retries_are_used_up() {
    let (invoker, aws) = start("retries: 1").await;
    let response = invoker.invoke("throttled", json!(1)).await;
    assert_eq!(response.status, 429);
    assert_eq!(response.header("retry-after"), Some("0"));
    assert_eq!(aws.received().len(), 2);
}

#[tokio::test]
async fn no_retry_waits_beyond_the_deadline() {
    let (invoker, aws) = start("").await;
    let response = invoker.invoke("throttled-for-ever", json!(1)).await;
    assert_eq!(response.status, 429);
    assert_eq!(aws.received().len(), 1);
}

#[tokio::test]
async fn an_invocation_that_may_have_run_is_never_retried() {
    let (invoker, aws) = start("retries: 5").await;
    let response = invoker.invoke("reset", json!(1)).await;
    assert_eq!(response.status, 502);
    assert_eq!(
        response.header("x-amzn-errortype"),
        Some("ServiceException")
    );
    assert_eq!(aws.received().len(), 1);
    let response = invoker.invoke("proxied", json!(1)).await;
    assert_eq!(response.status, 429);
    assert_eq!(aws.received().len(), 2);
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_a_bad_gateway() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let invoker = Program::start(&format!(
        "aws: {{ region: eu-west-1, endpoint: 'http://{address}' }}"
    ))
    .await;
    let response = invoker.invoke("f", json!(1)).await;
    assert_eq!(response.status, 502);
    invoker.logged_once("cannot be reached").await;
}
