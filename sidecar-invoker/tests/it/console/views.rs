use std::process::Command;

use hyper::Method;
use lambda_api::headers::CLIENT_REQUEST;
use serde_json::{Value, json};

use super::{INVOKE, TOKEN, call, client_headers, ended, get, invocations, report, start};
use crate::support::{Invoker, eventually};

#[tokio::test]
async fn an_invocation_has_both_sides_and_its_log() {
    let invoker = start("").await;
    let value = json!({ "statusCode": 201, "headers": { "set-cookie": "sid=new-session; Path=/" }, "body": "hi" });
    call(&invoker, &json!({ "do": "return", "value": value })).await;
    let [summary] = invocations(&invoker).await.try_into().unwrap();
    for (member, expected) in [
        ("function", json!("f")),
        ("backend", json!("local")),
        ("method", json!("POST")),
        ("target", json!("/pets?name=rex")),
        ("format", json!("raw")),
        ("state", json!("done")),
        ("outcome", json!("success")),
        ("status", json!(200)),
        ("cold_start", json!(true)),
        ("cause", Value::Null),
        ("version", json!("$LATEST")),
        ("invocation_type", json!("RequestResponse")),
    ] {
        assert_eq!(summary[member], expected, "{member}");
    }
    let id = summary["id"].as_u64().unwrap();
    let detail = eventually("the log", async || {
        let detail = ended(&invoker, id).await;
        let log = detail["log"]["text"].as_str().unwrap_or_default();
        log.contains("REPORT RequestId:").then_some(detail)
    })
    .await;
    assert_eq!(detail["http_request"]["method"], "POST");
    let event: Value = serde_json::from_str(detail["event"]["text"].as_str().unwrap()).unwrap();
    assert_eq!(event["value"]["statusCode"], 201);
    assert_eq!(
        detail["http_response"]["headers"][0],
        json!(["content-type", "application/json"])
    );
    let names = detail["timings"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|part| part["name"].as_str().unwrap()).collect();
    for name in ["cold_start", "function"] {
        assert!(names.contains(&name), "{names:?}");
    }
    // The contract of a load balancer makes a response of the payload.
    let other = get(&invoker, &format!("invocations/{id}/response?contract=alb")).await;
    assert_eq!(other["error"], Value::Null);
    assert_eq!(other["http_response"]["status"], 201);
    assert_eq!(other["http_response"]["body"]["text"], "hi");
    let functions = get(&invoker, "functions").await;
    let f = &functions["functions"][0];
    assert_eq!((&f["name"], &f["invocations"]), (&json!("f"), &json!(1)));
    assert_eq!(f["environments"][0]["state"], "idle");
}

#[tokio::test]
async fn secrets_are_masked_unless_they_are_asked_for() {
    let invoker = start("").await;
    let line = format!("the token is {TOKEN}");
    call(
        &invoker,
        &json!({ "do": "say", "line": line, "headers": { "x-api-key": "key-55" } }),
    )
    .await;
    let detail = eventually("the log", async || {
        let detail = ended(&invoker, 1).await;
        let log = detail["log"]["text"].as_str().unwrap_or_default();
        log.contains("the token is").then_some(detail)
    })
    .await;
    let text = detail.to_string();
    for secret in [TOKEN, "session-99", "key-55"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert_eq!(detail["is_masked"], true);
    let headers = &detail["http_request"]["headers"];
    let headers: Vec<(String, String)> = serde_json::from_value(headers.clone()).unwrap();
    let value = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(value("authorization"), "Bearer ••••••••");
    assert_eq!(value("cookie"), "sid=••••••••");
    assert_eq!(value("host"), "shop.test");
    let revealed = get(&invoker, "invocations/1?reveal=true").await;
    let text = revealed.to_string();
    for secret in [TOKEN, "session-99", "key-55"] {
        assert!(text.contains(secret), "{secret}: {text}");
    }
    assert_eq!(revealed["is_masked"], false);
    let curl = revealed["copy"]["curl"].as_str().unwrap();
    assert!(
        curl.starts_with("curl -i -X POST 'http://shop.test/pets?name=rex'"),
        "{curl}"
    );
}

#[tokio::test]
async fn a_request_is_shown_in_every_format_as_the_command_prints_it() {
    let invoker = start("").await;
    let formats = get(&invoker, "formats").await;
    let formats = formats["formats"].as_array().unwrap();
    assert_eq!(formats.len(), 9);
    // The headers of a client as the command makes them.
    let headers = [
        (":method", "PUT"),
        (":path", "/pets/7?a=1&a=2"),
        (":authority", "shop.test"),
        (":scheme", "http"),
        ("accept", "*/*"),
        ("content-type", "application/json"),
        (
            "user-agent",
            concat!("sidecar-invoker/", env!("CARGO_PKG_VERSION")),
        ),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "11111111-2222-4333-8444-555555555555"),
        ("x-mine", "1"),
    ];
    let settings = json!({ "function": "f", "payload": "apigateway-v2" });
    let body = r#"{"name":"rex"}"#;
    let event = command_event("apigateway-v2", body);
    let report = report(&settings, &headers);
    let report = [(CLIENT_REQUEST, report.as_str())];
    invoker.request(Method::POST, INVOKE, &report, event).await;
    for format in formats {
        let format = format["name"].as_str().unwrap();
        let shown = get(&invoker, &format!("invocations/1/event?format={format}")).await;
        assert_eq!(shown["error"], Value::Null, "{format}");
        let shown: Value = serde_json::from_str(shown["event"].as_str().unwrap()).unwrap();
        let printed: Value = serde_json::from_str(&command_event(format, body)).unwrap();
        assert_eq!(without_ids(shown), without_ids(printed), "{format}");
    }
    let unknown = get(&invoker, "invocations/1/event?format=other").await;
    assert!(
        unknown["error"]
            .as_str()
            .unwrap()
            .contains("expected one of"),
        "{unknown}"
    );
}

