//! The shipped `envoy/aws-direct.yaml`, in front of a stand-in for AWS that verifies signatures with
//! botocore. Only the address and the CA are changed.

use std::net::SocketAddr;

use lambda_mesh_tests::aws::Aws;
use lambda_mesh_tests::endpoint::Endpoint;
use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::mesh::{Config, Mesh, on_each_envoy};
use lambda_mesh_tests::shared::Component;
use serde_json::json;
use xtask::workspace_root;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "a-session-token";

/// Adds a listener that terminates TLS, as AWS does, and forwards to `aws`.
fn terminate_tls(config: &mut Config, address: SocketAddr, aws: &Aws) {
    let fixtures = workspace_root().join("tests/fixtures/tls");
    let file = |name| json!({ "filename": fixtures.join(name) });
    let socket = |address: SocketAddr| json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } });
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
            { "endpoint": { "address": socket(aws.lambda) } },
        ] }] },
    }));
}

fn direct(aws: &Aws, version: &'static str) -> Mesh {
    aws.key(KEY, &json!({ "secret": SECRET, "token": TOKEN }));
    let address = free_address();
    Mesh::shipped("aws-direct.yaml", Endpoint::Tcp(address))
        .envoy(version)
        .environment("AWS_ACCESS_KEY_ID", KEY)
        .environment("AWS_SECRET_ACCESS_KEY", SECRET)
        .environment("AWS_SESSION_TOKEN", TOKEN)
        .environment("AWS_EC2_METADATA_DISABLED", "true")
        .edit(|config| terminate_tls(config, address, aws))
        .start()
}

#[test]
fn envoy_signs_the_requests_of_the_filter() {
    let streamed = "{\"statusCode\":201}\0\0\0\0\0\0\0\0";
    on_each_envoy(|version| {
        let aws = Aws::start();
        aws.function("orders", &json!({}));
        aws.function("orders-jobs", &json!({}));
        aws.function(
            "orders-stream",
            &json!({ "chunks": [streamed, "one", "two"] }),
        );
        let mesh = direct(&aws, version);
        let host = "orders.localhost";
        let request = mesh.post("/page?x=%20", "gr\u{fc}\u{df}e").host(host);
        let response = request
            .header("authorization", "Bearer t")
            .header("content-type", "text/plain");
        let event = response.send().json();
        assert_eq!(event["rawQueryString"], "x=%20", "{event}");
        assert_eq!(event["headers"]["authorization"], "Bearer t");
        assert_eq!(event["body"], "gr\u{fc}\u{df}e");
        let response = mesh.post("/jobs", "text").host(host).send();
        assert_eq!((response.status, response.text()), (202, ""));
        let response = mesh.get("/stream").host(host).send();
        assert_eq!((response.status, response.text()), (201, "onetwo"));
        // `calls` panics if a signature was refused.
        assert_eq!(aws.calls("orders")[0]["qualifier"], "live");
        assert_eq!(aws.calls("orders-jobs").len(), 1);
        assert_eq!(aws.calls("orders-stream").len(), 1);
    });
}

#[test]
fn a_throttled_call_is_retried_and_signed_again_and_a_failed_one_is_not() {
    let aws = Aws::start();
    let throttled = json!({ "error": "TooManyRequestsException", "retry_after": 1 });
    let answered = json!({ "payload": { "statusCode": 200, "body": "second" } });
    let failed = json!({ "error": "ServiceException" });
    aws.function("orders", &json!({ "turns": [throttled, answered, failed] }));
    let mesh = direct(&aws, xtask::envoy::NEWEST);
    let response = mesh.post("/", "text").host("orders.localhost").send();
    assert_eq!((response.status, response.text()), (200, "second"));
    let entry = mesh.access_log(&response);
    assert_eq!(
        (&entry["method"], &entry["path"]),
        (&json!("POST"), &json!("/"))
    );
    assert_eq!(mesh.get("/").host("orders.localhost").send().status, 502);
    assert_eq!(aws.calls("orders").len(), 3);
    let log = mesh.log_with("error_type=ServiceException");
    assert!(!log.contains(TOKEN) && !log.contains(SECRET), "{log}");
}
