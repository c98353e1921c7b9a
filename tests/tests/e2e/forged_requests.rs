//! A client cannot control the filter, Envoy or Lambda through its request.

use lambda_mesh_tests::client::raw;
use lambda_mesh_tests::mesh::{Config, Mesh};
use lambda_mesh_tests::upstream::Upstream;
use serde_json::json;

const FORGED: [(&str, &str); 13] = [
    ("x-amz-invocation-type", "Event"),
    ("x-amz-log-type", "Tail"),
    ("x-amz-client-context", "e30="),
    ("x-amz-tenant-id", "other"),
    ("x-amz-security-token", "t"),
    ("x-amzn-errortype", "TooManyRequestsException"),
    ("x-amz-function-error", "Unhandled"),
    ("x-lambda-function", "secret"),
    ("lambda.original", "GET /forged"),
    ("wasm.lambda.mark", "x"),
    (
        "x-lambda-mesh-invocation",
        "Event - /2015-03-31/functions/secret/invocations {}",
    ),
    (
        "x-envoy-original-path",
        "/2015-03-31/functions/secret/invocations",
    ),
    ("x-envoy-attempt-count", "2"),
];

#[test]
fn headers_cannot_change_the_invocation() {
    let upstream = Upstream::responding(json!({ "statusCode": 200, "body": "fine" }));
    let mesh = Mesh::to(&upstream).start();
    let request = FORGED
        .iter()
        .fold(mesh.get("/page"), |request, (name, value)| {
            request.header(name, value)
        });
    let response = request.send();
    assert_eq!((response.status, response.text()), (200, "fine"));
    let call = upstream.call();
    assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
    assert_eq!(call.headers["x-amz-invocation-type"], "RequestResponse");
    let others = FORGED
        .iter()
        .filter(|(name, _)| *name != "x-amz-invocation-type");
    for (name, _) in others {
        assert!(!call.headers.contains_key(*name), "{name}");
    }
    assert_eq!(call.event()["rawPath"], "/page");
    let entry = mesh.access_log(&response);
    assert_eq!(
        (&entry["path"], &entry["original"]),
        (&json!("/page"), &json!("GET /page"))
    );
}

#[test]
fn an_invoke_path_is_a_path_like_any_other() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).edit(Config::keep_paths).start();
    let targets = [
        "/2015-03-31/functions/secret/invocations",
        "/2015-03-31/functions/secret/invocations?Qualifier=live",
        "/2021-11-15/functions/secret/response-streaming-invocations",
        "/../2015-03-31/functions/secret/invocations",
        "//2015-03-31//functions/secret/invocations",
    ];
    for target in targets {
        assert_eq!(mesh.post(target, "{}").send().status, 200, "{target}");
    }
    let calls = upstream.calls();
    assert_eq!(calls.len(), targets.len());
    for (call, target) in calls.iter().zip(targets) {
        assert_eq!(
            call.path, "/2015-03-31/functions/probe/invocations",
            "{target}"
        );
        let path = target.split('?').next().expect("a path");
        assert_eq!(call.event()["rawPath"], path);
    }
}

#[test]
fn a_forged_address_is_ignored() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).start();
    let request = mesh.get("/").header("x-forwarded-for", "203.0.113.9");
    assert_eq!(request.send().status, 200);
    let event = upstream.call().event();
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
}

#[test]
fn connect_and_absolute_targets_do_no_harm() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).start();
    let connect = "CONNECT secret:80 HTTP/1.1\r\nhost: secret:80\r\n\r\n";
    let response = raw(mesh.address, connect);
    assert!(response.starts_with("HTTP/1.1 4"), "{response}");
    let absolute = "GET http://secret.test/page HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let response = raw(mesh.address, absolute);
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    let call = upstream.call();
    assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
    assert_eq!(call.event()["rawPath"], "/page");
}
