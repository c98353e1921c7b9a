//! Functions on widespread runtime clients, run by the invoker and called by AWS's client for Rust. Each
//! responds, returns an error, times out, and streams if it can. All have the same contract:
//!
//! | request path | the function |
//! |---|---|
//! | `/answer` | responds with the event, the id of the request, the remaining time, its environment |
//! | `/fail` | returns the error `as asked` |
//! | `/hang` | never returns |
//! | `/stream` | streams `first`, and `last` once the file that the event's body names exists |
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed test panics"
)]

use std::path::{Path, PathBuf};

use anyhow::Result;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{
    BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvokeWithResponseStreamResponseEvent as Message;
use lambda_mesh_compat::manifest::Toolchain;
use lambda_mesh_compat::prepare::{folder, missing};
use lambda_mesh_tests::block_on;
use lambda_mesh_tests::invoker::Invoker;
use serde_json::{Value, json};

/// A body with characters beyond ASCII, and with some that JSON escapes.
const TEXT: &str = "Zoë ☃ \"quoted\"\n";

#[test]
fn python_with_awslambdaric_works() {
    let python = xtask::python::environment().expect("awslambdaric");
    let command = json!([
        python.join("bin/python3"),
        "-m",
        "awslambdaric",
        "app.handler"
    ]);
    let mut function = function(&command, &source("python"));
    function["env"] = json!({ "PYTHONDONTWRITEBYTECODE": "1" });
    check(&function, None, "ValueError");
}

#[test]
fn node_with_aws_lambda_ric_works() {
    let name = "runtimes: Node.js";
    // The installation compiles the client, and its own copy of curl.
    let programs = [
        "node",
        "npm",
        "cmake",
        "make",
        "g++",
        "autoreconf",
        "libtoolize",
    ];
    if skipped(name, &programs) {
        return;
    }
    let steps = ["MAKEFLAGS=-j2 timeout 600 npm ci --no-audit --no-fund --loglevel=error"];
    let pins = ["package-lock.json"];
    let folder = match folder(&source("node"), "runtimes/node", &steps, &pins) {
        Ok(folder) => folder,
        Err(error) => {
            let reason = format!("aws-lambda-ric does not compile on this machine: {error:#}");
            return xtask::skip(name, &reason);
        }
    };
    let client = |handler| {
        let command = json!(["node", "node_modules/aws-lambda-ric/bin/index.mjs", handler]);
        function(&command, &folder)
    };
    let streamed = client("app.stream");
    check(&client("app.handler"), Some(streamed), "RangeError");
}

#[test]
fn rust_with_lambda_http_works() {
    let function = function(
        &json!([env!("CARGO_BIN_EXE_runtime-rust")]),
        &source("rust"),
    );
    let mut streamed = function.clone();
    streamed["env"] = json!({ "STREAMED": "1" });
    check(&function, Some(streamed), "Refused");
}

#[test]
fn go_with_aws_lambda_go_works() {
    if skipped("runtimes: Go", Toolchain::Go.programs()) {
        return;
    }
    let folder = prepared("go", Toolchain::Go).expect("a build");
    let function = function(&json!(["./function"]), &folder);
    check(&function, Some(function.clone()), "errorString");
}

#[test]
fn java_with_its_runtime_interface_client_works() {
    if skipped("runtimes: Java", Toolchain::Java.programs()) {
        return;
    }
    let folder = prepared("java", Toolchain::Java).expect("a build");
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "aarch_64",
        other => other,
    };
    let native = format!("target/native/jni/libaws-lambda-jni.linux-{architecture}.so");
    let command = json!([
        "java",
        format!(
            "-Dcom.amazonaws.services.lambda.runtime.api.client.runtimeapi.NativeClient.JNI={}",
            folder.join(native).display()
        ),
        "-cp",
        "target/classes:target/dependency/*",
        "com.amazonaws.services.lambda.runtime.api.client.AWSLambda",
        "runtimes.Handler",
    ]);
    let function = function(&command, &folder);
    check(&function, None, "java.lang.IllegalStateException");
}

#[test]
fn php_with_a_bootstrap_works() {
    bootstrap("PHP", &["php"], "DomainException");
}

#[test]
fn shell_with_a_bootstrap_works() {
    bootstrap("shell", &["curl"], "Refused");
}

/// Checks a function that is a file `bootstrap`, which needs no command.
fn bootstrap(name: &str, programs: &[&str], error_type: &str) {
    if skipped(&format!("runtimes: {name}"), programs) {
        return;
    }
    let mut function = function(&Value::Null, &source(&name.to_lowercase()));
    function.as_object_mut().expect("keys").remove("command");
    check(&function, Some(function.clone()), error_type);
}

fn source(name: &str) -> PathBuf {
    lambda_mesh_compat::folder().join("runtimes").join(name)
}

fn prepared(name: &str, toolchain: Toolchain) -> Result<PathBuf> {
    let (steps, pins) = (toolchain.steps(), toolchain.pins());
    folder(&source(name), &format!("runtimes/{name}"), steps, pins)
}

