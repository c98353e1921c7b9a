//! `invocation: event`: the client is told that the event is queued, and no more.

use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::upstream::{Reply, Upstream};
use serde_json::json;

fn asynchronous(upstream: &Upstream) -> Mesh {
    let lambda = json!({ "function": "probe", "invocation": "event" });
    let routes = [route(&json!({ "prefix": "/" }), &lambda)];
    Mesh::to(upstream).routes(&routes).start()
}

#[test]
fn a_queued_event_is_202_without_a_body() {
    let upstream = Upstream::start(|_| Reply::bytes("").status(202));
    let mesh = asynchronous(&upstream);
    for request in [
        mesh.get("/page"),
        mesh.post("/page", "text"),
        mesh.request("HEAD", "/page"),
        mesh.post("/page", "text").http2(),
    ] {
        let answer = request.send();
        assert_eq!((answer.status, answer.text()), (202, ""));
        assert!(!answer.headers.contains_key("content-type"), "{answer:?}");
    }
    for call in upstream.calls() {
        assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
        assert_eq!(call.headers["x-amz-invocation-type"], "Event");
        assert_eq!(call.event()["rawPath"], "/page");
    }
}

#[test]
fn an_upstream_without_a_queue_has_run_the_function() {
    let upstream = Upstream::answering(json!({ "statusCode": 418, "body": "tea" }));
    let answer = asynchronous(&upstream).get("/").send();
    assert_eq!((answer.status, answer.text()), (202, ""));
}

#[test]
fn an_event_that_is_not_queued_is_an_error() {
    let upstream = Upstream::start(|call| match call.index {
        0 => Reply::service_error(429, "TooManyRequestsException"),
        _ => Reply::service_error(404, "ResourceNotFoundException"),
    });
    let mesh = asynchronous(&upstream);
    for status in [429, 502] {
        let answer = mesh.get("/").send();
        assert_eq!(answer.status, status);
        assert!(answer.json()["message"].is_string());
    }
}

#[test]
fn an_event_larger_than_lambda_queues_is_413() {
    let upstream = Upstream::start(|_| Reply::bytes("").status(202));
    let mesh = asynchronous(&upstream);
    assert_eq!(mesh.post("/", vec![b'x'; 700_000]).send().status, 202);
    let answer = mesh.post("/", vec![b'x'; 1_048_577]).send();
    assert_eq!(answer.status, 413);
    assert_eq!(
        answer.json(),
        json!({ "message": "Request Entity Too Large" })
    );
    assert_eq!(upstream.calls().len(), 1);
}
