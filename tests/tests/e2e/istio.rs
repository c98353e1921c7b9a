//! `envoy/istio` as Istio applies it, in the real Envoy.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use lambda_mesh_tests::client::{connect, raw, read_until};
use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::generated::Generated;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::kubernetes::SECRET;
use lambda_mesh_tests::kubernetes::istio::{Patched, Proxy, configure};
use lambda_mesh_tests::mesh::{Config, Mesh, on_each_envoy};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;
use xtask::envoy::NEWEST;

use crate::service::functions;

#[test]
fn a_pod_calls_functions_by_host_and_the_invoker_directly() {
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 201, "body": "done" }));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let patched = configure(Proxy::Sidecar, upstream.address, folder.path());
        let mesh = Mesh::from_config(patched.config).envoy(version).start();

        let response = mesh
            .post("/cart?x=1", "{}")
            .host("orders.lambda.internal")
            .send();
        assert_eq!((response.status, response.text()), (201, "done"));
        let response = mesh.get("/").host("billing.lambda.internal:80").send();
        assert_eq!(response.status, 201);
        let direct = "/2015-03-31/functions/other/invocations";
        let host = "invoker.lambda-mesh.svc.cluster.local";
        let response = mesh.post(direct, r#"{"an":"event"}"#).host(host).send();
        assert_eq!(response.status, 200);
        assert_eq!(response.json()["statusCode"], 201);
        let unknown = mesh.get("/").host("other.lambda.internal").send();
        assert_eq!(unknown.status, 404);

        let calls = upstream.calls();
        assert_eq!(calls.len(), 3);
        let orders = "/2015-03-31/functions/orders/invocations?Qualifier=live";
        assert_eq!(calls[0].path, orders);
        assert_eq!(calls[0].event()["rawPath"], "/cart");
        assert_eq!(calls[1].path, "/2015-03-31/functions/billing/invocations");
        assert_ne!(calls[1].event()["requestContext"].get("elb"), None);
        assert_eq!(calls[2].path, direct);
        assert_eq!(calls[2].event(), json!({ "an": "event" }));
    });
}

/// As when the `EnvoyFilter` is missing, or is not there yet.
#[test]
fn a_route_without_the_filter_leads_nowhere() {
    let callers = json!({ "filters": [{ "secrets": ["env:LAMBDA_MESH_SECRET"] }] });
    let functions = json!({ "orders": &functions()["probe"] });
    let invoker = Invoker::with(json!({ "callers": callers, "functions": functions }));
    let invoker = invoker.env("LAMBDA_MESH_SECRET", SECRET).start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let raw = "/2015-03-31/functions/orders/invocations";
    let orders = "orders.lambda.internal";

    let patched = configure(Proxy::Sidecar, invoker.address(), folder.path());
    let mesh = Mesh::from_config(patched.config).start();
    for request in [mesh.get("/echo"), mesh.post(raw, "{}")] {
        let response = request.host(orders).send();
        assert_eq!(response.status, 200, "{response:?}");
    }
    let direct = mesh
        .post(raw, "{}")
        .host("invoker.lambda-mesh.svc.cluster.local");
    assert_eq!(direct.send().status, 403);

    let Patched { mut config, .. } = configure(Proxy::Sidecar, invoker.address(), folder.path());
    for cluster in config.clusters() {
        let options = &mut cluster["typed_extension_protocol_options"];
        let options = &mut options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
        if let Some(options) = options.as_object_mut() {
            options.remove("http_filters");
        }
    }
    let (listen, admin) = with_addresses(&mut config);
    let mesh = Generated::start(NEWEST, &config.0.to_string(), listen, admin);
    assert_eq!(
        mesh.request("POST", raw)
            .body("{}")
            .host(orders)
            .send()
            .status,
        403
    );
    let request = mesh.request("GET", "/").host(orders);
    let invocation = format!("RequestResponse - {raw} {{}}");
    let response = request
        .header("x-lambda-mesh-invocation", &invocation)
        .send();
    assert_eq!(response.status, 403);
}

/// Gives the listener and the admin interface free addresses, and returns them.
fn with_addresses(config: &mut Config) -> (SocketAddr, SocketAddr) {
    let addresses = [free_address(), free_address()];
    let [listen, admin] = addresses.map(|address| {
        json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
    });
    config.listener()["address"] = listen;
    *config.at("/admin/address") = admin;
    addresses.into()
}

#[test]
fn the_ingress_gateway_serves_only_the_public_host() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let patched = configure(Proxy::Gateway, upstream.address, folder.path());
    let mesh = Mesh::from_config(patched.config).start();
    // More than Envoy's default limit of 1 MiB.
    let body = "x".repeat(2 << 20);
    let response = mesh.post("/cart", body.clone()).host("orders.example.com");
    let response = response.header("content-type", "text/plain").send();
    assert_eq!(response.status, 200);
    assert_eq!(upstream.call().event()["body"], body);
    for host in ["orders.lambda.internal", "billing.lambda.internal"] {
        assert_eq!(mesh.get("/").host(host).send().status, 404, "{host}");
    }
}

