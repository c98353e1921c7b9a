//! An upstream that is unreachable or responds with nonsense fails the request, and does not harm the next
//! one.

use lambda_mesh_tests::client::{Response, raw};
use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;

/// Returns what the client gets for this first response. The upstream then sends a good response.
#[track_caller]
fn client_gets(first: ScriptedResponse) -> Response {
    let upstream = Upstream::start(move |call| match call.index {
        0 => first.clone(),
        _ => ScriptedResponse::payload(&json!({ "statusCode": 200, "body": "good" })),
    });
    let mesh = Mesh::to(&upstream).start();
    let response = mesh.get("/").send();
    let next = mesh.get("/").send();
    assert_eq!(
        (next.status, next.text()),
        (200, "good"),
        "after {response:?}"
    );
    response
}

#[test]
fn a_refused_connection_is_503() {
    let mesh = Mesh::to(free_address()).start();
    let response = mesh.get("/page").send();
    assert_eq!(response.status, 503);
    assert_eq!(mesh.access_log(&response)["path"], "/page");
    assert!(mesh.alive());
}

#[test]
fn a_response_that_is_not_http_is_502() {
    let upstream = Upstream::raw("SSH-2.0-OpenSSH_9.6\r\n");
    let mesh = Mesh::to(&upstream).start();
    for _ in 0..2 {
        assert_eq!(mesh.get("/").send().status, 502);
    }
}

#[test]
fn a_connection_that_closes_before_the_response_is_503() {
    assert_eq!(client_gets(ScriptedResponse::reset()).status, 503);
}

#[test]
fn a_connection_that_closes_within_the_response_is_502_or_503() {
    let whole = ScriptedResponse::payload(&json!({ "statusCode": 200, "body": "x".repeat(1000) }));
    let response = client_gets(whole.cut_at(500));
    assert!([502, 503].contains(&response.status), "{response:?}");
}

#[test]
fn an_empty_response_is_500() {
    assert_eq!(client_gets(ScriptedResponse::bytes("")).status, 500);
}

#[test]
fn a_response_that_is_not_json_is_500() {
    assert_eq!(client_gets(ScriptedResponse::bytes("<html>")).status, 500);
    assert_eq!(
        client_gets(ScriptedResponse::bytes(b"\"\xff\xfe\"".as_slice())).status,
        500
    );
}

#[test]
fn an_interim_or_impossible_status_is_500() {
    for status in [
        json!(100),
        json!(101),
        json!(103),
        json!(199),
        json!(-1),
        json!("two"),
    ] {
        let response = client_gets(ScriptedResponse::payload(&json!({ "statusCode": status })));
        assert_eq!(response.status, 500, "{status}");
    }
}

#[test]
fn an_interim_status_never_reaches_the_client() {
    let upstream = Upstream::responding(json!({ "statusCode": 101, "body": "x" }));
    let mesh = Mesh::to(&upstream).start();
    let response = raw(
        mesh.address,
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
}

#[test]
fn a_response_larger_than_envoys_buffer_is_500() {
    let body = "x".repeat(20 * 1024 * 1024);
    let response = client_gets(ScriptedResponse::payload(
        &json!({ "statusCode": 200, "body": body }),
    ));
    assert_eq!(response.status, 500);
}

#[test]
fn a_deeply_nested_response_is_500() {
    for open in ["[", "{\"a\":"] {
        for member in ["x", "headers", "body", "cookies", "statusCode"] {
            let payload = format!("{{\"{member}\":{}", open.repeat(100_000));
            assert_eq!(
                client_gets(ScriptedResponse::bytes(payload)).status,
                500,
                "{member} {open}"
            );
        }
    }
}
