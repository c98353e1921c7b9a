//! The queues of functions outside AWS, as `/metrics` shows them.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{Gate, Invoker, eventually, exists, fixture_function};

const INVOKE: &str = "/2015-03-31/functions/f/invocations";

/// Waits until the metrics of `f` have these values.
async fn metrics(invoker: &Invoker, expected: &[(&str, i64)]) {
    let expected: BTreeMap<_, _> = expected.iter().copied().collect();
    let found = async || {
        let text = invoker.admin("/metrics").await.body;
        let text = String::from_utf8(text.to_vec()).unwrap();
        let value = |name: &str| {
            let line = format!("lambda_mesh_{name}{{function=\"f\"}} ");
            let value = text.lines().find_map(|found| found.strip_prefix(&line));
            value.unwrap().parse::<i64>().unwrap()
        };
        expected
            .iter()
            .all(|(name, count)| value(name) == *count)
            .then_some(())
    };
    eventually(&format!("{expected:?}"), found).await;
}

#[tokio::test]
async fn the_queue_of_a_local_function_is_a_metric() {
    let gate = Gate::new();
    let function = fixture_function("concurrency: 1").replacen("queue: 1", "queue: 10", 1);
    let invoker = Invoker::start(&function).await;
    let rest = async {
        exists(&gate.path("begun")).await;
        metrics(
            &invoker,
            &[("in_flight", 1), ("waiting", 0), ("aws_waiting", 0)],
        )
        .await;
        let waiting = (0..3).map(|_| Box::pin(invoker.invoke(json!({}))));
        let mut waiting: Vec<_> = waiting.collect();
        for call in &mut waiting {
            let poll = tokio::time::timeout(Duration::from_millis(50), call);
            assert!(poll.await.is_err());
        }
        metrics(
            &invoker,
            &[("in_flight", 4), ("waiting", 3), ("aws_waiting", 0)],
        )
        .await;
        drop(waiting);
        metrics(&invoker, &[("in_flight", 1), ("waiting", 0)]).await;
        gate.open();
    };
    tokio::join!(invoker.invoke(gate.event()), rest);
    metrics(&invoker, &[("in_flight", 0), ("waiting", 0)]).await;
}

#[tokio::test]
async fn the_queue_of_an_emulator_is_a_metric() {
    let emulator = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = emulator.local_addr().unwrap();
    let invoker = Invoker::start(&format!(
        "functions: {{ f: {{ rie: 'http://{address}' }} }}"
    ))
    .await;
    let calls = (0..3).map(|_| Box::pin(invoker.invoke(json!({}))));
    let mut calls: Vec<_> = calls.collect();
    for call in &mut calls {
        let poll = tokio::time::timeout(Duration::from_millis(50), call);
        assert!(poll.await.is_err(), "the emulator does not answer");
    }
    metrics(
        &invoker,
        &[("in_flight", 3), ("waiting", 2), ("aws_waiting", 0)],
    )
    .await;
}

#[tokio::test]
async fn the_queue_of_events_is_a_metric() {
    let gate = Gate::new();
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let headers = [("x-amz-invocation-type", "Event")];
    for _ in 0..3 {
        let event = gate.event().to_string();
        let response = invoker.request(Method::POST, INVOKE, &headers, event).await;
        assert_eq!(response.status, 202);
    }
    metrics(&invoker, &[("in_flight", 0), ("events_queued", 3)]).await;
    gate.open();
    metrics(&invoker, &[("events_queued", 0)]).await;
}
