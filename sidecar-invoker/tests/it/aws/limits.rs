//! How many invocations run and wait, and for how long.

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
async fn one_runs_one_waits_and_the_next_is_refused() {
    let (invoker, aws) = start("max_concurrency: 1").await;
    let first = invoker.invoke("waits", json!(1));
    let rest = async {
        eventually("the start", async || (aws.running() == 1).then_some(())).await;
        // One of these has to wait, and the other has no place to.
        let mut calls = [2, 3].map(|event| Box::pin(invoker.invoke("waits", json!(event))));
        let [two, three] = &mut calls;
        let (refused, left) = tokio::select! {
            refused = &mut *two => (refused, three),
            refused = &mut *three => (refused, two),
        };
        invoker
            .measured("lambda_mesh_aws_waiting{function=\"waits\"} 1")
            .await;
        invoker
            .measured("lambda_mesh_in_flight{function=\"waits\"} 2")
            .await;
        aws.release.add_permits(2);
        (refused, left.await)
    };
    let (first, (refused, second)) = tokio::join!(first, rest);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(
        refused.header("x-amzn-errortype"),
        Some("TooManyRequestsException")
    );
    assert_eq!(aws.state.most.load(Ordering::SeqCst), 1);
    let count = "lambda_mesh_invocations_total{function=\"waits\",outcome=";
    invoker.measured(&format!("{count}\"success\"}} 2")).await;
    invoker.measured(&format!("{count}\"throttled\"}} 1")).await;
}

#[tokio::test]
async fn who_waits_too_long_in_the_queue_is_refused() {
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
    assert_eq!(aws.seen().len(), 1);
}

#[tokio::test]
async fn no_answer_in_time_is_a_gateway_timeout_and_envoy_s_limit_counts() {
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
async fn a_caller_who_does_not_read_on_keeps_its_turn_no_longer_than_the_time_limit() {
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
    eventually("the start", async || (!aws.seen().is_empty()).then_some(())).await;
    eventually("the turn", async || {
        let response = invoker.invoke("floods", json!(1)).await;
        (response.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_call_may_have_its_connections() {
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
    eventually("all of them", async || {
        (aws.running() == CALLS).then_some(())
    })
    .await;
    aws.release.add_permits(CALLS);
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
}

#[tokio::test]
async fn the_limit_over_all_holds_for_functions_that_are_not_listed() {
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
    assert!(aws.state.most.load(Ordering::SeqCst) <= 2);
}
