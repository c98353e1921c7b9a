//! A function on AWS's library for HTTP services in Rust, `lambda_http`.

use std::env;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lambda_http::http::StatusCode;
use lambda_http::lambda_runtime::Diagnostic;
use lambda_http::lambda_runtime::streaming::{Body, channel};
use lambda_http::{Error, Request, RequestExt, Response, run, service_fn};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let service = service_fn(handle);
    // A function streams all of its responses or none.
    match env::var_os("STREAMED") {
        Some(_) => lambda_http::run_with_streaming_response(service).await,
        None => run(service).await,
    }
}

async fn handle(request: Request) -> Result<Response<Body>, Diagnostic> {
    let path = request.uri().path();
    let text = String::from_utf8_lossy(request.body());
    match path {
        "/fail" => {
            return Err(Diagnostic {
                error_type: "Refused".to_owned(),
                error_message: "as asked".to_owned(),
            });
        }
        "/hang" => tokio::time::sleep(Duration::from_secs(600)).await,
        "/stream" => return Ok(stream(PathBuf::from(&*text))),
        _ => {}
    }
    let context = request.lambda_context();
    let left = context.deadline().duration_since(SystemTime::now());
    let answer = json!({
        "event": { "rawPath": path, "body": text },
        "request_id": context.request_id,
        "remaining_ms": left.unwrap_or_default().as_millis(),
        "environment": env::var("AWS_LAMBDA_LOG_STREAM_NAME").unwrap_or_default(),
    });
    Ok(Response::new(answer.to_string().into()))
}

fn stream(gate: PathBuf) -> Response<Body> {
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        sender.send_data("first".into()).await?;
        while !gate.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sender.send_data("last".into()).await
    });
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::CREATED;
    answer
}
