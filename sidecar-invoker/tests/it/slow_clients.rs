//! Clients that send or read slowly or not at all, and clients that only connect.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, advance, pause, resume, sleep};

use crate::support::{Invoker, eventually, fixture_function};

const INVOKE: &str = "/2015-03-31/functions/f/invocations";

#[tokio::test]
async fn a_body_that_takes_too_long_as_a_whole_is_a_timeout() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let mut stream = invoker.connect().await;
    let head = format!("POST {INVOKE} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // From here on, time passes whenever everyone waits.
    pause();
    let begun = Instant::now();
    let (mut reader, mut writer) = stream.into_split();
    let sending = tokio::spawn(async move {
        // Never a pause that is too long in itself.
        while writer.write_all(b" ").await.is_ok() {
            sleep(Duration::from_secs(5)).await;
        }
    });
    let mut response = String::new();
    let _ = reader.read_to_string(&mut response).await;
    resume();
    sending.abort();
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(begun.elapsed() < Duration::from_secs(200));
}

/// Returns a connection whose client has room for little.
async fn small_connection(invoker: &Invoker) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = invoker.listen.to_string().parse().unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_loses_its_connection() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let mut stream = small_connection(&invoker).await;
    let event = json!({ "fill": "x".repeat(5_000_000) }).to_string();
    let length = event.len();
    let head = format!("POST {INVOKE} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(event.as_bytes()).await.unwrap();
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    // The socket's buffers fill up meanwhile.
    sleep(Duration::from_millis(500)).await;
    pause();
    advance(Duration::from_secs(61)).await;
    resume();
    sleep(Duration::from_millis(100)).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < length, "{}", rest.len());
}

#[tokio::test]
async fn a_client_that_does_not_read_one_response_over_http_2_loses_that_stream_only() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let invoker = Invoker::start(&fixture_function("concurrency: 2")).await;
    let stream = TokioIo::new(invoker.connect().await);
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(70_000)
        .initial_connection_window_size(10_000_000)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut call = async |event: Value| {
        let request = hyper::Request::post(format!("http://invoker{INVOKE}"));
        let body = Full::new(bytes::Bytes::from(event.to_string()));
        sender
            .send_request(request.body(body).unwrap())
            .await
            .unwrap()
    };
    let unread = call(json!({ "fill": "x".repeat(1_000_000) })).await;
    assert_eq!(unread.status(), 200);
    sleep(Duration::from_millis(300)).await;
    pause();
    advance(Duration::from_secs(61)).await;
    resume();
    sleep(Duration::from_millis(100)).await;
    assert!(
        unread.into_body().collect().await.is_err(),
        "the stream was reset"
    );
    let other = call(json!({ "fill": "x".repeat(1_000_000) })).await;
    let body = other.into_body().collect().await.unwrap().to_bytes();
    assert!(body.len() > 1_000_000);
}

#[tokio::test]
async fn queued_events_have_a_limit_in_bytes() {
    let gate = crate::support::Gate::new();
    let invoker = Invoker::start(&fixture_function("concurrency: 1")).await;
    let headers = [("x-amz-invocation-type", "Event")];
    let send = async |event: String| {
        let response = invoker.request(Method::POST, INVOKE, &headers, event).await;
        response.status.as_u16()
    };
    assert_eq!(send(gate.event().to_string()).await, 202);
    let large = json!({ "fill": "x".repeat(1_000_000) }).to_string();
    let mut accepted = 0;
    while send(large.clone()).await == 202 {
        accepted += 1;
        assert!(accepted < 70);
    }
    assert!(accepted > 60, "{accepted}");
    assert_eq!(send(large.clone()).await, 429);
    assert_eq!(send("{}".to_owned()).await, 202, "a small one has room");
    gate.open();
    let freed = async || (send(large.clone()).await == 202).then_some(());
    eventually("room", freed).await;
}
