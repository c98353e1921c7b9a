//! The invoker passes streamed responses on while they arrive.

use std::io::Write;

use lambda_mesh_tests::client::{Request, connect, read_until};
use serde_json::json;

use super::shared;

#[test]
fn the_first_chunk_arrives_before_the_function_has_finished() {
    let aws = shared();
    aws.function(
        "paced",
        &json!({ "chunks": ["first", "last"], "gate": true }),
    );
    let invoker = aws.invoker(&json!({})).start();
    let mut stream = connect(invoker.address());
    let request = "POST /2021-11-15/functions/paced/response-streaming-invocations HTTP/1.1\r\n\
        Host: x\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut read = Vec::new();
    read_until(&mut stream, &mut read, "first");
    aws.open("paced");
    read_until(&mut stream, &mut read, "last");
    read_until(&mut stream, &mut read, "InvokeComplete");
}

#[test]
#[cfg(target_os = "linux")]
fn a_long_stream_needs_no_more_memory_than_a_short_one() {
    const BYTES: usize = 50_000_000;
    let aws = shared();
    aws.function(
        "long",
        &json!({ "turns": [{ "size": 1000 }, { "size": BYTES }] }),
    );
    let invoker = aws.invoker(&json!({})).start();
    let stream = || {
        let path = "/2021-11-15/functions/long/response-streaming-invocations";
        let response = Request::new(invoker.address(), "POST", path)
            .body("{}")
            .send();
        assert_eq!(response.status, 200);
        (response.body.len(), invoker.peak_memory_kib())
    };
    let (_, before) = stream();
    let (length, after) = stream();
    assert!(length > BYTES, "{length}");
    assert!(
        after - before < 10_000,
        "{before} KiB before, {after} KiB after"
    );
}
