//! Client, Envoy, filter, invoker and AWS together, for each kind of invocation.

use std::io::{Read, Write};
use std::net::TcpStream;

use lambda_mesh_tests::client::{connect, read_until};
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::shared::{Component, Lease, Shared};
use serde_json::{Value, json};

use super::shared;

/// An Envoy in front of an invoker in front of [`shared`]. The path names the kind of invocation and the
/// function.
struct Chain {
    mesh: Mesh,
    invoker: Invoker,
}

impl Chain {
    fn start() -> Self {
        let invoker = shared().invoker(&json!({})).start();
        let functions = [
            ("event", "later"),
            ("response-stream", "events"),
            ("response-stream", "failing"),
            ("response-stream", "broken"),
            ("response-stream", "long-answer"),
            ("response-stream", "buffered"),
        ];
        let routes = functions.map(|(invocation, function)| {
            let path = json!({ "path": format!("/{invocation}/{function}") });
            route(
                &path,
                &json!({ "function": function, "invocation": invocation }),
            )
        });
        let mesh = Mesh::to(&invoker).routes(&routes).start();
        Self { mesh, invoker }
    }
}

impl Component for Chain {
    fn log(&self) -> String {
        self.invoker.log() + &self.mesh.log()
    }

    fn alive(&self) -> bool {
        self.invoker.alive() && self.mesh.alive()
    }
}

fn chain() -> Lease<Chain> {
    static CHAIN: Shared<Chain> = Shared::new(Chain::start);
    CHAIN.lease()
}

/// Returns a connection with the streamed response of `function`.
fn streamed(chain: &Chain, function: &str) -> TcpStream {
    let mut stream = connect(chain.mesh.address);
    let head =
        format!("GET /response-stream/{function} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it is read");
    stream
}

/// Returns the prelude of a streamed response.
fn prelude(members: &Value) -> String {
    format!("{members}\0\0\0\0\0\0\0\0")
}

#[test]
fn server_sent_events_arrive_one_by_one() {
    let aws = shared();
    let head = prelude(&json!({
        "statusCode": 201,
        "headers": { "content-type": "text/event-stream" },
        "cookies": ["seen=1"],
    }));
    let chunks = [&head, "data: first\n\n", "data: last\n\n"];
    aws.function("events", &json!({ "chunks": chunks, "gate": true }));
    let chain = chain();
    let mut stream = streamed(&chain, "events");
    let mut read = Vec::new();
    read_until(&mut stream, &mut read, "data: first");
    let head = String::from_utf8_lossy(&read).into_owned();
    assert!(head.starts_with("HTTP/1.1 201 "), "{head}");
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    assert!(head.contains("set-cookie: seen=1\r\n"), "{head}");
    // Only now the function continues.
    aws.open("events");
    read_until(&mut stream, &mut read, "data: last");
    stream.read_to_end(&mut read).expect("it ends");
    assert!(read.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_function_that_fails_within_its_response_breaks_the_response() {
    let aws = shared();
    let chain = chain();
    let error = json!({ "code": "Unhandled", "details": "it broke" });
    let chunks = [
        prelude(&json!({ "statusCode": 200 })),
        "some".to_owned(),
        String::new(),
    ];
    let ends = [
        ("failing", json!({ "stream_error": error })),
        ("broken", json!({ "reset": "end" })),
    ];
    for (function, mut behaviour) in ends {
        behaviour["chunks"] = json!(chunks);
        behaviour["gate"] = json!(true);
        aws.function(function, &behaviour);
        let mut stream = streamed(&chain, function);
        let mut read = Vec::new();
        read_until(&mut stream, &mut read, "some");
        aws.open(function);
        // A regular end would be an empty chunk.
        let _ = stream.read_to_end(&mut read);
        assert!(
            !read.ends_with(b"0\r\n\r\n"),
            "{}",
            String::from_utf8_lossy(&read)
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_long_response_to_a_slow_client_needs_little_memory() {
    const BYTES: usize = 150_000_000;
    let aws = shared();
    aws.function(
        "long-answer",
        &json!({ "size": BYTES, "prefix": prelude(&json!({ "statusCode": 200 })) }),
    );
    let chain = chain();
    let before = (
        chain.mesh.peak_memory_kib(),
        chain.invoker.peak_memory_kib(),
    );
    let mut stream = streamed(&chain, "long-answer");
    let mut piece = vec![0; 64 * 1024];
    let mut length = 0;
    while let read @ 1.. = stream.read(&mut piece).expect("more of the response") {
        if length == 0 {
            // The whole response could arrive in this time if nothing held it back.
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
        length += read;
    }
    assert!(length > BYTES, "{length}");
    let grown = (
        chain.mesh.peak_memory_kib() - before.0,
        chain.invoker.peak_memory_kib() - before.1,
    );
    // Envoy buffers up to the shipped limit, 16 MiB, on each side, and has copies in the filter.
    assert!(
        grown.0 < 100_000 && grown.1 < 10_000,
        "KiB in Envoy and invoker: {grown:?}"
    );
}

#[test]
fn a_function_that_does_not_stream_works_too() {
    let aws = shared();
    let payload = json!({ "statusCode": 418, "headers": { "x-own": "1" }, "body": "short" });
    aws.function("buffered", &json!({ "payload": payload }));
    let chain = chain();
    let response = chain.mesh.post("/response-stream/buffered", "x").send();
    assert_eq!(
        (response.status, response.text(), response.header("x-own")),
        (418, "short", "1")
    );
}

#[test]
fn an_asynchronous_invocation_is_accepted() {
    let aws = shared();
    aws.function("later", &json!({}));
    let chain = chain();
    let response = chain
        .mesh
        .post("/event/later", "do it")
        .header("content-type", "text/plain")
        .send();
    assert_eq!((response.status, response.text()), (202, ""));
    let call = aws.calls("later").remove(0);
    assert_eq!(call["headers"]["x-amz-invocation-type"], "Event");
    let event: Value = serde_json::from_str(call["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        (&event["rawPath"], &event["body"]),
        (&json!("/event/later"), &json!("do it"))
    );
}
