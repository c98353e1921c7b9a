//! `invocation: response-stream`: the client receives the response while the function sends it.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lambda_mesh_tests::client::{Request, StreamedResponse, connect, raw};
use lambda_mesh_tests::event_stream::{chunk, complete, exception, prelude};
use lambda_mesh_tests::mesh::{Builder, Mesh, on_each_envoy, route};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::{Value, json};
use xtask::envoy::NEWEST;

const NOW: Duration = Duration::ZERO;

fn streaming(upstream: &Upstream, settings: &Value) -> Builder {
    let mut lambda = json!({ "function": "probe", "invocation": "response-stream" });
    for (key, value) in settings.as_object().into_iter().flatten() {
        lambda[key] = value.clone();
    }
    Mesh::to(upstream).routes(&[route(&json!({ "prefix": "/" }), &lambda)])
}

/// Returns the response over both versions of HTTP.
fn received(mesh: &Mesh) -> [StreamedResponse; 2] {
    let request = mesh.get("/");
    [request.clone(), request.http2()].map(Request::stream)
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
fn events_arrive_one_by_one() {
    on_each_envoy(|version| {
        const GAP: Duration = Duration::from_millis(300);
        let upstream = Upstream::start(|_| {
            let first = prelude(&json!({
                "statusCode": 201,
                "headers": { "Content-Type": "text/event-stream", "X-A": "1" },
                "cookies": ["a=1", "b=2"],
            }));
            let events = (0..4).map(|number| (GAP, chunk(format!("data: {number}\n\n"))));
            let pieces = [(NOW, first)].into_iter().chain(events);
            ScriptedResponse::stream(pieces.chain([(GAP, complete(&json!({})))]).collect())
        });
        let mesh = streaming(&upstream, &json!({})).envoy(version).start();
        for received in received(&mesh) {
            let ended = Instant::now();
            assert_eq!(received.status, 201);
            assert_eq!(received.headers["content-type"], "text/event-stream");
            assert_eq!(received.headers["x-a"], "1");
            let cookies = received.headers.get_all("set-cookie").iter();
            assert_eq!(cookies.collect::<Vec<_>>(), ["a=1", "b=2"]);
            assert!(!received.headers.contains_key("content-length"));
            assert!(received.error.is_none(), "{received:?}");
            let body = received.body();
            assert_eq!(body, b"data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\n");
            let times: Vec<_> = received.pieces.iter().map(|(time, _)| *time).collect();
            let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            println!("gaps: {gaps:?}");
            // On a busy machine, two events may arrive together.
            assert!(times.len() > 2, "{received:?}");
            // The function sends for four gaps after the first event.
            assert!(ended - times[0] > GAP * 2, "{gaps:?}");
        }
        let call = &upstream.calls()[0];
        assert_eq!(
            call.path,
            "/2021-11-15/functions/probe/response-streaming-invocations"
        );
        assert_eq!(call.headers["x-amz-invocation-type"], "RequestResponse");
    });
}

/// Envoy may buffer at most 1 MiB on either side, and the client is slow at first.
#[test]
fn fifty_megabytes_pass_through_without_being_buffered() {
    const MIB: u64 = 1024 * 1024;
    const CHUNKS: usize = 800;
    let upstream = Upstream::start(|_| {
        let chunks = (0..CHUNKS).map(|_| chunk(vec![b'x'; 65_536]));
        let pieces = [ok()].into_iter().chain(chunks);
        ScriptedResponse::stream(at_once(pieces.chain([complete(&json!({}))])))
    });
    let mesh = streaming(&upstream, &json!({})).edit(|config| {
        config.listener()["per_connection_buffer_limit_bytes"] = json!(MIB);
        config.cluster()["per_connection_buffer_limit_bytes"] = json!(MIB);
    });
    let mesh = mesh.start();
    let first = mesh.peak_memory_kib();
    let mut client = connect(mesh.address);
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    client.write_all(request).expect("a connection");
    let mut buffer = vec![0; 65_536];
    let mut read = 0;
    loop {
        match client.read(&mut buffer).expect("more of the response") {
            0 => break,
            length => read += length,
        }
        if read < 4 * 1024 * 1024 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    assert!(read > CHUNKS * 65_536, "{read}");
    let grown = mesh.peak_memory_kib() - first;
    println!("{first} KiB, grown by {grown} KiB");
    assert!(grown < 24 * 1024, "grown by {grown} KiB");
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
            // One is cut within a message, one between two messages.
            chunk("two").slice(..50),
            chunk("two"),
        ];
        let script = ends.clone();
        let upstream = Upstream::start(move |call| {
            let end = script[call.index / 2 % script.len()].clone();
            let first = [(NOW, ok()), (NOW, chunk("one"))];
            let last = (Duration::from_millis(200), end);
            ScriptedResponse::stream(first.into_iter().chain([last]).collect())
        });
        let mesh = streaming(&upstream, &json!({})).envoy(version).start();
        for end in &ends {
            for (received, is_http2) in received(&mesh).into_iter().zip([false, true]) {
                assert_eq!(received.status, 200);
                assert!(received.body().starts_with(b"one"), "{received:?}");
                // Envoy 1.36 resets a stream of HTTP/2 with NO_ERROR, which hyper reads as its end.
                if !is_http2 || version == NEWEST {
                    assert!(received.error.is_some(), "{end:?}: {received:?}");
                }
            }
        }
        assert!(mesh.alive());
    });
}

