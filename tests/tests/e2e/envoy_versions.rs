//! The oldest supported Envoy does what the newest does. All other tests run on the newest.

use lambda_mesh_tests::invoker::{Invoker, free_address};
use lambda_mesh_tests::mesh::{Mesh, on_each_envoy, route};
use lambda_mesh_tests::upstream::{Reply, Upstream};
use serde_json::json;

use crate::parts::functions;

#[test]
fn a_function_answers() {
    let invoker = Invoker::start(&functions());
    on_each_envoy(|version| {
        let mesh = Mesh::to(&invoker).envoy(version).start();
        let event = mesh.post("/echo?x=1", "text").http2().send().json();
        assert_eq!(event["rawQueryString"], "x=1");
        assert_eq!(mesh.get("/bytes/256").send().body.len(), 256);
        assert_eq!(mesh.get("/fail").send().status, 500);
        assert_eq!(mesh.post("/", vec![b'x'; 7_000_000]).send().status, 413);
        let body = "x".repeat(1_000_000);
        let request = mesh
            .post("/echo", body.clone())
            .header("content-type", "text/plain");
        assert!(request.send().json()["body"] == body);
    });
}

#[test]
fn a_retry_is_the_same_invocation_and_the_log_is_the_clients() {
    on_each_envoy(|version| {
        let upstream = Upstream::start(|call| match call.index {
            0 => Reply::reset(),
            _ => Reply::payload(&json!({ "statusCode": 200 })),
        });
        let mut retried = route(&json!({ "prefix": "/" }), &json!({ "function": "probe" }));
        retried["route"]["retry_policy"] = json!({ "retry_on": "reset" });
        let mesh = Mesh::to(&upstream)
            .routes(&[retried])
            .envoy(version)
            .start();
        let answer = mesh.request("DELETE", "/page").send();
        assert_eq!(answer.status, 200);
        let calls = upstream.calls();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0].body, calls[1].body);
        let entry = mesh.access_log(&answer);
        assert_eq!(
            (&entry["method"], &entry["path"]),
            (&json!("DELETE"), &json!("/page"))
        );
    });
}

#[test]
fn trailers_end_a_message() {
    on_each_envoy(|version| {
        let payload = json!({ "statusCode": 201, "body": "whole" });
        let upstream = Upstream::start(move |_| Reply::payload(&payload).trailer("x-end", "1"));
        let mesh = Mesh::to(&upstream).http2().envoy(version).start();
        let request = mesh.post("/2015-03-31/functions/secret/invocations", "x");
        let answer = request.http2().trailer("x-end", "1").send();
        assert_eq!((answer.status, answer.text()), (201, "whole"));
        assert_eq!(
            upstream.call().path,
            "/2015-03-31/functions/probe/invocations"
        );
    });
}

#[test]
fn a_mistake_in_the_configuration_is_refused_by_key() {
    on_each_envoy(|version| {
        let mesh = Mesh::to(free_address()).plugin(&json!({ "payloda": "x" }));
        let message = mesh.envoy(version).try_start().expect_err("it is refused");
        assert!(message.contains("`payloda`"), "{message}");
    });
}
