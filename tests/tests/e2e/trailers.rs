//! Trailers, which end a message without the flag that a body's end has.

use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::upstream::{Reply, Upstream};
use serde_json::json;

/// The Invoke path of a function that the route does not call.
const OTHERS: &str = "/2015-03-31/functions/secret/invocations";

#[test]
fn a_request_with_trailers_calls_the_routes_function_only() {
    let upstream = Upstream::answering(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).start();
    let request = mesh
        .post(OTHERS, "a body")
        .http2()
        .trailer("x-checksum", "1");
    let request = request.header("content-type", "text/plain");
    assert_eq!(request.send().status, 200);
    let call = upstream.call();
    assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
    assert_eq!(call.event()["rawPath"], OTHERS);
    assert_eq!(call.event()["body"], "a body");
    assert!(call.trailers.is_empty(), "{call:?}");
}

#[test]
fn trailers_go_no_further_over_http2_to_the_upstream() {
    let upstream = Upstream::answering(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).http2().start();
    let request = mesh
        .post(OTHERS, "a body")
        .http2()
        .trailer("authorization", "t");
    assert_eq!(request.send().status, 200);
    let call = upstream.call();
    assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
    assert!(call.trailers.is_empty(), "{call:?}");
}

#[test]
fn an_answer_with_trailers_is_decoded_whole() {
    let payload = json!({ "statusCode": 201, "body": "whole" });
    let upstream = Upstream::start(move |_| {
        Reply::payload(&payload).trailer("x-internal", "not the function's")
    });
    let mesh = Mesh::to(&upstream).http2().start();
    let answer = mesh.get("/").http2().send();
    assert_eq!((answer.status, answer.text()), (201, "whole"));
    assert!(answer.trailers.is_empty(), "{answer:?}");
    let answer = mesh.get("/").send();
    assert_eq!((answer.status, answer.text()), (201, "whole"));
}

#[test]
fn an_answer_of_trailers_alone_is_an_error_not_a_hang() {
    let upstream = Upstream::start(|_| Reply::bytes("").trailer("x-internal", "1"));
    let mesh = Mesh::to(&upstream).http2().start();
    assert_eq!(mesh.get("/").send().status, 500);
}
