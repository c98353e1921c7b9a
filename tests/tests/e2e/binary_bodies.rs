//! Bytes that are no text, both ways.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_mesh_tests::client::Answer;
use serde_json::json;

use crate::parts::{reply, service};

fn all_bytes() -> Vec<u8> {
    (0..=255).collect()
}

fn sent_as(content_type: Option<&str>, body: Vec<u8>) -> Answer {
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
fn a_body_that_is_no_text_is_base64_though_its_type_says_text() {
    let event = sent_as(Some("text/plain"), all_bytes()).json();
    assert_eq!(event["isBase64Encoded"], true);
    assert_eq!(event["body"], STANDARD.encode(all_bytes()));
}

#[test]
fn a_binary_answer_reaches_the_client_byte_for_byte() {
    let answer = reply(&json!({
        "statusCode": 200,
        "headers": { "content-type": "application/octet-stream" },
        "isBase64Encoded": true,
        "body": STANDARD.encode(all_bytes()),
    }));
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("content-length"), "256");
    assert_eq!(answer.body, all_bytes());
}

#[test]
fn every_length_of_a_body_survives_base64() {
    for length in 0..4 {
        let answer = service().get(format!("/bytes/{length}")).send();
        assert_eq!(answer.body, &all_bytes()[..length]);
    }
}
