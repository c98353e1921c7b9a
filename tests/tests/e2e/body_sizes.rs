//! Bodies from nothing to what Lambda carries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::parts::service;

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
    // As base64, 4.5 MiB are 6 MiB: the most that an event carries.
    for length in [0, 1, MIB, 9 * MIB / 2 - 4096] {
        let sent: Vec<u8> = (0..=255).cycle().take(length).collect();
        let request = service().post("/echo", sent.clone());
        let event = request.header("content-type", "image/png").send().json();
        let received = STANDARD.decode(event["body"].as_str().unwrap_or_default());
        assert!(received.as_ref() == Ok(&sent), "{length} bytes");
    }
}

#[test]
fn text_answers_arrive_whole() {
    for length in [0, 1, MIB, 5 * MIB] {
        let answer = service().get(format!("/text/{length}")).send();
        assert_eq!(answer.header("content-length"), length.to_string());
        assert!(answer.body == "x".repeat(length), "{length} bytes");
    }
}

#[test]
fn binary_answers_arrive_whole() {
    for length in [MIB, 9 * MIB / 2 - 4096] {
        let answer = service().get(format!("/bytes/{length}")).send();
        let sent: Vec<u8> = (0..=255).cycle().take(length).collect();
        assert!(answer.body == sent, "{length} bytes");
    }
}
