//! Mistakes in the plugin's configuration prevent Envoy from starting, and its message names the key.

use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::mesh::Mesh;
use serde_json::json;

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