fn skipped(name: &str, programs: &[&str]) -> bool {
    let missing = missing(programs);
    if let Some(program) = missing {
        xtask::skip(name, &format!("`{program}` is not on PATH"));
    }
    missing.is_some()
}

/// Returns the keys of `local`, with the default timeout.
fn function(command: &Value, directory: &Path) -> Value {
    json!({
        "command": command,
        "directory": directory,
        "memory": 512,
        "concurrency": 1,
        "init_timeout": "60s",
    })
}

/// Calls `function`, whose errors have this type, and `streamed` if the runtime can stream.
fn check(function: &Value, streamed: Option<Value>, error_type: &str) {
    let patient = |mut function: Value| {
        function["timeout"] = json!("60s");
        json!({ "local": function })
    };
    let mut functions = json!({
        "f": patient(function.clone()),
        "impatient": { "local": function },
    });
    let streams = streamed.is_some();
    if let Some(streamed) = streamed {
        functions["streamed"] = patient(streamed);
    }
    let invoker = Invoker::start(&functions);
    let client = client(&invoker);
    block_on(async {
        // Concurrently, because a timeout takes its time.
        tokio::join!(
            responses_and_errors(&client, error_type),
            timeout(&client),
            async {
                if streams {
                    stream(&client).await;
                }
            }
        );
    });
}

async fn responses_and_errors(client: &Client, error_type: &str) {
    let first = response(client, "f").await;
    let left = first["remaining_ms"].as_u64().expect("milliseconds");
    assert!((30_000..=60_000).contains(&left), "{first}");

    let output = invoke(client, "f", "/fail").await;
    let error = payload(&output);
    assert_eq!(output.function_error(), Some("Unhandled"), "{error}");
    assert_eq!(
        (&error["errorType"], &error["errorMessage"]),
        (&json!(error_type), &json!("as asked"))
    );

    let next = response(client, "f").await;
    assert_eq!(
        next["environment"], first["environment"],
        "another environment"
    );
}

async fn timeout(client: &Client) {
    let output = invoke(client, "impatient", "/hang").await;
    let error = payload(&output);
    assert_eq!(output.function_error(), Some("Unhandled"), "{error}");
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    let message = error["errorMessage"].as_str().expect("a message");
    assert!(
        message.ends_with("Task timed out after 3.00 seconds"),
        "{message}"
    );
    response(client, "impatient").await;
}

async fn stream(client: &Client) {
    // The function has a /tmp of its own.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let gate = folder.path().join("gate");
    let call = client
        .invoke_with_response_stream()
        .function_name("streamed")
        .payload(event("/stream", gate.to_str().expect("a path in UTF-8")));
    let mut messages = call.send().await.expect("a stream").event_stream;
    let mut response = Vec::new();
    loop {
        match messages.recv().await.expect("whole messages") {
            Some(Message::PayloadChunk(chunk)) => {
                response.extend(chunk.payload.expect("a payload").into_inner());
                if response.ends_with(b"first") {
                    std::fs::write(&gate, "").expect("a file in a temporary folder");
                }
            }
            Some(Message::InvokeComplete(end)) => {
                assert_eq!((end.error_code, end.error_details), (None, None));
                break;
            }
            other => panic!("neither a chunk nor the end: {other:?}"),
        }
    }
    let response = String::from_utf8(response).expect("text");
    let (prelude, body) = response.split_once("\0\0\0\0\0\0\0\0").expect("a prelude");
    let prelude: Value = serde_json::from_str(prelude).expect("a prelude in JSON");
    assert_eq!(
        (&prelude["statusCode"], body),
        (&json!(201), "firstlast"),
        "{prelude}"
    );
}

/// Returns the response of a function to `/answer`.
async fn response(client: &Client, function: &str) -> Value {
    let output = invoke(client, function, "/answer").await;
    let mut response = payload(&output);
    assert_eq!(output.function_error(), None, "{response}");
    // lambda_http responds in the format of an HTTP service.
    if let Some(body) = response["body"].as_str() {
        response = serde_json::from_str(body).expect("JSON");
    }
    assert_eq!(
        (&response["event"]["rawPath"], &response["event"]["body"]),
        (&json!("/answer"), &json!(TEXT))
    );
    assert_eq!(response["request_id"].as_str(), output.request_id());
    response
}

async fn invoke(client: &Client, function: &str, path: &str) -> InvokeOutput {
    let call = client.invoke().function_name(function);
    let output = call.payload(event(path, TEXT)).send().await;
    output.expect("a response")
}

fn payload(output: &InvokeOutput) -> Value {
    let payload = output.payload().expect("a payload");
    serde_json::from_slice(payload.as_ref()).expect("a payload in JSON")
}

/// Returns an event in the format of an HTTP API.
fn event(path: &str, body: &str) -> Blob {
    let event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": { "host": "runtimes.test" },
        "requestContext": {
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "test",
            },
            "stage": "$default",
            "timeEpoch": 1_700_000_000_000_u64,
        },
        "body": body,
        "isBase64Encoded": false,
    });
    Blob::new(event.to_string())
}

fn client(invoker: &Invoker) -> Client {
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .region(Region::new("eu-central-1"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .endpoint_url(format!("http://{}", invoker.address()))
        .build();
    Client::from_conf(config)
}
