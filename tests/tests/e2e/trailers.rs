//! Trailers, which end a message without the flag at the end of a body.

use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;

/// The Invoke path of a function that the route does not call.
const OTHERS: &str = "/2015-03-31/functions/secret/invocations";

#[test]
fn a_request_with_trailers_calls_the_routes_function_only() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
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
fn trailers_do_not_reach_the_upstream_over_http2() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
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
fn a_response_with_trailers_is_decoded_completely() {
    let payload = json!({ "statusCode": 201, "body": "whole" });
    let upstream = Upstream::start(move |_| {
        ScriptedResponse::payload(&payload).trailer("x-internal", "not the function's")
    });
    let mesh = Mesh::to(&upstream).http2().start();
    let response = mesh.get("/").http2().send();
    assert_eq!((response.status, response.text()), (201, "whole"));
    assert!(response.trailers.is_empty(), "{response:?}");
    let response = mesh.get("/").send();
    assert_eq!((response.status, response.text()), (201, "whole"));
}

#[test]
fn a_response_of_trailers_alone_is_an_error_and_does_not_hang() {
    let upstream = Upstream::start(|_| ScriptedResponse::bytes("").trailer("x-internal", "1"));
    let mesh = Mesh::to(&upstream).http2().start();
    assert_eq!(mesh.get("/").send().status, 500);
}