#[test]
fn an_upstream_that_disconnects_within_its_response_breaks_the_response() {
    let upstream = Upstream::start(|_| {
        let pieces = at_once([ok(), chunk("one"), chunk("two").slice(..50)]);
        ScriptedResponse::stream(pieces).cut_at(0)
    });
    let mesh = streaming(&upstream, &json!({})).start();
    for received in received(&mesh) {
        assert!(received.error.is_some(), "{received:?}");
    }
}

#[test]
fn an_error_before_the_first_byte_becomes_the_formats_own_error() {
    let cases = [
        (failure(), 500, "Internal Server Error", "Broken"),
        (
            exception("ServiceException"),
            502,
            "Bad Gateway",
            "ServiceException",
        ),
        (chunk("two").slice(..50), 502, "Bad Gateway", ""),
    ];
    let script = cases.clone();
    let upstream = Upstream::start(move |call| {
        let (end, ..) = script[call.index / 2].clone();
        ScriptedResponse::stream(at_once([chunk("{\"statusCode\":"), end]))
    });
    let mesh = streaming(&upstream, &json!({})).start();
    for (_, status, message, error_type) in cases {
        for request in [mesh.get("/"), mesh.get("/").http2()] {
            let response = request.send();
            assert_eq!(response.status, status);
            assert_eq!(response.json(), json!({ "message": message }));
            let logged = &mesh.access_log(&response)["error_type"];
            assert_eq!(logged.as_str().unwrap_or_default(), error_type);
        }
    }
}

#[test]
fn an_error_before_the_first_byte_is_retried() {
    let upstream = Upstream::start(|call| {
        ScriptedResponse::stream(at_once(match call.index {
            0 => vec![failure()],
            1 => vec![prelude(&json!({ "statusCode": 503 })), complete(&json!({}))],
            _ => vec![ok(), chunk("third"), complete(&json!({}))],
        }))
    });
    let lambda = json!({ "function": "probe", "invocation": "response-stream" });
    let mut retried = route(&json!({ "prefix": "/" }), &lambda);
    retried["route"]["retry_policy"] = json!({ "retry_on": "5xx", "num_retries": 2 });
    let mesh = Mesh::to(&upstream).routes(&[retried]).start();
    let response = mesh.get("/page").send();
    assert_eq!((response.status, response.text()), (200, "third"));
    let entry = mesh.access_log(&response);
    assert_eq!(
        (&entry["attempts"], &entry["path"]),
        (&json!(3), &json!("/page"))
    );
}

#[test]
fn a_hedged_attempt_replaces_a_stream_that_fails() {
    on_each_envoy(|version| {
        let upstream = Upstream::start(|call| {
            let delay = Duration::from_secs(1);
            let unavailable = prelude(&json!({ "statusCode": 503 }));
            match call.index {
                0 => ScriptedResponse::stream(vec![
                    (delay, unavailable),
                    (NOW, chunk("sorry")),
                    (NOW, complete(&json!({}))),
                ]),
                _ => ScriptedResponse::stream(vec![
                    (delay * 2, ok()),
                    (NOW, chunk("second")),
                    (NOW, complete(&json!({}))),
                ]),
            }
        });
        let lambda = json!({ "function": "probe", "invocation": "response-stream" });
        let mut hedged = route(&json!({ "prefix": "/" }), &lambda);
        hedged["route"]["retry_policy"] =
            json!({ "retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.3s" });
        hedged["route"]["hedge_policy"] = json!({ "hedge_on_per_try_timeout": true });
        let mesh = Mesh::to(&upstream).routes(&[hedged]).envoy(version).start();
        let response = mesh.get("/").send();
        assert_eq!((response.status, response.text()), (200, "second"));
        assert_eq!(upstream.calls().len(), 2);
    });
}

