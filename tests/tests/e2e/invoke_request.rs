//! Envoy sends an Invoke request that has nothing of the client's request but its trace.

use hyper::header::HeaderName;
use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::upstream::Upstream;
use serde_json::json;

#[test]
fn a_request_has_the_headers_of_the_invoke_api_and_no_others() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).start();
    let request = mesh
        .post("/page?x=1", "text")
        .header("content-type", "text/plain");
    let request = request
        .header("authorization", "Bearer t")
        .header("cookie", "a=1");
    let request = request.header("user-agent", "test").header("x-own", "1");
    let response = request.send();
    let call = upstream.call();
    assert_eq!((call.method.as_str(), call.index), ("POST", 0));
    assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
    let mut names: Vec<_> = call.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "content-length",
        "content-type",
        "host",
        "x-amz-invocation-type",
        "x-amzn-trace-id",
        "x-envoy-expected-rq-timeout-ms",
        "x-request-id",
    ];
    assert_eq!(names, expected);
    assert_eq!(call.headers["content-length"], call.body.len().to_string());
    assert_eq!(call.headers["content-type"], "application/json");
    assert_eq!(call.headers["x-envoy-expected-rq-timeout-ms"], "30000");
    assert_eq!(
        call.headers["x-request-id"],
        response.header("x-request-id")
    );
    let trace = call.headers["x-amzn-trace-id"].to_str().expect("text");
    assert!(trace.starts_with("Root=1-"), "{trace}");
}

#[test]
fn the_callers_trace_is_passed_on() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).start();
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";
    assert_eq!(
        mesh.get("/").header("x-amzn-trace-id", trace).send().status,
        200
    );
    let call = upstream.call();
    assert_eq!(call.headers["x-amzn-trace-id"], trace);
    assert_eq!(call.event()["headers"]["x-amzn-trace-id"], trace);
}
