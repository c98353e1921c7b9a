//! `invocation: response-stream`: the answer reaches the client as the function sends it.

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lambda_mesh_tests::client::{Received, Request};
use lambda_mesh_tests::event_stream::{chunk, complete, exception, prelude};
use lambda_mesh_tests::mesh::{Builder, Mesh, on_each_envoy, route};
use lambda_mesh_tests::shared::Part;
use lambda_mesh_tests::upstream::{Reply, Upstream};
use serde_json::{Value, json};

const NOW: Duration = Duration::ZERO;

fn streaming(upstream: &Upstream, settings: &Value) -> Builder {
    let mut lambda = json!({ "function": "probe", "invocation": "response-stream" });
    for (key, value) in settings.as_object().into_iter().flatten() {
        lambda[key] = value.clone();
    }
    Mesh::to(upstream).routes(&[route(&json!({ "prefix": "/" }), &lambda)])
}

/// Each answer of `pieces`, over both versions of HTTP.
fn received(mesh: &Mesh) -> [Received; 2] {
    let request = mesh.get("/");
    [request.clone(), request.http2()].map(Request::receive)
}

fn at_once(pieces: impl IntoIterator<Item = Bytes>) -> Vec<(Duration, Bytes)> {
    pieces.into_iter().map(|piece| (NOW, piece)).collect()
}

fn ok() -> Bytes {
    prelude(&json!({ "statusCode": 200, "headers": { "content-type": "text/plain" } }))
}

fn failure() -> Bytes {
    let details = json!({ "errorType": "Broken", "errorMessage": "as scripted" });
    complete(&json!({ "ErrorCode": "Unhandled", "ErrorDetails": details.to_string() }))
}

#[test]
fn an_error_after_the_first_byte_breaks_the_response() {
    on_each_envoy(|version| {
        let mut corrupt = chunk("two").to_vec();
        corrupt[100] ^= 1;
        let ends = [
            failure(),
            exception("ServiceException"),
            corrupt.into(),
            // Cut within a message, and between two.
            chunk("two").slice(..50),
            chunk("two"),
        ];
        let script = ends.clone();
        let upstream = Upstream::start(move |call| {
            let end = script[call.index / 2 % script.len()].clone();
            let first = [(NOW, ok()), (NOW, chunk("one"))];
            let last = (Duration::from_millis(200), end);
            Reply::stream(first.into_iter().chain([last]).collect())
        });
        let mesh = streaming(&upstream, &json!({})).envoy(version).start();
        for end in &ends {
            for received in received(&mesh) {
                assert_eq!(received.status, 200);
                assert!(received.body().starts_with(b"one"), "{received:?}");
                assert!(received.broken.is_some(), "{end:?}: {received:?}");
                println!("{:?}", received.broken);
            }
        }
        assert!(mesh.alive());
    });
}
