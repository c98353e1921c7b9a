//! A request too large for Lambda is refused, and only that one.

use std::io::{Read, Write};

use lambda_mesh_tests::client::{Answer, connect};
use serde_json::json;

use crate::parts::service;

const MIB: usize = 1024 * 1024;

#[track_caller]
fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(
        answer.json(),
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
    // Sent by hand: a client that is told no in mid-sentence does not always listen.
    let mut stream = connect(service().address);
    let head = "POST /echo HTTP/1.1\r\nhost: service.test\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the head is sent");
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; MIB], b"\r\n"].concat();
    let sent = (0..64)
        .take_while(|_| stream.write_all(&chunk).is_ok())
        .count();
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 413", "after {sent} MiB");
    assert_eq!(service().get("/echo").send().status, 200);
}
