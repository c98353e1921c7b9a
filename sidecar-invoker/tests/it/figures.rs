//! The figures that `/metrics` has of each function.

use hyper::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::events::Events;
use crate::support::{Gate, Invoker, eventually, exists, fixture_function};

/// Returns the value of a series, which must exist.
fn value(metrics: &str, series: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| line.strip_prefix(series));
    let mut values = values.filter_map(|value| value.strip_prefix(' '));
    let value = values
        .next()
        .unwrap_or_else(|| panic!("{series} is not in\n{metrics}"));
    value.parse().unwrap()
}

#[tokio::test]
async fn the_durations_of_an_invocation_are_histograms() {
    let invoker = Invoker::start(&fixture_function("")).await;
    for _ in 0..3 {
        assert_eq!(invoker.invoke(json!({})).await.status, 200);
    }
    invoker
        .wait_for_metrics(&[
            "lambda_mesh_invocation_duration_seconds_count{function=\"f\"} 3",
            "lambda_mesh_queue_duration_seconds_count{function=\"f\"} 3",
            "faas_invoke_duration_seconds_count{function=\"f\"} 3",
            "faas_init_duration_seconds_count{function=\"f\"} 1",
            "faas_coldstarts_total{function=\"f\"} 1",
            "faas_timeouts_total{function=\"f\"} 0",
            "faas_mem_usage_bytes_count{function=\"f\"} 3",
        ])
        .await;
    let metrics = invoker.metrics().await;
    let sum = |name: &str| value(&metrics, &format!("{name}_seconds_sum{{function=\"f\"}}"));
    let (total, queue) = (
        sum("lambda_mesh_invocation_duration"),
        sum("lambda_mesh_queue_duration"),
    );
    let (invoke, init) = (sum("faas_invoke_duration"), sum("faas_init_duration"));
    assert!(init > 0.01 && queue >= init, "{init} is part of {queue}");
    assert!(
        total >= queue + invoke,
        "{total} is all of {queue} and {invoke}"
    );
    let memory = value(&metrics, "faas_mem_usage_bytes_sum{function=\"f\"}");
    assert!(memory > 3.0 * 4_000_000.0, "{memory}");
}

#[tokio::test]
async fn a_function_that_was_never_called_has_no_histogram() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let metrics = invoker.metrics().await;
    assert!(!metrics.contains("_bucket"), "{metrics}");
    assert_eq!(
        value(&metrics, "faas_coldstarts_total{function=\"f\"}"),
        0.0
    );
}

#[tokio::test]
async fn failures_are_counted_by_the_type_of_their_error() {
    let function = fixture_function("").replacen("timeout: 10s", "timeout: 1s", 1);
    let invoker = Invoker::start(&function).await;
    for event in [
        json!({"do": "raise"}),
        json!({"do": "raise"}),
        json!({"do": "exit", "status": 3}),
        json!({"do": "sleep", "seconds": 60}),
    ] {
        invoker.invoke(event).await;
    }
    let path = "/2015-03-31/functions/f/invocations";
    let refused = invoker.request(Method::POST, path, &[], "no JSON").await;
    assert_eq!(refused.status, 400);
    invoker
        .wait_for_metrics(&[
            "faas_errors_total{function=\"f\",error_type=\"ValueError\"} 2",
            "faas_errors_total{function=\"f\",error_type=\"Runtime.ExitError\"} 1",
            "faas_errors_total{function=\"f\",error_type=\"Sandbox.Timedout\"} 1",
            "faas_errors_total{function=\"f\",error_type=\"InvalidRequestContentException\"} 1",
            "faas_timeouts_total{function=\"f\"} 1",
            "lambda_mesh_invocations_total{function=\"f\",outcome=\"function_error\"} 4",
        ])
        .await;
}

#[tokio::test]
async fn a_failed_stream_is_counted_by_the_type_of_its_error() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let event = json!({"do": "stream", "chunks": ["a"], "end": "error"});
    let mut stream = Events::invoke(&invoker, &[], &event).await;
    assert_eq!(stream.chunk().await, "a");
    stream.error().await;
    drop(stream);
    invoker
        .wait_for_metrics(&["faas_errors_total{function=\"f\",error_type=\"Late\"} 1"])
        .await;
}

#[tokio::test]
async fn each_attempt_of_an_event_has_a_duration() {
    let keys = "}, event: { maximum_retry_attempts: 1, retry_delay: 1ms ";
    let invoker = Invoker::start(&fixture_function(keys)).await;
    let path = "/2015-03-31/functions/f/invocations";
    let headers = [("x-amz-invocation-type", "Event")];
    let event = json!({"do": "raise"}).to_string();
    let accepted = invoker.request(Method::POST, path, &headers, event).await;
    assert_eq!(accepted.status, 202);
    invoker
        .wait_for_metrics(&[
            "faas_invoke_duration_seconds_count{function=\"f\"} 2",
            "faas_errors_total{function=\"f\",error_type=\"ValueError\"} 2",
            "lambda_mesh_invocations_total{function=\"f\",outcome=\"success\"} 1",
        ])
        .await;
}

#[tokio::test]
async fn environments_are_counted_by_state() {
    let gate = Gate::new();
    let invoker = Invoker::start(&fixture_function("concurrency: 2")).await;
    let states = |idle: u32, busy: u32| {
        let line = |state: &str, count: u32| {
            format!("lambda_mesh_environments{{function=\"f\",state=\"{state}\"}} {count}")
        };
        [
            line("starting", 0),
            line("idle", idle),
            line("busy", busy),
            line("ending", 0),
        ]
    };
    let wait_for = async |lines: [String; 4]| {
        let lines = lines.each_ref().map(String::as_str);
        invoker.wait_for_metrics(&lines).await;
    };
    wait_for(states(0, 0)).await;
    let running = invoker.invoke(gate.event());
    let rest = async {
        exists(&gate.path("begun")).await;
        wait_for(states(0, 1)).await;
        gate.open();
    };
    tokio::join!(running, rest);
    wait_for(states(1, 0)).await;
}

#[tokio::test]
async fn an_emulator_is_one_environment() {
    let emulator = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = emulator.local_addr().unwrap();
    let invoker = Invoker::start(&format!(
        "functions: {{ f: {{ rie: 'http://{address}' }} }}"
    ))
    .await;
    let state = |state: &str, count: u32| {
        format!("lambda_mesh_environments{{function=\"f\",state=\"{state}\"}} {count}")
    };
    invoker.wait_for_metrics(&[&state("idle", 1)]).await;
    let call = invoker.invoke(json!({}));
    let rest = async {
        let (connection, _) = emulator.accept().await.unwrap();
        invoker
            .wait_for_metrics(&[&state("idle", 0), &state("busy", 1)])
            .await;
        drop(connection);
        eventually("the end of the call", async || {
            let metrics = invoker.metrics().await;
            metrics.contains(&state("idle", 1)).then_some(())
        })
        .await;
    };
    let (response, ()) = tokio::join!(call, rest);
    assert_eq!(response.status, 502);
}
