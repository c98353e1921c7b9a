//! `envoy/envoy-gateway` as Envoy Gateway applies it, in the real Envoy.

use lambda_mesh_tests::client::raw;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::kubernetes::SECRET;
use lambda_mesh_tests::kubernetes::envoy_gateway::configure;
use lambda_mesh_tests::mesh::{Mesh, on_each_envoy};
use lambda_mesh_tests::upstream::Upstream;
use serde_json::json;

use crate::service::functions;

#[test]
fn each_route_calls_its_function_with_bodies_beyond_the_default_buffers() {
    on_each_envoy(|version| {
        // More than the default limits of Envoy, 1 MiB, and of Envoy Gateway, 32 KiB.
        let answer = "y".repeat(2 << 20);
        let upstream = Upstream::responding(json!({ "statusCode": 201, "body": answer }));
        let mesh = configure(upstream.address);
        let mesh = Mesh::from_config(mesh).envoy(version).start();
        let body = "x".repeat(1_000_000);
        let request = mesh.post("/cart", body.clone()).host("orders.example.com");
        let response = request.header("content-type", "text/plain").send();
        assert_eq!(
            (response.status, response.text().len()),
            (201, answer.len())
        );
        let response = mesh.get("/").host("billing.example.com:80").send();
        assert_eq!(response.status, 201);
        assert_eq!(mesh.get("/").host("other.example.com").send().status, 404);

        let calls = upstream.calls();
        assert_eq!(calls.len(), 2);
        let orders = "/2015-03-31/functions/orders/invocations?Qualifier=live";
        assert_eq!(calls[0].path, orders);
        assert_eq!(calls[0].event()["body"], body);
        assert_eq!(calls[1].path, "/2015-03-31/functions/billing/invocations");
        assert_ne!(calls[1].event()["requestContext"].get("elb"), None);
    });
}

/// Client libraries would change the path and the headers.
#[test]
fn clients_with_odd_paths_and_headers_are_served() {
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mesh = configure(upstream.address);
        let mesh = Mesh::from_config(mesh).envoy(version).start();
        let request = "POST /x/..%2F%61dmin HTTP/1.1\r\nhost: orders.example.com\r\nmy_header: 1\r\n\
                       upgrade: TLS/1.2\r\nconnection: upgrade, close\r\ncontent-length: 0\r\n\
                       x-envoy-retriable-status-codes: 200\r\n\r\n";
        let response = raw(mesh.address, request);
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        let event = upstream.call().event();
        assert_eq!(event["rawPath"], "/admin");
        let headers = event["headers"].as_object().expect("headers");
        let odd = |name: &String| name.contains('_') || name == "upgrade";
        assert!(!headers.keys().any(odd), "{event}");
    });
}

/// As when a patch was not applied, or was applied to another rule.
#[test]
fn a_route_without_its_patches_leads_nowhere() {
    let callers = json!({ "filters": [{ "secrets": ["env:LAMBDA_MESH_SECRET"] }] });
    let invoker = Invoker::with(json!({ "callers": callers, "functions": functions() }));
    let invoker = invoker.env("LAMBDA_MESH_SECRET", SECRET).start();
    let mut config = configure(invoker.address());
    for cluster in config.clusters() {
        let metadata = &mut cluster["metadata"]["filter_metadata"]["lambda"];
        metadata["function"] = json!("probe");
        metadata["qualifier"] = json!("1");
        if cluster["name"] == "httproute/lambda-mesh/billing/rule/0" {
            let options = &mut cluster["typed_extension_protocol_options"];
            let options = &mut options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
            let removed = options
                .as_object_mut()
                .expect("options")
                .remove("http_filters");
            assert!(removed.is_some());
        }
    }
    let mesh = Mesh::from_config(config);
    let mesh = mesh.environment("LAMBDA_MESH_SECRET", SECRET).start();
    let response = mesh.get("/echo").host("orders.example.com").send();
    assert_eq!(response.status, 200, "{response:?}");
    let raw = mesh.post("/2015-03-31/functions/probe/invocations", "{}");
    assert_eq!(raw.host("billing.example.com").send().status, 403);
}
