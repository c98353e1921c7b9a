//! Limits on the number of invocations, in flight and in the queue, and on their time.

use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::program::Program;
use super::stand_in::StandIn;
use crate::support::eventually;

async fn start(keys: &str) -> (Program, StandIn) {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let text = format!(
        "functions: {{ waits: {{ queue: 1, aws: {{ region: eu-west-1, endpoint: '{endpoint}', {keys} }} }} }}"
    );
    (Program::start(&text).await, aws)
}

#[tokio::test]
async fn one_runs_one_waits_and_the_next_is_rejected() {
    let (invoker, aws) = start("max_concurrency: 1").await;
    let first = invoker.invoke("waits", json!(1));
    let rest = async {
        eventually("the start", async || (aws.running() == 1).then_some(())).await;
        // One of these waits in the only slot of the queue, and the other is rejected.
        let mut calls = [2, 3].map(|event| Box::pin(invoker.invoke("waits", json!(event))));
        let [two, three] = &mut calls;
        let (rejected, queued) = tokio::select! {
            rejected = &mut *two => (rejected, three),
            rejected = &mut *three => (rejected, two),
        };
        invoker
            .wait_for_metric("lambda_mesh_aws_waiting{function=\"waits\"} 1")
            .await;
        invoker
            .wait_for_metric("lambda_mesh_in_flight{function=\"waits\"} 2")
            .await;
        aws.release.add_permits(2);
        (rejected, queued.await)
    };
    let (first, (rejected, second)) = tokio::join!(first, rest);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    assert_eq!(rejected.status, 429);
    assert_eq!(rejected.header("retry-after"), Some("1"));
    assert_eq!(
        rejected.header("x-amzn-errortype"),
        Some("TooManyRequestsException")
    );
    assert_eq!(aws.state.max_running.load(Ordering::SeqCst), 1);
    let count = "lambda_mesh_invocations_total{function=\"waits\",outcome=";
    invoker
        .wait_for_metric(&format!("{count}\"success\"}} 2"))
        .await;
    invoker
        .wait_for_metric(&format!("{count}\"throttled\"}} 1"))
        .await;
}

#[tokio::test]
async fn a_call_that_waits_too_long_in_the_queue_is_rejected() {
    let (invoker, aws) = start("max_concurrency: 1, queue_timeout: 50ms").await;
    let first = invoker.invoke("waits", json!(1));
    let second = async {
        eventually("the start", async || (aws.running() == 1).then_some(())).await;
        let second = invoker.invoke("waits", json!(2)).await;
        aws.release.add_permits(1);
        second
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 429));
    assert_eq!(aws.received().len(), 1);
}

#[tokio::test]
async fn a_late_response_is_a_gateway_timeout_and_the_limit_of_envoy_counts() {
    let (invoker, _aws) = start("timeout: 10m").await;
    let path = "/2015-03-31/functions/waits/invocations";
    let limit = [("x-envoy-expected-rq-timeout-ms", "100")];
    let response = invoker.post(path, &limit, "{}".to_owned()).await;
    assert_eq!(response.status, 504);
    assert_eq!(
        response.header("x-amzn-errortype"),
        Some("ServiceException")
    );

    let (invoker, _aws) = start("timeout: 100ms").await;
    assert_eq!(invoker.invoke("waits", json!(1)).await.status, 504);
}

#[tokio::test]
async fn a_caller_that_stops_reading_loses_its_permit_at_the_timeout() {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let text = format!(
        "functions: {{ floods: {{ queue: 0, aws: {{ region: eu-west-1, endpoint: '{endpoint}', max_concurrency: 1, timeout: 1s }} }} }}"
    );
    let invoker = Program::start(&text).await;
    let mut idle = tokio::net::TcpStream::connect(&invoker.address)
        .await
        .unwrap();
    let head = "POST /2015-03-31/functions/floods/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    idle.write_all(head.as_bytes()).await.unwrap();
    eventually("the start", async || {
        (!aws.received().is_empty()).then_some(())
    })
    .await;
    eventually("a permit", async || {
        let response = invoker.invoke("floods", json!(1)).await;
        (response.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_concurrent_call_may_have_a_connection_of_its_own() {
    const CALLS: usize = 150;
    let (invoker, aws) = start("").await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..CALLS {
        let address = invoker.address.clone();
        calls.spawn(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let path = "/2015-03-31/functions/waits/invocations";
            let request = crate::support::request(hyper::Method::POST, path, &[], "{}");
            crate::support::send(stream, request).await.status
        });
    }
    eventually("all calls", async || (aws.running() == CALLS).then_some(())).await;
    aws.release.add_permits(CALLS);
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
}

#[tokio::test]
async fn the_global_limit_holds_for_unlisted_functions() {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let text = format!(
        "max_concurrency: 2\naws: {{ region: eu-west-1, endpoint: '{endpoint}', queue: 100 }}"
    );
    let invoker = Program::start(&text).await;
    aws.release.add_permits(20);
    let mut calls = tokio::task::JoinSet::new();
    let address = invoker.address.clone();
    for index in 0..20 {
        let address = address.clone();
        calls.spawn(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let path = format!("/2015-03-31/functions/f{}/invocations", index % 5);
            let request = crate::support::request(hyper::Method::POST, &path, &[], "{}");
            crate::support::send(stream, request).await.status
        });
    }
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert!(aws.state.max_running.load(Ordering::SeqCst) <= 2);
}
