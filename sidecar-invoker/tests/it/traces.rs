//! Traces: what functions and AWS get of a caller's trace, and the spans that a collector gets.

use hyper::{Method, StatusCode};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::aws::program::Program;
use crate::aws::stand_in::StandIn;
use crate::support::collector::{Collector, attributes, text};
use crate::support::{HttpResponse, Invoker, fixture_function};

const INVOKE: &str = "/2015-03-31/functions/f/invocations";
const TRACE: u128 = 0x5840_6520_a006_6491_27e3_7190_3a2d_e979;
const CALLER: u64 = 0x5399_5c3f_42cd_8ad8;
const PARENT: &str = "00-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01";
const XRAY: &str = "Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1";

async fn call(
    invoker: &Invoker,
    headers: &[(&str, &str)],
    event: serde_json::Value,
) -> HttpResponse {
    let response = invoker.request(Method::POST, INVOKE, headers, event.to_string());
    response.await
}

/// Returns the trace that a function was told.
fn told(response: &HttpResponse) -> String {
    let told = &response.json()["headers"]["lambda-runtime-trace-id"];
    told.as_str().unwrap().to_owned()
}

fn id(span: &Span) -> u64 {
    u64::from_be_bytes(span.span_id.clone().try_into().unwrap())
}

fn parent(span: &Span) -> Option<u64> {
    let parent = span.parent_span_id.clone().try_into();
    parent.ok().map(u64::from_be_bytes)
}

fn trace(span: &Span) -> u128 {
    u128::from_be_bytes(span.trace_id.clone().try_into().unwrap())
}

fn is_error(span: &Span) -> bool {
    let status = span.status.as_ref();
    status.is_some_and(|status| status.code == SpanStatus::Error as i32)
}

/// Returns the spans below another, in the order of their start.
fn children<'s>(spans: &'s [Span], of: &Span) -> Vec<&'s Span> {
    let mut children: Vec<_> = spans
        .iter()
        .filter(|span| parent(span) == Some(id(of)))
        .collect();
    children.sort_by_key(|span| span.start_time_unix_nano);
    children
}

fn names<'s>(spans: &[&'s Span]) -> Vec<&'s str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

fn attribute(span: &Span, name: &str) -> Option<Value> {
    let mut attributes = attributes(&span.attributes).into_iter();
    attributes
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

#[tokio::test]
async fn a_function_is_told_the_trace_of_either_header() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let of = async |headers: &[(&str, &str)]| told(&call(&invoker, headers, json!({})).await);
    assert_eq!(
        of(&[("traceparent", PARENT), ("tracestate", "a=1")]).await,
        XRAY
    );
    assert_eq!(of(&[("x-amzn-trace-id", XRAY)]).await, XRAY);
    for wrong in [
        "Root=1",
        "x y",
        "Root=1-58406520-a006649127e371903a2de979;Sampled=yes",
    ] {
        let made = of(&[("x-amzn-trace-id", wrong), ("traceparent", "00-0-0-0")]).await;
        assert!(
            made.starts_with("Root=1-") && made.ends_with(";Sampled=0"),
            "{made}"
        );
        assert!(!made.contains("58406520"), "{made}");
    }
    let twice = of(&[("traceparent", PARENT), ("traceparent", PARENT)]).await;
    assert!(!twice.contains("58406520"), "{twice}");
}