/// The request passes through the sidecar of the invoker's pods too.
#[test]
fn the_largest_head_that_a_pod_may_send_reaches_the_invoker() {
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let Patched { mut config, .. } = configure(Proxy::Invoker, upstream.address, folder.path());
        let (listen, admin) = with_addresses(&mut config);
        let inbound = Generated::start(version, &config.0.to_string(), listen, admin);
        let patched = configure(Proxy::Sidecar, inbound.address, folder.path());
        let mesh = Mesh::from_config(patched.config).envoy(version).start();

        let mut request = mesh.get("/").host("orders.lambda.internal");
        request = request.header("x-large", "a".repeat(58_000));
        for number in 0..96 {
            request = request.header(&format!("x-{number}"), "v");
        }
        let response = request.send();
        assert_eq!(response.status, 200, "{response:?}");
        assert!(upstream.call().is_in_header);
    });
}

#[test]
fn each_patch_changes_something() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let unused = |proxy| -> Vec<String> {
        let Patched { unused, .. } = configure(proxy, nowhere, folder.path());
        unused
    };
    // Each of the first EnvoyFilter's last four patches is for one kind of proxy, and one function is not
    // public.
    assert_eq!(
        unused(Proxy::Sidecar),
        ["lambda-filter/3", "lambda-filter/5"]
    );
    assert_eq!(
        unused(Proxy::Gateway),
        ["lambda-filter/2", "lambda-filter/4", "lambda-functions/1"]
    );
}

/// By default, Istio's proxies leave `Expect: 100-continue` to the server, and the filter holds the request
/// back. With `install/istiod.yaml` they answer themselves.
#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    on_each_envoy(|version| {
        for installed in [true, false] {
            let upstream = Upstream::responding(json!({ "statusCode": 200 }));
            let folder = tempfile::tempdir().expect("a temporary folder");
            let Patched { mut config, .. } =
                configure(Proxy::Sidecar, upstream.address, folder.path());
            assert_eq!(config.connection_manager()["proxy_100_continue"], false);
            if !installed {
                config.connection_manager()["proxy_100_continue"] = json!(true);
            }
            let mesh = Mesh::from_config(config).envoy(version).start();
            let mut client = connect(mesh.address);
            let head = "POST / HTTP/1.1\r\nhost: orders.lambda.internal\r\nexpect: 100-continue\r\n\
                        content-type: text/plain\r\ncontent-length: 4\r\n\r\n";
            client.write_all(head.as_bytes()).expect("a request");
            let mut response = Vec::new();
            if installed {
                read_until(&mut client, &mut response, "HTTP/1.1 100 Continue\r\n\r\n");
            } else {
                let limit = Some(Duration::from_millis(500));
                client.set_read_timeout(limit).expect("a read timeout");
                assert!(client.read(&mut [0; 64]).is_err(), "a response");
                let limit = Some(Duration::from_secs(10));
                client.set_read_timeout(limit).expect("a read timeout");
            }
            // A client that has lost patience sends the body.
            client.write_all(b"body").expect("the body");
            read_until(&mut client, &mut response, "HTTP/1.1 200 OK\r\n");
            assert_eq!(upstream.call().event()["body"], "body");
        }
    });
}

/// A sidecar does not remove Envoy's own headers, and obeys them. Client libraries would change the path.
#[test]
fn pods_with_odd_paths_and_headers_are_served() {
    on_each_envoy(|version| {
        let upstream = Upstream::start(|_| {
            let response = ScriptedResponse::payload(&json!({ "statusCode": 200 }));
            response.after(Duration::from_millis(150))
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (proxy, host) in [
            (Proxy::Sidecar, "orders.lambda.internal"),
            (Proxy::Gateway, "orders.example.com"),
        ] {
            let patched = configure(proxy, upstream.address, folder.path());
            let mesh = Mesh::from_config(patched.config).envoy(version).start();
            for retry_on in ["retriable-status-codes", "retriable-headers"] {
                let request = format!(
                    "GET /x/..%2F%61dmin HTTP/1.1\r\nhost: {host}\r\nupgrade: TLS/1.2\r\n\
                     connection: upgrade, close\r\nx-envoy-hedge-on-per-try-timeout: true\r\n\
                     x-envoy-upstream-rq-per-try-timeout-ms: 50\r\nx-envoy-max-retries: 3\r\n\
                     x-envoy-retry-on: {retry_on}\r\nx-envoy-retriable-status-codes: 200\r\n\
                     x-envoy-retriable-header-names: content-type\r\n\r\n"
                );
                let response = raw(mesh.address, request);
                assert!(mesh.alive(), "{response}\n{}", mesh.log());
                assert!(
                    response.starts_with("HTTP/1.1 200 "),
                    "{proxy:?}: {response}"
                );
            }
        }
        for call in upstream.calls() {
            assert_eq!(call.event()["rawPath"], "/admin");
        }
    });
}
