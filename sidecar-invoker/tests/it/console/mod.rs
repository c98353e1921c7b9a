//! The console: its API on the admin port of a real invoker.

mod access;
mod bounds;
mod replay;
mod stream;
mod views;

use hyper::Method;
use hyper::header::{HOST, HeaderValue};
use lambda_api::client_request::{Facts, Writer};
use lambda_api::headers::CLIENT_REQUEST;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{HttpResponse, Invoker, eventually, fixture_function, request, send};

const INVOKE: &str = "/2015-03-31/functions/f/invocations";
/// A secret of a client.
const TOKEN: &str = "client-token-77";

/// Starts an invoker with a console.
async fn start(keys: &str) -> Invoker {
    let text = format!("console: true\n{}\n{keys}", fixture_function(""));
    Invoker::start(&text).await
}

/// Returns the filter's report of a request with these settings and headers.
fn report(settings: &Value, headers: &[(&str, &str)]) -> String {
    let settings = settings.to_string();
    let mut writer = Writer::new(&Facts {
        time_ns: 1_584_039_838_390_000_000,
        source_ip: b"127.0.0.1",
        protocol: b"HTTP/1.1",
        settings: settings.as_bytes(),
        ..Facts::default()
    });
    for (name, value) in headers {
        writer.header(name.as_bytes(), value.as_bytes());
    }
    String::from_utf8(writer.finish()).unwrap()
}

/// A client's request, as Envoy has it.
fn client_headers() -> Vec<(&'static str, &'static str)> {
    vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "shop.test"),
        (":path", "/pets?name=rex"),
        ("authorization", "Bearer client-token-77"),
        ("content-type", "application/json"),
        ("cookie", "sid=session-99"),
        ("x-request-id", "11111111-2222-4333-8444-555555555555"),
    ]
}

/// Invokes `f` as the filter does, with a body that is the event.
async fn call(invoker: &Invoker, event: &Value) -> HttpResponse {
    let settings = json!({ "function": "f", "payload": "raw" });
    let report = report(&settings, &client_headers());
    let headers = [(CLIENT_REQUEST, report.as_str())];
    let response = invoker.request(Method::POST, INVOKE, &headers, event.to_string());
    response.await
}

/// Sends a request to the admin port.
async fn admin(
    invoker: &Invoker,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> HttpResponse {
    let mut request = request(method, path, headers, body.to_owned());
    let host = HeaderValue::from_str(&invoker.admin).unwrap();
    if !headers.iter().any(|(name, _)| *name == "host") {
        request.headers_mut().insert(HOST, host);
    } else if let Some((_, value)) = headers.iter().find(|(name, _)| *name == "host") {
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_str(value).unwrap());
    }
    send(TcpStream::connect(&invoker.admin).await.unwrap(), request).await
}

/// Returns JSON of the console's API.
async fn get(invoker: &Invoker, path: &str) -> Value {
    let path = format!("/console/api/{path}");
    let response = admin(invoker, Method::GET, &path, &[], "").await;
    assert_eq!(response.status, 200, "{path}: {:?}", response.body);
    response.json()
}

/// Sends JSON to the console's API.
async fn post(invoker: &Invoker, path: &str, body: &Value) -> HttpResponse {
    let path = format!("/console/api/{path}");
    let json = [("content-type", "application/json")];
    admin(invoker, Method::POST, &path, &json, &body.to_string()).await
}

/// Returns all invocations.
async fn invocations(invoker: &Invoker) -> Vec<Value> {
    let list = get(invoker, "invocations").await;
    list["invocations"].as_array().unwrap().clone()
}

/// Waits until an invocation has ended, and returns its detail.
async fn ended(invoker: &Invoker, id: u64) -> Value {
    eventually("the end of an invocation", async || {
        let detail = get(invoker, &format!("invocations/{id}")).await;
        (detail["state"] == "done").then_some(detail)
    })
    .await
}
