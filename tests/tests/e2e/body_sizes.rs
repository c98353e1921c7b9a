//! Bodies from empty to the largest that Lambda allows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::shared::Component as _;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};

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

/// The memory of the filter never shrinks, so a single response must not make it grow beyond measure.
#[test]
fn a_response_of_millions_of_items_takes_memory_in_proportion() {
    const BYTES: usize = 6_000_000;
    let ones = |bytes: usize| format!("[{}1]", "1,".repeat(bytes / 2));
    let lists: Vec<_> = (0..600)
        .map(|n| format!("\"{n}\":{}", ones(BYTES / 600 - 16)))
        .collect();
    let payloads = [
        format!("{{\"statusCode\":200,\"cookies\":{}}}", ones(BYTES)),
        format!("{{\"statusCode\":200,\"headers\":{{{}}}}}", lists.join(",")),
        format!("{{\"errorType\":\"E\",{}}}", lists.join(",")),
    ];
    let upstream = Upstream::start(move |call| {
        let response = ScriptedResponse::bytes(payloads[call.index % 3].clone());
        match call.index % 3 {
            2 => response.header("x-amz-function-error", "Unhandled"),
            _ => response,
        }
    });
    let mesh = Mesh::to(&upstream).start();
    assert_eq!(mesh.get("/").send().status, 500);
    let first = mesh.peak_memory_kib();
    for _ in 0..5 {
        assert_eq!(mesh.get("/").send().status, 500);
    }
    let grown = (mesh.peak_memory_kib() - first) / 1024;
    println!("{} MiB, grown by {grown} MiB", first / 1024);
    // Envoy holds the response, and the filter a copy of it.
    assert!(
        first / 1024 + grown < 150,
        "{first} KiB, grown by {grown} MiB"
    );
    mesh.log_with("`cookies` has more than 4000 items");
}
