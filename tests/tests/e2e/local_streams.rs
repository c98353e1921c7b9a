//! Streamed responses of functions that the invoker runs itself, on AWS's own Rust runtime.

use std::fs;
use std::io::{Read, Write};

use lambda_mesh_tests::client::{connect, read_until};
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use serde_json::json;

use crate::service::functions;

#[test]
fn the_first_bytes_arrive_before_the_function_has_finished() {
    let invoker = Invoker::start(&functions());
    let lambda = json!({ "function": "probe", "invocation": "response-stream" });
    let mesh = Mesh::to(&invoker).routes(&[route(&json!({ "prefix": "/" }), &lambda)]);
    let mesh = mesh.start();
    // The function has a /tmp of its own.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let gate = folder.path().join("gate");
    let name = gate.to_str().expect("a path in UTF-8");
    let mut stream = connect(mesh.address);
    let request = format!(
        "POST /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{name}",
        name.len()
    );
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut read = Vec::new();
    read_until(&mut stream, &mut read, "first");
    let head = String::from_utf8_lossy(&read).into_owned();
    assert!(head.starts_with("HTTP/1.1 201 "), "{head}");
    assert!(head.contains("content-type: text/plain\r\n"), "{head}");
    assert!(head.contains("set-cookie: seen=1\r\n"), "{head}");
    assert!(
        head.contains("x-repeated: one\r\nx-repeated: two\r\n"),
        "{head}"
    );
    fs::write(&gate, "").expect("a file in a temporary folder");
    read_until(&mut stream, &mut read, "last");
    stream.read_to_end(&mut read).expect("it ends");
    assert!(read.ends_with(b"0\r\n\r\n"));
    // A function that does not stream works too.
    assert_eq!(mesh.get("/echo").send().json()["rawPath"], "/echo");
}
