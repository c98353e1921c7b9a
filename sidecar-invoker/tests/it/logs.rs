//! The log of the program, and the lines of its functions.

use std::io::Read;
use std::process::Command;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::running::Running;
use crate::support::{fixture_function, request, send};

/// Returns the objects of a log in JSON. Each line has to be one.
fn records(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

#[tokio::test]
async fn in_json_both_logs_have_the_same_members() {
    let config = fixture_function("") + "\nlog_format: json";
    let mut running = Running::start(&config);
    running.invoke(json!({"do": "say", "line": "hello"})).await;
    let failed = running.invoke(json!({"do": "raise"})).await;
    let id = failed.header("x-amzn-requestid").unwrap().to_owned();
    let mut stdout = running.child.stdout.take().unwrap();
    let log = running.terminate();
    let mut functions = String::new();
    stdout.read_to_string(&mut functions).unwrap();

    let lines = records(&functions);
    let hello = lines.iter().find(|line| line["message"] == "hello");
    let hello = hello.unwrap();
    assert_eq!(hello["function"], "f");
    assert_ne!(hello["request_id"], id);
    let of_failed: Vec<_> = lines
        .iter()
        .filter(|line| line["request_id"] == id)
        .collect();
    let messages = of_failed
        .iter()
        .map(|line| line["message"].as_str().unwrap());
    let messages: Vec<_> = messages
        .filter_map(|message| message.split(' ').next())
        .collect();
    assert_eq!(messages, ["START", "END", "REPORT"]);
    let report = of_failed.last().unwrap();
    assert_eq!(report["error_type"], "ValueError");
    assert!(report["duration_ms"].as_f64().unwrap() > 0.0);

    let warnings = records(&log);
    let warning = warnings.iter().find(|line| line["request_id"] == id);
    let warning = warning.unwrap_or_else(|| panic!("{log}"));
    assert_eq!(warning["level"], "WARN");
    assert_eq!(warning["function"], "f");
    assert_eq!(warning["error_type"], "ValueError");
    assert_eq!(warning["message"], "the function responded with an error");
    assert_eq!(warning["trace_id"], report["trace_id"]);
    assert_eq!(warning["trace_id"].as_str().unwrap().len(), 32);
    assert!(warning["duration_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_log_that_nothing_reads_stops_nobody_and_its_lines_are_counted() {
    let verbose = |mut serve: Command| {
        serve.env("RUST_LOG", "debug");
        serve
    };
    let running = Running::start_wrapped(&fixture_function(""), verbose);
    let dropped = async || {
        let stream = TcpStream::connect(&running.admin).await.unwrap();
        let metrics = send(stream, request(Method::GET, "/metrics", &[], ""))
            .await
            .body;
        let metrics = String::from_utf8(metrics.to_vec()).unwrap();
        let line = metrics.lines().find_map(|line| {
            line.strip_prefix("lambda_mesh_log_lines_dropped_total{log=\"invoker\"} ")
        });
        line.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(dropped().await, 0);
    let begin = std::time::Instant::now();
    while dropped().await == 0 {
        for _ in 0..100 {
            assert_eq!(
                running
                    .invoke(json!({"do": "log", "file": "/dev/null", "line": ""}))
                    .await
                    .status,
                200
            );
        }
        assert!(
            begin.elapsed() < Duration::from_secs(100),
            "no line was dropped"
        );
    }
}
