//! Binary bodies, in both directions.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_mesh_tests::client::Response;
use serde_json::json;

use crate::service::{echo_payload, service};

fn all_bytes() -> Vec<u8> {
    (0..=255).collect()
}

fn sent_as(content_type: Option<&str>, body: Vec<u8>) -> Response {
    let request = service().post("/echo", body);
    match content_type {
        Some(content_type) => request.header("content-type", content_type).send(),
        None => request.send(),
    }
}

#[test]
fn a_binary_request_reaches_the_function_byte_for_byte() {
    let types = [Some("application/octet-stream"), Some("image/png"), None];
    for content_type in types {
        let event = sent_as(content_type, all_bytes()).json();
        assert_eq!(event["isBase64Encoded"], true, "{content_type:?}");
        assert_eq!(
            event["body"],
            STANDARD.encode(all_bytes()),
            "{content_type:?}"
        );
    }
}

#[test]
fn a_binary_body_with_a_text_type_is_base64() {
    let event = sent_as(Some("text/plain"), all_bytes()).json();
    assert_eq!(event["isBase64Encoded"], true);
    assert_eq!(event["body"], STANDARD.encode(all_bytes()));
}

#[test]
fn a_binary_response_reaches_the_client_byte_for_byte() {
    let response = echo_payload(&json!({
        "statusCode": 200,
        "headers": { "content-type": "application/octet-stream" },
        "isBase64Encoded": true,
        "body": STANDARD.encode(all_bytes()),
    }));
    assert_eq!(response.header("content-type"), "application/octet-stream");
    assert_eq!(response.header("content-length"), "256");
    assert_eq!(response.body, all_bytes());
}

#[test]
fn every_length_of_a_body_survives_base64() {
    for length in 0..4 {
        let response = service().get(format!("/bytes/{length}")).send();
        assert_eq!(response.body, &all_bytes()[..length]);
    }
}