#[tokio::test]
async fn the_spans_of_an_invocation_are_below_the_callers() {
    let collector = Collector::start().await;
    let keys = "headers: { x-api-key: k }, service_name: edge";
    let keys = collector.keys().replace(" }", &format!(", {keys} }}"));
    let invoker = Invoker::start(&format!("{keys}\n{}", fixture_function(""))).await;
    let headers = [("traceparent", PARENT), ("tracestate", "a=1")];
    let response = call(&invoker, &headers, json!({})).await;
    let spans = collector.wait_for(1).await;
    let [root] = spans
        .iter()
        .filter(|span| span.name == "invoke f")
        .collect::<Vec<_>>()[..]
    else {
        panic!("{spans:#?}");
    };
    assert_eq!((trace(root), parent(root)), (TRACE, Some(CALLER)));
    assert_eq!(
        (root.kind, is_error(root)),
        (SpanKind::Server as i32, false)
    );
    assert_eq!(
        attributes(&root.attributes),
        [
            ("faas.coldstart", Value::BoolValue(true)),
            (
                "faas.invocation_id",
                text(response.header("x-amzn-requestid").unwrap())
            ),
            ("faas.invoked_name", text("f")),
            ("faas.invoked_provider", text("local")),
            ("faas.trigger", text("http")),
            ("lambda_mesh.outcome", text("success")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    );
    let parts = children(&spans, root);
    assert_eq!(names(&parts), ["queue", "init", "invoke"]);
    let mut before = root.start_time_unix_nano;
    for part in &parts {
        assert_eq!((trace(part), &*part.trace_state), (TRACE, "a=1"));
        assert!(part.start_time_unix_nano >= before, "{spans:#?}");
        assert!(
            part.end_time_unix_nano >= part.start_time_unix_nano,
            "{spans:#?}"
        );
        before = part.end_time_unix_nano;
    }
    assert!(before <= root.end_time_unix_nano, "{spans:#?}");
    // The span is the parent of what the function does.
    let expected = XRAY.replace("53995c3f42cd8ad8", &format!("{:016x}", id(root)));
    assert_eq!(told(&response), expected);
    assert_eq!(response.header("x-amzn-trace-id"), Some(&*expected));
    assert_eq!(collector.headers()["x-api-key"], "k");
    let resource = collector.resource();
    assert!(
        resource.contains(&("service.name".to_owned(), text("edge"))),
        "{resource:?}"
    );

    call(&invoker, &[("x-amzn-trace-id", XRAY)], json!({})).await;
    let spans = collector.wait_for(2).await;
    let warm = spans.iter().rfind(|span| span.name == "invoke f").unwrap();
    assert_eq!((trace(warm), parent(warm)), (TRACE, Some(CALLER)));
    assert_eq!(names(&children(&spans, warm)), ["queue", "invoke"]);
    assert_eq!(
        attribute(warm, "faas.coldstart"),
        Some(Value::BoolValue(false))
    );
    invoker
        .wait_for_metrics(&[
            "lambda_mesh_spans_exported_total 2",
            "lambda_mesh_spans_dropped_total 0",
        ])
        .await;
}

#[tokio::test]
async fn a_trace_that_the_caller_does_not_record_has_no_spans() {
    let collector = Collector::start().await;
    let invoker = Invoker::start(&format!("{}\n{}", collector.keys(), fixture_function(""))).await;
    let unsampled = XRAY.replace("Sampled=1", "Sampled=0");
    let response = call(&invoker, &[("x-amzn-trace-id", &unsampled)], json!({})).await;
    assert_eq!(told(&response), unsampled);
    // Without a decision, the invoker makes it. The trace begins with its span.
    let root = "Root=1-58406520-a006649127e371903a2de979";
    let response = call(&invoker, &[("x-amzn-trace-id", root)], json!({})).await;
    let spans = collector.wait_for(1).await;
    let span = spans.iter().find(|span| span.name == "invoke f").unwrap();
    assert_eq!((trace(span), parent(span)), (TRACE, None));
    let expected = format!("{root};Parent={:016x};Sampled=1", id(span));
    assert_eq!(told(&response), expected);
    assert_eq!(
        spans.iter().filter(|span| span.name == "invoke f").count(),
        1
    );
}

#[tokio::test]
async fn a_ratio_of_the_undecided_traces_is_recorded() {
    let collector = Collector::start().await;
    let keys = collector.keys().replace(" }", ", sample_ratio: 0 }");
    let invoker = Invoker::start(&format!("{keys}\n{}", fixture_function(""))).await;
    let response = call(&invoker, &[], json!({})).await;
    let unsampled = told(&response);
    assert!(
        unsampled.ends_with(";Sampled=0") && !unsampled.contains("Parent"),
        "{unsampled}"
    );
    call(&invoker, &[("traceparent", PARENT)], json!({})).await;
    let spans = collector.wait_for(1).await;
    assert!(spans.iter().all(|span| trace(span) == TRACE), "{spans:#?}");
}

#[tokio::test]
async fn a_failure_is_in_its_span() {
    let collector = Collector::start().await;
    let invoker = Invoker::start(&format!("{}\n{}", collector.keys(), fixture_function(""))).await;
    let headers = [("traceparent", PARENT)];
    call(&invoker, &headers, json!({"do": "raise"})).await;
    let refused = invoker
        .request(Method::POST, INVOKE, &headers, "no JSON")
        .await;
    assert_eq!(refused.status, 400);
    let spans = collector.wait_for(2).await;
    let roots: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "invoke f")
        .collect();
    let failures = roots
        .iter()
        .map(|span| (attribute(span, "error.type"), is_error(span)));
    assert_eq!(
        failures.collect::<Vec<_>>(),
        [
            (Some(text("ValueError")), true),
            (Some(text("InvalidRequestContentException")), false),
        ]
    );
    assert!(children(&spans, roots[1]).is_empty(), "{spans:#?}");
}

#[tokio::test]
async fn each_attempt_of_an_event_has_a_span_below_that_of_the_request() {
    let collector = Collector::start().await;
    let keys = "}, event: { maximum_retry_attempts: 1, retry_delay: 1ms ";
    let invoker =
        Invoker::start(&format!("{}\n{}", collector.keys(), fixture_function(keys))).await;
    let headers = [("x-amz-invocation-type", "Event"), ("traceparent", PARENT)];
    assert_eq!(
        call(&invoker, &headers, json!({"do": "raise"}))
            .await
            .status,
        202
    );
    let spans = collector.wait_for(3).await;
    let request = spans
        .iter()
        .find(|span| parent(span) == Some(CALLER))
        .unwrap();
    assert_eq!(request.kind, SpanKind::Server as i32);
    let attempts = children(&spans, request);
    assert_eq!(names(&attempts), ["invoke f", "invoke f"]);
    for attempt in attempts {
        assert_eq!(
            (attempt.kind, trace(attempt)),
            (SpanKind::Consumer as i32, TRACE)
        );
        assert_eq!(
            attribute(attempt, "faas.invoked_provider"),
            Some(text("local"))
        );
        assert_eq!(attribute(attempt, "faas.trigger"), Some(text("other")));
        assert!(
            names(&children(&spans, attempt)).contains(&"invoke"),
            "{spans:#?}"
        );
    }
}

#[tokio::test]
async fn a_call_to_aws_has_spans_for_its_signature_and_for_aws() {
    let (collector, aws) = (Collector::start().await, StandIn::start().await);
    let keys = format!(
        "{}\naws: {{ region: eu-west-1, endpoint: '{}' }}",
        collector.keys(),
        aws.url
    );
    let invoker = Program::start(&keys).await;
    let lineage = format!("{XRAY};Lineage=1:a87bd80c:0");
    let headers = [("traceparent", PARENT), ("x-amzn-trace-id", &*lineage)];
    assert_eq!(
        invoker.post(INVOKE, &headers, "{}".to_owned()).await.status,
        200
    );
    let spans = collector.wait_for(1).await;
    let root = spans.iter().find(|span| span.name == "invoke f").unwrap();
    assert_eq!(attribute(root, "faas.invoked_provider"), Some(text("aws")));
    assert_eq!(attribute(root, "faas.coldstart"), None);
    let parts = children(&spans, root);
    assert_eq!(names(&parts), ["queue", "sign", "upstream"]);
    assert_eq!(parts[2].kind, SpanKind::Client as i32);
    let received = &aws.received()[0];
    let expected = lineage.replace("53995c3f42cd8ad8", &format!("{:016x}", id(root)));
    assert_eq!(received.header("x-amzn-trace-id"), Some(&*expected));
    assert_eq!(received.header("traceparent"), None);
}

#[tokio::test]
async fn a_collector_that_is_away_for_a_moment_loses_nothing() {
    let collector = Collector::start().await;
    collector.refuse(&[StatusCode::SERVICE_UNAVAILABLE]);
    let invoker = Invoker::start(&format!("{}\n{}", collector.keys(), fixture_function(""))).await;
    call(&invoker, &[], json!({})).await;
    collector.wait_for(1).await;
    invoker
        .wait_for_metrics(&["lambda_mesh_spans_exported_total 1"])
        .await;
}

#[tokio::test]
async fn spans_that_a_collector_refuses_are_counted() {
    let collector = Collector::start().await;
    collector.refuse(&[StatusCode::UNAUTHORIZED]);
    let invoker = Invoker::start(&format!("{}\n{}", collector.keys(), fixture_function(""))).await;
    call(&invoker, &[], json!({})).await;
    invoker
        .wait_for_metrics(&["lambda_mesh_spans_dropped_total 1"])
        .await;
    collector.reject(1);
    call(&invoker, &[], json!({})).await;
    invoker
        .wait_for_metrics(&["lambda_mesh_spans_dropped_total 2"])
        .await;
}

#[tokio::test]
async fn a_collector_that_hangs_slows_no_call() {
    // It accepts connections and never responds.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = format!(
        "traces: {{ endpoint: 'http://{}', timeout: 15m }}",
        hanging.local_addr().unwrap()
    );
    let invoker = Invoker::start(&format!("{keys}\n{}", fixture_function(""))).await;
    let mut stream = invoker.connect().await;
    for _ in 0..3_000 {
        // The request is refused at once, and has a span too.
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let request =
            format!("POST {INVOKE} HTTP/1.1\r\nhost: invoker\r\ncontent-length: 1\r\n\r\n?");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"}") {
            assert!(stream.read_buf(&mut response).await.unwrap() > 0);
        }
        assert!(response.starts_with(b"HTTP/1.1 400"));
    }
    assert_eq!(call(&invoker, &[], json!({})).await.status, 200);
    // The first batch is on its way, and as many wait as there is room for.
    let dropped = 3_001 - 2_048 - 512;
    let metrics = invoker.metrics().await;
    let count = metrics
        .lines()
        .find_map(|line| line.strip_prefix("lambda_mesh_spans_dropped_total "));
    let count: i32 = count.unwrap().parse().unwrap();
    assert!(count > 0 && count <= dropped + 512, "{count}");
    let end = Instant::now();
    invoker.stop().await;
    assert!(end.elapsed().as_secs() < 9, "{:?}", end.elapsed());
}

#[tokio::test]
async fn the_last_spans_are_sent_when_the_invoker_ends() {
    let collector = Collector::start().await;
    let invoker = Invoker::start(&format!("{}\n{}", collector.keys(), fixture_function(""))).await;
    call(&invoker, &[], json!({})).await;
    invoker.stop().await;
    let spans = collector.spans();
    assert!(
        spans.iter().any(|span| span.name == "invoke f"),
        "{spans:#?}"
    );
}