#[test]
fn a_function_that_does_not_stream_works_too() {
    let payload = json!({ "statusCode": 201, "headers": { "x-a": "1" }, "body": "whole" });
    let payload = payload.to_string();
    let upstream = Upstream::start(move |call| match call.index / 2 {
        // As a stream with and without its media type, and by an upstream that does not stream.
        0 => {
            let (first, second) = payload.split_at(10);
            let pieces = at_once([chunk(first), chunk(second), complete(&json!({}))]);
            let response = ScriptedResponse::stream(pieces);
            if call.index == 0 {
                response
            } else {
                response.set("content-type", "application/json")
            }
        }
        _ => ScriptedResponse::bytes(payload.clone()),
    });
    let mesh = streaming(&upstream, &json!({})).start();
    for _ in 0..3 {
        let response = mesh.get("/").send();
        assert_eq!((response.status, response.text()), (201, "whole"));
        assert_eq!(response.header("x-a"), "1");
        assert_eq!(response.header("content-length"), "5");
    }
}

#[test]
fn a_function_without_a_payload_is_200_with_an_empty_body() {
    let upstream = Upstream::start(|_| ScriptedResponse::stream(at_once([complete(&json!({}))])));
    let mesh = streaming(&upstream, &json!({})).start();
    for request in [mesh.get("/"), mesh.get("/").http2()] {
        let response = request.send();
        assert_eq!((response.status, response.text()), (200, ""));
    }
}

/// For `HttpResponseStream.from(stream, { statusCode: 403 })` and then `stream.end()`, AWS's Node.js client
/// announces a prelude that does not come.
#[test]
fn a_refusal_that_loses_its_prelude_is_no_success() {
    const WITH_PRELUDE: &str = "application/vnd.awslambda.http-integration-response";
    let upstream = Upstream::start(|call| {
        let response = ScriptedResponse::stream(at_once([complete(&json!({}))]));
        match call.index {
            0 => response.set("content-type", WITH_PRELUDE),
            _ => response.header("x-lambda-mesh-function-content-type", WITH_PRELUDE),
        }
    });
    let mesh = streaming(&upstream, &json!({ "payload": "function-url" })).start();
    for _ in 0..2 {
        let answer = mesh.get("/").send();
        assert_eq!(
            (answer.status, answer.text()),
            (502, "Internal Server Error")
        );
    }
    mesh.log_with("it ends without its prelude");
}

#[test]
fn bytes_without_a_prelude_are_the_body() {
    let upstream = Upstream::start(|call| {
        let response = ScriptedResponse::stream(at_once([
            chunk([0, 1, 2]),
            chunk("text"),
            complete(&json!({})),
        ]));
        if call.index == 0 {
            response
        } else {
            response.set("content-type", "image/png")
        }
    });
    let mesh = streaming(&upstream, &json!({})).start();
    for content_type in ["application/octet-stream", "image/png"] {
        let response = mesh.get("/").send();
        assert_eq!(
            (response.status, &response.body[..]),
            (200, &b"\0\x01\x02text"[..])
        );
        assert_eq!(response.header("content-type"), content_type);
    }
}

#[test]
fn a_response_without_a_body_has_none_on_the_wire() {
    let statuses = [200, 204, 205, 304];
    let upstream = Upstream::start(move |call| {
        let status = prelude(&json!({ "statusCode": statuses[call.index % 4] }));
        ScriptedResponse::stream(at_once([status, chunk("body"), complete(&json!({}))]))
    });
    let mesh = streaming(&upstream, &json!({})).start();
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)] {
        let request = format!("{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let wire = raw(mesh.address, request);
        assert!(wire.starts_with(&format!("HTTP/1.1 {status} ")), "{wire}");
        assert!(wire.ends_with("\r\n\r\n"), "{wire}");
    }
}

#[test]
fn trailers_of_the_upstream_end_a_stream() {
    let upstream = Upstream::start(|_| {
        let pieces = at_once([ok(), chunk("whole"), complete(&json!({}))]);
        ScriptedResponse::stream(pieces).trailer("x-end", "1")
    });
    let mesh = streaming(&upstream, &json!({})).http2().start();
    let response = mesh.get("/").http2().send();
    assert_eq!((response.status, response.text()), (200, "whole"));
    assert!(response.trailers.is_empty(), "{response:?}");
}
