//! The shipped `envoy/aws-direct.yaml`, in front of a stand-in for AWS with TLS: only the address
//! and the CA are changed. That AWS takes such signatures is for the tests with AWS's own code.

use lambda_mesh_tests::event_stream::{chunk, complete, prelude};
use lambda_mesh_tests::invoker::free_address;
use lambda_mesh_tests::mesh::{Config, Endpoint, Mesh, on_each_envoy};
use lambda_mesh_tests::shared::Part;
use lambda_mesh_tests::upstream::{Call, Reply, Upstream};
use serde_json::json;
use std::time::Duration;
use xtask::workspace_root;

/// A second listener, which ends TLS as AWS's does, and passes all on to `upstream`.
fn stand_in(config: &mut Config, address: std::net::SocketAddr, upstream: &Upstream) {
    let fixtures = workspace_root().join("tests/fixtures/tls");
    let file = |name| json!({ "filename": fixtures.join(name) });
    let socket = |address: std::net::SocketAddr| json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } });
    let tls = &mut config.cluster()["transport_socket"]["typed_config"];
    tls["common_tls_context"]["validation_context"]["trusted_ca"] = file("lambda-ca.pem");
    let listeners = config.at("/static_resources/listeners").as_array_mut();
    listeners.expect("a list").push(json!({
        "name": "aws",
        "address": socket(address),
        "filter_chains": [{
            "filters": [{
                "name": "envoy.filters.network.tcp_proxy",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                    "stat_prefix": "aws",
                    "cluster": "aws",
                },
            }],
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                    "common_tls_context": { "tls_certificates": [{
                        "certificate_chain": file("lambda.pem"), "private_key": file("lambda.key"),
                    }] },
                },
            },
        }],
    }));
    config.clusters().push(json!({
        "name": "aws",
        "type": "STATIC",
        "load_assignment": { "cluster_name": "aws", "endpoints": [{ "lb_endpoints": [
            { "endpoint": { "address": socket(upstream.address) } },
        ] }] },
    }));
}

fn direct(upstream: &Upstream, version: &'static str) -> Mesh {
    let address = free_address();
    Mesh::shipped("aws-direct.yaml", Endpoint::Tcp(address))
        .envoy(version)
        .environment("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .environment(
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        )
        .environment("AWS_SESSION_TOKEN", "a-session-token")
        .environment("AWS_EC2_METADATA_DISABLED", "true")
        .edit(|config| stand_in(config, address, upstream))
        .start()
}

#[track_caller]
fn assert_signed(call: &Call) {
    let header = |name: &str| call.headers[name].to_str().expect("text").to_owned();
    let date = header("x-amz-date");
    let (day, time) = date.split_once('T').expect("a day and a time");
    assert_eq!((day.len(), time.len()), (8, 7), "{date}");
    let authorization = header("authorization");
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{day}/eu-central-1/lambda/aws4_request, "
    );
    assert!(authorization.starts_with(&scope), "{authorization}");
    for signed in [
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    ] {
        assert!(authorization.contains(signed), "{signed}: {authorization}");
    }
    assert_eq!(header("x-amz-security-token"), "a-session-token");
    assert_eq!(header("host"), "lambda.eu-central-1.amazonaws.com");
    assert_eq!(header("x-amz-content-sha256").len(), 64);
}

#[test]
fn envoy_signs_what_the_filter_has_made() {
    on_each_envoy(|version| {
        let upstream = Upstream::start(|call| {
            if call.path.contains("orders-stream") {
                let pieces = [prelude(&json!({})), chunk("streamed"), complete(&json!({}))];
                Reply::stream(pieces.map(|piece| (Duration::ZERO, piece)).into())
            } else if call.path.contains("orders-jobs") {
                Reply::bytes("").status(202)
            } else {
                Reply::payload(&json!({ "statusCode": 201, "body": "made" }))
            }
        });
        let mesh = direct(&upstream, version);
        let host = "orders.localhost";
        let answer = mesh
            .get("/page")
            .host(host)
            .header("authorization", "Bearer t");
        let answer = answer.send();
        assert_eq!((answer.status, answer.text()), (201, "made"));
        let answer = mesh.post("/jobs", "text").host(host).send();
        assert_eq!((answer.status, answer.text()), (202, ""));
        let answer = mesh.get("/stream").host(host).send();
        assert_eq!((answer.status, answer.text()), (200, "streamed"));
        let calls = upstream.calls();
        let paths: Vec<_> = calls.iter().map(|call| call.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/2015-03-31/functions/orders/invocations?Qualifier=live",
                "/2015-03-31/functions/orders-jobs/invocations",
                "/2021-11-15/functions/orders-stream/response-streaming-invocations",
            ]
        );
        calls.iter().for_each(assert_signed);
        assert_eq!(calls[0].event()["headers"]["authorization"], "Bearer t");
        assert_eq!(calls[1].headers["x-amz-invocation-type"], "Event");
    });
}

#[test]
fn a_throttled_call_is_tried_again_and_signed_anew_and_a_failed_one_is_not() {
    let upstream = Upstream::start(|call| match call.index {
        0 => Reply::service_error(429, "TooManyRequestsException").header("retry-after", "1"),
        1 => Reply::payload(&json!({ "statusCode": 200, "body": "second" })),
        _ => Reply::service_error(500, "ServiceException"),
    });
    let mesh = direct(&upstream, xtask::envoy::NEWEST);
    let answer = mesh.post("/", "text").host("orders.localhost").send();
    assert_eq!((answer.status, answer.text()), (200, "second"));
    let entry = mesh.access_log(&answer);
    assert_eq!(
        (&entry["method"], &entry["path"]),
        (&json!("POST"), &json!("/"))
    );
    assert_eq!(mesh.get("/").host("orders.localhost").send().status, 502);
    let calls = upstream.calls();
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[0].body, calls[1].body);
    calls.iter().for_each(assert_signed);
    let log = mesh.log_with("error_type=ServiceException");
    assert!(!log.contains("a-session-token") && !log.contains("wJalrXUtnFEMI"));
}
