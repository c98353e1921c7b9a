//! An upstream that is not there, or answers nonsense: an error for that request, and no harm to
//! the next.

use lambda_mesh_tests::client::{Answer, raw};
use lambda_mesh_tests::invoker::free_address;
use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::shared::Part;
use lambda_mesh_tests::upstream::{Reply, Upstream};
use serde_json::json;

/// A first answer as given, then a good one: what the client gets for the first.
#[track_caller]
fn after(first: Reply) -> Answer {
    let upstream = Upstream::start(move |call| match call.index {
        0 => first.clone(),
        _ => Reply::payload(&json!({ "statusCode": 200, "body": "good" })),
    });
    let mesh = Mesh::to(&upstream).start();
    let answer = mesh.get("/").send();
    let next = mesh.get("/").send();
    assert_eq!(
        (next.status, next.text()),
        (200, "good"),
        "after {answer:?}"
    );
    answer
}

#[test]
fn nobody_listens() {
    let mesh = Mesh::to(free_address()).start();
    let answer = mesh.get("/page").send();
    assert_eq!(answer.status, 503);
    assert_eq!(mesh.access_log(&answer)["path"], "/page");
    assert!(mesh.alive());
}

#[test]
fn it_does_not_speak_http() {
    let upstream = Upstream::raw("SSH-2.0-OpenSSH_9.6\r\n");
    let mesh = Mesh::to(&upstream).start();
    for _ in 0..2 {
        assert_eq!(mesh.get("/").send().status, 502);
    }
}

#[test]
fn it_closes_before_its_answer() {
    assert_eq!(after(Reply::reset()).status, 503);
}

#[test]
fn it_closes_within_its_answer() {
    let whole = Reply::payload(&json!({ "statusCode": 200, "body": "x".repeat(1000) }));
    let answer = after(whole.cut_at(500));
    assert!([502, 503].contains(&answer.status), "{answer:?}");
}

#[test]
fn its_answer_is_empty() {
    assert_eq!(after(Reply::bytes("")).status, 500);
}

#[test]
fn its_answer_is_not_json() {
    assert_eq!(after(Reply::bytes("<html>")).status, 500);
    assert_eq!(after(Reply::bytes(b"\"\xff\xfe\"".as_slice())).status, 500);
}

#[test]
fn its_status_is_interim_or_impossible() {
    for status in [
        json!(100),
        json!(101),
        json!(103),
        json!(199),
        json!(-1),
        json!("two"),
    ] {
        let answer = after(Reply::payload(&json!({ "statusCode": status })));
        assert_eq!(answer.status, 500, "{status}");
    }
}

#[test]
fn an_interim_status_is_not_on_the_wire() {
    let upstream = Upstream::answering(json!({ "statusCode": 101, "body": "x" }));
    let mesh = Mesh::to(&upstream).start();
    let answer = raw(
        mesh.address,
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
}

#[test]
fn its_answer_is_larger_than_envoys_buffer() {
    let body = "x".repeat(20 * 1024 * 1024);
    let answer = after(Reply::payload(&json!({ "statusCode": 200, "body": body })));
    assert_eq!(answer.status, 500);
}

#[test]
fn its_answer_is_nested_without_end() {
    for open in ["[", "{\"a\":"] {
        for member in ["x", "headers", "body", "cookies", "statusCode"] {
            let payload = format!("{{\"{member}\":{}", open.repeat(100_000));
            assert_eq!(after(Reply::bytes(payload)).status, 500, "{member} {open}");
        }
    }
}