/// Returns the event that `sidecar-invoker event` prints.
fn command_event(format: &str, body: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sidecar-invoker"))
        .args(["event", "f", "-X", "PUT", "--path", "/pets/7?a=1&a=2"])
        .args(["--host", "shop.test", "--payload", format, "-d", body])
        .args([
            "-H",
            "x-mine: 1",
            "-H",
            "x-request-id: 11111111-2222-4333-8444-555555555555",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns an event without what differs from one request to the next.
fn without_ids(event: Value) -> Value {
    match event {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(name, _)| {
                let name = name.to_ascii_lowercase();
                !name.contains("requestid") && !name.contains("time") && !name.contains("trace-id")
            });
            let kept = kept.map(|(name, value)| (name, without_ids(value)));
            Value::Object(
                kept.filter(|(name, _)| !name.eq_ignore_ascii_case("x-request-id"))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_ids).collect()),
        other => other,
    }
}

#[tokio::test]
async fn a_failure_says_why() {
    let invoker = start("").await;
    let settings = json!({ "function": "f", "payload": "alb" });
    let alb = report(&settings, &client_headers());
    let alb = [(CLIENT_REQUEST, alb.as_str())];
    let event = json!({ "do": "return", "value": { "body": "hi" } }).to_string();
    invoker.request(Method::POST, INVOKE, &alb, event).await;
    call(&invoker, &json!({ "do": "raise" })).await;
    invoker
        .request(Method::POST, &INVOKE.replace("/f/", "/g/"), &[], "{}")
        .await;
    invoker.request(Method::POST, INVOKE, &[], "no JSON").await;
    let summaries = invocations(&invoker).await;
    let shown = |index: usize| {
        let summary: &Value = &summaries[index];
        let text = |name: &str| summary[name].as_str().unwrap_or_default().to_owned();
        (
            text("outcome"),
            summary["status"].as_u64().unwrap(),
            text("cause"),
        )
    };
    let malformed = "the function's answer is not valid: it has no `statusCode`".to_owned();
    assert_eq!(shown(0), ("failed".to_owned(), 502, malformed));
    let raised = "the function failed: ValueError: no luck".to_owned();
    assert_eq!(shown(1), ("function_error".to_owned(), 502, raised));
    let unknown = shown(2);
    assert_eq!((unknown.0.as_str(), unknown.1), ("refused", 404));
    assert!(unknown.2.starts_with("Function not found: "), "{unknown:?}");
    assert_eq!(summaries[2]["backend"], Value::Null);
    assert!(
        shown(3)
            .2
            .starts_with("Could not parse request body into json")
    );
    let detail = get(&invoker, "invocations/1").await;
    let source = &detail["why"]["source"];
    assert_eq!(source["title"], "Respond to the load balancer");
    let payload = get(&invoker, "invocations/2").await["payload"]["text"].to_string();
    assert!(payload.contains("stackTrace"), "{payload}");
}

#[tokio::test]
async fn a_streamed_response_and_an_attempt_of_an_event_are_recorded() {
    let invoker = start("").await;
    let path = "/2021-11-15/functions/f/response-streaming-invocations";
    let settings = json!({ "function": "f", "payload": "raw", "invocation": "response-stream" });
    let report = report(&settings, &client_headers());
    let headers = [(CLIENT_REQUEST, report.as_str())];
    let event = json!({ "do": "stream", "chunks": ["one", "two"] });
    invoker
        .request(Method::POST, path, &headers, event.to_string())
        .await;
    let detail = ended(&invoker, 1).await;
    assert_eq!(detail["streamed"], true);
    assert_eq!(detail["payload"]["text"], "onetwo");
    assert_eq!(detail["http_response"]["status"], 200);
    assert_eq!(detail["http_response"]["body"]["text"], "onetwo");
    assert_eq!(detail["outcome"], "success");
    let failing = json!({ "do": "stream", "chunks": ["one"], "end": "error" });
    invoker
        .request(Method::POST, path, &headers, failing.to_string())
        .await;
    let detail = ended(&invoker, 2).await;
    assert_eq!(detail["outcome"], "function_error");
    assert_eq!(detail["function_error"], "Unhandled");
    assert_eq!(
        detail["why"]["sentence"],
        "the function failed: Late: after all"
    );

    let queued = [("x-amz-invocation-type", "Event")];
    let accepted = invoker
        .request(Method::POST, INVOKE, &queued, r#"{"do":"raise"}"#)
        .await;
    assert_eq!(accepted.status, 202);
    let attempt = eventually("an attempt", async || {
        let summaries = invocations(&invoker).await;
        let mut attempts = summaries
            .into_iter()
            .filter(|summary| summary["is_attempt"] == true);
        attempts.find(|attempt| attempt["state"] == "done")
    })
    .await;
    assert_eq!(attempt["outcome"], "function_error");
    assert_eq!(
        attempt["request_id"],
        accepted.header("x-amzn-requestid").unwrap()
    );
}

#[tokio::test]
async fn a_log_line_of_a_megabyte_and_a_large_payload_are_cut() {
    let invoker = start("").await;
    let line = "x".repeat(1 << 20);
    let event = json!({ "do": "say", "line": line });
    call(&invoker, &event).await;
    let detail = eventually("the log", async || {
        let detail = ended(&invoker, 1).await;
        (detail["log"]["is_truncated"] == true).then_some(detail)
    })
    .await;
    assert!(detail["log"]["text"].as_str().unwrap().len() <= 64 << 10);
    assert_eq!(detail["event"]["is_truncated"], true);
    assert_eq!(detail["event"]["text"].as_str().unwrap().len(), 256 << 10);
    assert_eq!(detail["event"]["size"], event.to_string().len());
    let whole = get(&invoker, "invocations/1?full=true").await;
    assert_eq!(whole["event"]["text"], event.to_string());
    assert_eq!(whole["event"]["is_truncated"], false);
}

#[tokio::test]
async fn the_report_reaches_no_function() {
    let invoker = start("").await;
    let response = call(&invoker, &json!({})).await;
    let seen = response.json().to_string();
    assert!(
        !seen.contains("client-request") && !seen.contains(TOKEN),
        "{seen}"
    );
    let without = Invoker::start(&crate::support::fixture_function("")).await;
    let response = call(&without, &json!({})).await;
    let seen = response.json().to_string();
    assert!(
        !seen.contains("client-request") && !seen.contains(TOKEN),
        "{seen}"
    );
}

#[tokio::test]
async fn what_is_no_report_is_an_invocation_without_a_request() {
    let invoker = start("").await;
    let forged = [(CLIENT_REQUEST, "nonsense")];
    let response = invoker.request(Method::POST, INVOKE, &forged, "{}").await;
    assert_eq!(response.status, 200);
    let detail = ended(&invoker, 1).await;
    assert_eq!(detail["http_request"], Value::Null);
    let shown = get(&invoker, "invocations/1/event?format=alb").await;
    assert!(
        shown["error"]
            .as_str()
            .unwrap()
            .contains("`report_request`"),
        "{shown}"
    );
}
