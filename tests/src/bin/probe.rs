//! The function under test, on AWS's own Rust runtime. It does what the request asks for.
//!
//! | request path | the function |
//! |---|---|
//! | `/echo` and any other | responds with the event, as JSON |
//! | `/reply` | responds with the request's body as its payload |
//! | `/bytes/N` | responds with N bytes, 0 to 255 repeatedly, base64-encoded |
//! | `/text/N` | responds with N letters |
//! | `/fail` | returns an error |
//! | `/panic` | panics |
//! | `/exit/N` | ends the process with status N in the middle of the call |
//! | `/sleep/N` | responds after N milliseconds |
//! | `/stream` | streams `first`, and `last` once the file that the request's body names exists |
//!
//! If the variable `PROBE_CALLS` names a file, each call appends its path to it as a line.
#![expect(clippy::panic, reason = "the function under test panics on request")]

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use lambda_runtime::streaming::{Body, Response, channel};
use lambda_runtime::{Error, FunctionResponse, LambdaEvent, MetadataPrelude, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        handle(event.payload)
    }))
    .await
}

async fn handle(event: Value) -> Result<FunctionResponse<Value, Body>, Error> {
    let path = text(&event, "rawPath").unwrap_or_default();
    record(path)?;
    let request = path.trim_start_matches('/');
    let (command, argument) = request.split_once('/').unwrap_or((request, ""));
    let number = || argument.parse();
    Ok(FunctionResponse::BufferedResponse(match command {
        "reply" => serde_json::from_slice(&body(&event)?)?,
        "bytes" => {
            let bytes: Vec<u8> = (0..=255).cycle().take(number()?).collect();
            json!({ "statusCode": 200, "isBase64Encoded": true, "body": STANDARD.encode(bytes) })
        }
        "text" => json!({ "statusCode": 200, "body": "x".repeat(number()?) }),
        "fail" => return Err("as asked".into()),
        "panic" => panic!("as asked"),
        "exit" => std::process::exit(number()?.try_into()?),
        "sleep" => {
            let delay = Duration::from_millis(number()?.try_into()?);
            tokio::time::sleep(delay).await;
            echo(&event)
        }
        "stream" => return Ok(FunctionResponse::StreamingResponse(stream(&event)?)),
        _ => echo(&event),
    }))
}

fn stream(event: &Value) -> Result<Response<Body>, Error> {
    let gate = PathBuf::from(String::from_utf8(body(event)?)?);
    let (mut sender, stream) = channel();
    let mut headers = HeaderMap::new();
    headers.append(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    for value in ["one", "two"] {
        let name = HeaderName::from_static("x-repeated");
        headers.append(name, HeaderValue::from_static(value));
    }
    tokio::spawn(async move {
        sender.send_data("first".into()).await?;
        while !gate.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sender.send_data("last".into()).await
    });
    Ok(Response {
        metadata_prelude: MetadataPrelude {
            status_code: StatusCode::CREATED,
            headers,
            cookies: vec!["seen=1".to_owned()],
        },
        stream,
    })
}

fn echo(event: &Value) -> Value {
    json!({
        "statusCode": 200,
        "headers": { "content-type": "application/json" },
        "body": event.to_string(),
    })
}

fn body(event: &Value) -> Result<Vec<u8>, Error> {
    let body = text(event, "body").unwrap_or("null");
    if event.get("isBase64Encoded") == Some(&Value::Bool(true)) {
        return Ok(STANDARD.decode(body)?);
    }
    Ok(body.as_bytes().to_vec())
}

fn text<'a>(event: &'a Value, member: &str) -> Option<&'a str> {
    event.get(member)?.as_str()
}

fn record(path: &str) -> std::io::Result<()> {
    let Some(calls) = std::env::var_os("PROBE_CALLS") else {
        return Ok(());
    };
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(calls)?;
    file.write_all(format!("{path}\n").as_bytes())
}
