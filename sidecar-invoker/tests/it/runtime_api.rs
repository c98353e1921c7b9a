//! The Runtime, Extensions, Telemetry and Logs APIs, as AWS's emulator serves them.

use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::{Invoker, eventually, request, send};

fn cases() -> String {
    format!("{}/tests/fixtures/api_cases.py", env!("CARGO_MANIFEST_DIR"))
}

async fn start() -> Invoker {
    let local = format!("{{ command: [{}], timeout: 30s, concurrency: 1 }}", cases());
    Invoker::start(&format!("functions: {{ f: {{ local: {local} }} }}")).await
}

/// A running emulator with the same function. It ends when it is dropped.
struct Emulator {
    address: String,
    _process: Child,
}

impl Emulator {
    /// Returns `None` where AWS publishes no emulator.
    async fn start(test: &str) -> Option<Self> {
        let binary = match xtask::emulator::binary() {
            Ok(binary) => binary,
            Err(error) if cfg!(target_os = "linux") => panic!("{error:#}"),
            Err(error) => {
                xtask::test::skip(test, &format!("{error:#}"));
                return None;
            }
        };
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, api) = {
            let (first, second) = (free(), free());
            let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
            (address(&first), address(&second))
        };
        let process = Command::new(binary)
            .args(["--runtime-interface-emulator-address", &address])
            .args(["--runtime-api-address", &api])
            .arg(cases())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("the emulator", async || {
            TcpStream::connect(&address).await.ok()
        })
        .await;
        Some(Self {
            address,
            _process: process,
        })
    }

    async fn invoke(&self, event: Value) -> Value {
        let path = "/2015-03-31/functions/function/invocations";
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let call = request(hyper::Method::POST, path, &[], event.to_string());
        send(stream, call).await.json()
    }
}

/// Returns the list of cases in a form that does not depend on the emulator's language.
fn comparable(report: &Value) -> Vec<Value> {
    let case = |case: &Value| {
        let text = case[4].as_str().unwrap();
        let body = match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(mut body)) => {
                // The texts of Go's JSON parser.
                if body.get("errorType") == Some(&json!("InvalidRequestFormat")) {
                    body.remove("errorMessage");
                }
                for name in ["functionName", "handler"] {
                    body.remove(name);
                }
                Value::Object(body)
            }
            _ => json!(text),
        };
        json!([case[0], case[1], case[2], case[3], body])
    };
    report.as_array().unwrap().iter().map(case).collect()
}

#[tokio::test]
async fn every_mistake_gets_the_response_of_the_emulator() {
    let test = "every_mistake_gets_the_response_of_the_emulator";
    let Some(emulator) = Emulator::start(test).await else {
        return;
    };
    let invoker = start().await;
    let (calls, report) = (json!({ "do": "calls" }), json!({ "do": "report" }));
    assert_eq!(emulator.invoke(calls.clone()).await, "ok");
    assert_eq!(invoker.invoke(calls).await.json(), "ok");
    let expected = comparable(&emulator.invoke(report.clone()).await);
    let found = comparable(&invoker.invoke(report).await.json());
    assert!(expected.len() > 120, "{}", expected.len());
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[tokio::test]
async fn a_response_in_a_mode_that_does_not_exist_is_an_error_of_the_function() {
    let invoker = start().await;
    for mode in ["invalid-mode", "buffered", "Streaming"] {
        let response = invoker.invoke(json!({ "do": "mode", "mode": mode })).await;
        let error_type = "Runtime.InvalidResponseModeHeader";
        assert_eq!(response.function_error(), error_type, "{mode}");
    }
    // Recorded from the emulator, whose caller gets no response.
    let json_type = "application/json";
    let refused = json!({
        "errorMessage": "Invalid function response mode",
        "errorType": "InvalidFunctionResponseMode",
    });
    let report = comparable(&invoker.invoke(json!({ "do": "report" })).await.json());
    let modes: Vec<_> = report.iter().filter(|case| case[0] == "mode").collect();
    assert_eq!(modes.len(), 3);
    for mode in modes {
        assert_eq!(*mode, json!(["mode", 400, json_type, null, refused]));
    }
    let after: Vec<_> = report
        .iter()
        .filter(|case| case[0] == "after the mode")
        .collect();
    assert!(after.iter().all(|case| case[1] == 403), "{after:?}");
}

#[tokio::test]
async fn a_reported_error_reaches_the_caller_as_from_the_emulator() {
    let test = "a_reported_error_reaches_the_caller_as_from_the_emulator";
    let Some(emulator) = Emulator::start(test).await else {
        return;
    };
    let invoker = start().await;
    let with_cause = json!({ "Content-Type": "application/vnd.aws.lambda.error.cause+json" });
    let error = r#"{"errorMessage":"m","errorType":"T","errorCause":{"a":1},"stackTrace":["s"]}"#;
    for (body, headers) in [
        (error, &with_cause),
        (r#"{"errorMessage":1}"#, &with_cause),
        (r#"{"errorMessage":"m","stackTrace":[]}"#, &with_cause),
        (error, &json!({ "Lambda-Runtime-Function-Error-Type": "x" })),
        (
            error,
            &json!({ "Lambda-Runtime-Function-Response-Mode": "x" }),
        ),
    ] {
        let event = json!({ "do": "error", "body": body, "headers": headers });
        let expected = emulator.invoke(event.clone()).await;
        let response = invoker.invoke(event).await;
        assert_eq!(response.header("x-amz-function-error"), Some("Unhandled"));
        assert_eq!(response.json(), expected, "{body}");
    }
}
