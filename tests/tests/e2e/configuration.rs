//! Mistakes in the plugin's configuration prevent Envoy from starting, and its message names the key.

use std::time::{Duration, Instant};

use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::mesh::{Mesh, on_each_envoy};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::Upstream;
use serde_json::json;

/// A time far below the route's timeout, and far above what a busy machine needs for a response.
const AT_ONCE: Duration = Duration::from_secs(10);

#[test]
fn each_mistake_is_named_by_key() {
    let mistakes = [
        ("payloda", json!({ "payloda": "apigateway-v2" })),
        ("payload", json!({ "payload": 2 })),
        ("invocation", json!({ "invocation": "asynchronous" })),
        ("header_case", json!({ "header_case": "upper" })),
        ("function", json!({ "function": "../admin" })),
        ("max_request_bytes", json!({ "max_request_bytes": -1 })),
    ];
    for (key, configuration) in mistakes {
        let refused = Mesh::to(free_address()).plugin(&configuration).try_start();
        let message = refused
            .err()
            .unwrap_or_else(|| panic!("{configuration} is accepted"))
            .to_string();
        assert!(
            message.contains(&format!("`{key}`")),
            "{configuration}: {message}"
        );
    }
}

#[test]
fn all_mistakes_are_named_at_once() {
    let configuration = json!({ "payloda": "x", "expose_errors": "yes", "stage": 1 });
    let refused = Mesh::to(free_address()).plugin(&configuration).try_start();
    let message = refused.expect_err("a refusal").to_string();
    for key in ["payloda", "expose_errors", "stage"] {
        assert!(message.contains(&format!("`{key}`")), "{key}: {message}");
    }
}

#[test]
fn a_configuration_in_a_json_string_is_read_like_an_object() {
    let refused = Mesh::to(free_address()).edit(|config| {
        config.plugin()["configuration"] = json!({
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": r#"{"payloda": "apigateway-v2"}"#,
        });
    });
    let message = refused.try_start().expect_err("a refusal").to_string();
    assert!(message.contains("`payloda`"), "{message}");
}

/// istiod before 1.28 drops the field from a configuration. Unnoticed, each call would end at the route's
/// timeout.
#[test]
fn an_envoy_that_does_not_hold_headers_is_noticed() {
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mesh = Mesh::to(&upstream).envoy(version).edit(|config| {
            let plugin = config.plugin().as_object_mut().expect("a mapping");
            assert!(plugin.remove("allow_on_headers_stop_iteration").is_some());
        });
        let mesh = mesh.keep_wasm().start();
        // The second is refused before the function runs, the first once the body has not come.
        let post = || mesh.post("/", "body");
        for request in [post(), post(), mesh.get("/")] {
            let started = Instant::now();
            let response = request.send();
            let elapsed = started.elapsed();
            assert_eq!(response.status, 500, "{response:?}");
            assert_eq!(
                response.json(),
                json!({ "message": "Internal Server Error" })
            );
            assert!(elapsed < AT_ONCE, "{elapsed:?}");
        }
        assert!(upstream.calls().is_empty());
        mesh.log_with("allow_on_headers_stop_iteration: true");
    });
}

/// A GET has no body to wait for, but its response has.
#[test]
fn an_envoy_that_does_not_hold_headers_is_noticed_by_a_response() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).edit(|config| {
        let plugin = config.plugin().as_object_mut().expect("a mapping");
        plugin.remove("allow_on_headers_stop_iteration");
    });
    let mesh = mesh.keep_wasm().start();
    for _ in 0..2 {
        let started = Instant::now();
        assert_eq!(mesh.get("/").send().status, 500);
        assert!(started.elapsed() < AT_ONCE);
    }
    assert_eq!(upstream.calls().len(), 1);
}
