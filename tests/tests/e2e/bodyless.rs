//! Requests without a body, in which the event needs room in a header or in an added body.

use lambda_mesh_tests::client::raw;
use lambda_mesh_tests::mesh::{Config, Mesh, on_each_envoy};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{Call, Upstream};
use serde_json::{Value, json};

/// Makes the filter put the event into a body, even if the request has none.
fn in_a_body(config: &mut Config) {
    let settings = config.plugin()["configuration"]["value"].as_object_mut();
    settings
        .expect("settings")
        .remove("bodyless_event")
        .expect("the key");
}

fn last(upstream: &Upstream) -> Call {
    upstream.calls().pop().expect("a call")
}

#[test]
fn the_invoker_gets_the_event_in_a_header() {
    on_each_envoy(|version| {
        for is_http2 in [false, true] {
            let upstream = Upstream::responding(json!({ "statusCode": 200, "body": "hi" }));
            let mesh = Mesh::to(&upstream).envoy(version).edit(|config| {
                if is_http2 {
                    config.protocol_options()["explicit_http_config"] =
                        json!({ "http2_protocol_options": {} });
                }
            });
            let mesh = mesh.start();
            for method in ["GET", "DELETE", "OPTIONS", "HEAD"] {
                let response = mesh
                    .request(method, "/caf%C3%A9?x=1")
                    .header("x-del", "caf\u{e9} \"quoted\"")
                    .send();
                assert_eq!(response.status, 200, "{method}");
                assert_eq!(response.text(), if method == "HEAD" { "" } else { "hi" });
                let call = last(&upstream);
                assert!(call.is_in_header, "{call:?}");
                assert_eq!(call.method, "POST");
                let event = call.event();
                assert_eq!(event["requestContext"]["http"]["method"], method);
                assert_eq!(event["rawQueryString"], "x=1");
                assert_eq!(event["headers"]["x-del"], "caf\u{e9} \"quoted\"");
                let entry = mesh.access_log(&response);
                assert_eq!(entry["path"], "/caf%C3%A9?x=1");
                assert_eq!(entry["original"], format!("{method} /caf%C3%A9?x=1"));
            }
            let request = mesh
                .post("/", "a body")
                .header("content-type", "text/plain");
            assert_eq!(request.send().status, 200);
            let call = last(&upstream);
            assert_eq!(
                (call.is_in_header, &call.event()["body"]),
                (false, &json!("a body"))
            );
            // A client may send such a path, and a server need not accept it.
            for (path, query) in [("/a`b|c", "q=<\"x\">&y={1}^2"), ("/a", "x=[1]\\")] {
                let head = format!("GET {path}?{query} HTTP/1.1\r\nhost: service.test\r\n");
                let response = raw(mesh.address, format!("{head}connection: close\r\n\r\n"));
                assert!(response.starts_with("HTTP/1.1 200"), "{response}");
                let event = last(&upstream).event();
                let sent = (&event["rawPath"], &event["rawQueryString"]);
                assert_eq!(sent, (&json!(path), &json!(query)));
            }
            // A request with only trailers has no body for the event.
            let request = mesh.request("POST", "/").http2();
            assert_eq!(request.trailer("x-only", "trailers").send().status, 200);
            assert!(last(&upstream).is_in_header);
            // Escapes make a header too large that is within Envoy's default limit.
            let request = mesh.get("/").header("x-large", "a".repeat(59_000));
            assert_eq!(request.send().status, 200);
            assert!(last(&upstream).body.len() > 59_000);
            let request = mesh.get("/").header("x-large", "\"".repeat(40_000));
            assert_eq!(request.send().status, 431);
        }
    });
}

#[test]
fn a_client_cannot_send_an_event_of_its_own() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).start();
    let forged = mesh.get("/").header(
        "x-lambda-mesh-invocation",
        r#"Event - /2015-03-31/functions/secret/invocations {"forged":true}"#,
    );
    assert_eq!(forged.send().status, 200);
    let call = last(&upstream);
    assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
    let event = call.event();
    assert_eq!(event["forged"], Value::Null);
    assert_eq!(event["rawPath"], "/");
}

#[test]
fn a_request_without_room_for_its_event_is_refused_and_not_passed_through() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).edit(in_a_body).keep_wasm().start();
    let response = mesh.get("/2015-03-31/functions/secret/invocations").send();
    assert_eq!(response.status, 500);
    let request = mesh
        .request("POST", "/")
        .http2()
        .trailer("x-only", "trailers");
    assert_eq!(request.send().status, 501);
    assert_eq!(upstream.calls().len(), 0);
    mesh.log_with("Lua filter");

    assert_eq!(mesh.post("/", "a body").send().status, 200);
    assert_eq!(
        last(&upstream).path,
        "/2015-03-31/functions/probe/invocations"
    );
}
