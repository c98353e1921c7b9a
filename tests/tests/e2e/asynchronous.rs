//! `invocation: event`: the client learns that the event is queued, and nothing more.

use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;

fn asynchronous(upstream: &Upstream) -> Mesh {
    let lambda = json!({ "function": "probe", "invocation": "event" });
    let routes = [route(&json!({ "prefix": "/" }), &lambda)];
    Mesh::to(upstream).routes(&routes).start()
}

#[test]
fn a_queued_event_is_202_without_a_body() {
    let upstream = Upstream::start(|_| ScriptedResponse::bytes("").status(202));
    let mesh = asynchronous(&upstream);
    for request in [
        mesh.get("/page"),
        mesh.post("/page", "text"),
        mesh.request("HEAD", "/page"),
        mesh.post("/page", "text").http2(),
    ] {
        let response = request.send();
        assert_eq!((response.status, response.text()), (202, ""));
        assert!(
            !response.headers.contains_key("content-type"),
            "{response:?}"
        );
    }
    for call in upstream.calls() {
        assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
        assert_eq!(call.headers["x-amz-invocation-type"], "Event");
        assert_eq!(call.event()["rawPath"], "/page");
    }
}

#[test]
fn an_upstream_that_runs_the_function_at_once_is_202_too() {
    let upstream = Upstream::responding(json!({ "statusCode": 418, "body": "tea" }));
    let response = asynchronous(&upstream).get("/").send();
    assert_eq!((response.status, response.text()), (202, ""));
}

#[test]
fn an_event_that_is_not_queued_is_an_error() {
    let upstream = Upstream::start(|call| match call.index {
        0 => ScriptedResponse::service_error(429, "TooManyRequestsException"),
        _ => ScriptedResponse::service_error(404, "ResourceNotFoundException"),
    });
    let mesh = asynchronous(&upstream);
    for status in [429, 502] {
        let response = mesh.get("/").send();
        assert_eq!(response.status, status);
        assert!(response.json()["message"].is_string());
    }
}

#[test]
fn an_event_too_large_for_lambdas_queue_is_413() {
    let upstream = Upstream::start(|_| ScriptedResponse::bytes("").status(202));
    let mesh = asynchronous(&upstream);
    assert_eq!(mesh.post("/", vec![b'x'; 700_000]).send().status, 202);
    let response = mesh.post("/", vec![b'x'; 1_048_577]).send();
    assert_eq!(response.status, 413);
    assert_eq!(
        response.json(),
        json!({ "message": "Request Entity Too Large" })
    );
    assert_eq!(upstream.calls().len(), 1);
}
