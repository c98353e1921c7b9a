//! The oldest supported Envoy behaves like the newest. Most other tests run on the newest only.

use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, on_each_envoy, route};
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;

use crate::service::functions;

#[test]
fn a_function_responds() {
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
fn a_retry_is_the_same_invocation_and_the_log_has_the_clients_request() {
    on_each_envoy(|version| {
        let upstream = Upstream::start(|call| match call.index {
            0 => ScriptedResponse::reset(),
            _ => ScriptedResponse::payload(&json!({ "statusCode": 200 })),
        });
        let mut retried = route(&json!({ "prefix": "/" }), &json!({ "function": "probe" }));
        retried["route"]["retry_policy"] = json!({ "retry_on": "reset" });
        let mesh = Mesh::to(&upstream)
            .routes(&[retried])
            .envoy(version)
            .start();
        let response = mesh.request("DELETE", "/page").send();
        assert_eq!(response.status, 200);
        let calls = upstream.calls();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0].body, calls[1].body);
        let entry = mesh.access_log(&response);
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
        let upstream =
            Upstream::start(move |_| ScriptedResponse::payload(&payload).trailer("x-end", "1"));
        let mesh = Mesh::to(&upstream).http2().envoy(version).start();
        let request = mesh.post("/2015-03-31/functions/secret/invocations", "x");
        let response = request.http2().trailer("x-end", "1").send();
        assert_eq!((response.status, response.text()), (201, "whole"));
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
        let message = mesh.envoy(version).try_start().expect_err("a refusal");
        assert!(message.to_string().contains("`payloda`"), "{message}");
    });
}
