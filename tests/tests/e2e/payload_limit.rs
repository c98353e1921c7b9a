//! A request too large for Lambda is refused, and the next one is served.

use std::io::{Read, Write};

use lambda_mesh_tests::client::{Response, connect};
use serde_json::json;

use crate::service::service;

const MIB: usize = 1024 * 1024;

#[track_caller]
fn assert_refused(response: &Response) {
    assert_eq!(response.status, 413, "{response:?}");
    assert_eq!(
        response.json(),
        json!({ "message": "Request Entity Too Large" })
    );
    assert_eq!(service().get("/echo").send().status, 200);
}

#[test]
fn a_text_larger_than_an_event_is_refused() {
    let request = service().post("/echo", vec![b'x'; 7 * MIB]);
    assert_refused(&request.header("content-type", "text/plain").send());
}

#[test]
fn a_binary_that_base64_makes_too_large_is_refused() {
    let request = service().post("/echo", vec![0xff; 5 * MIB]);
    assert_refused(&request.header("content-type", "image/png").send());
}

#[test]
fn a_text_that_escapes_make_too_large_is_refused() {
    let request = service().post("/echo", vec![b'\n'; 4 * MIB]);
    assert_refused(&request.header("content-type", "text/plain").send());
}

#[test]
fn a_body_far_over_envoys_buffer_is_refused() {
    // Sent by hand, because a client need not read a response before it has sent the request.
    let mut stream = connect(service().address);
    let head = "POST /echo HTTP/1.1\r\nhost: service.test\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the head is sent");
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; MIB], b"\r\n"].concat();
    let sent = (0..64)
        .take_while(|_| stream.write_all(&chunk).is_ok())
        .count();
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("a response");
    assert_eq!(&status, b"HTTP/1.1 413", "after {sent} MiB");
    assert_eq!(service().get("/echo").send().status, 200);
}
