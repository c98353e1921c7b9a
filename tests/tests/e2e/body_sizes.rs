//! Bodies from empty to the largest that Lambda allows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::service::service;

const MIB: usize = 1024 * 1024;

#[test]
fn text_bodies_arrive_whole() {
    for length in [0, 1, MIB, 5 * MIB] {
        let sent = "x".repeat(length);
        let request = service().post("/echo", sent.clone());
        let event = request.header("content-type", "text/plain").send().json();
        assert!(
            event["body"].as_str().unwrap_or_default() == sent,
            "{length} bytes"
        );
    }
}

#[test]
fn binary_bodies_arrive_whole() {
    // As base64, 4.5 MiB are 6 MiB, the largest event.
    for length in [0, 1, MIB, 9 * MIB / 2 - 4096] {
        let sent: Vec<u8> = (0..=255).cycle().take(length).collect();
        let request = service().post("/echo", sent.clone());
        let event = request.header("content-type", "image/png").send().json();
        let received = STANDARD.decode(event["body"].as_str().unwrap_or_default());
        assert!(received.as_ref() == Ok(&sent), "{length} bytes");
    }
}

#[test]
fn text_responses_arrive_whole() {
    for length in [0, 1, MIB, 5 * MIB] {
        let response = service().get(format!("/text/{length}")).send();
        assert_eq!(response.header("content-length"), length.to_string());
        assert!(response.body == "x".repeat(length), "{length} bytes");
    }
}

#[test]
fn binary_responses_arrive_whole() {
    for length in [MIB, 9 * MIB / 2 - 4096] {
        let response = service().get(format!("/bytes/{length}")).send();
        let sent: Vec<u8> = (0..=255).cycle().take(length).collect();
        assert!(response.body == sent, "{length} bytes");
    }
}
