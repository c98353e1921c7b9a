//! Clients with which the shipped configurations have to cope: clients that write a path otherwise, offer
//! upgrades, or give orders to Envoy.

use std::time::Duration;

use lambda_mesh_tests::client::{raw, raw_status};
use lambda_mesh_tests::mesh::{Builder, Mesh, on_each_envoy, route};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;

/// Returns the file with a rule of Envoy's on `/admin`, and the function behind it.
fn with_rule(file: &str, payload: &str, upstream: &Upstream) -> Builder {
    let function = json!({ "function": "probe", "payload": payload });
    Mesh::shipped(file, upstream).routes(&[
        json!({
            "match": { "path_separated_prefix": "/admin" },
            "direct_response": { "status": 403 },
        }),
        route(&json!({ "prefix": "/" }), &function),
    ])
}

#[test]
fn a_rule_on_a_path_holds_for_every_spelling() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    on_each_envoy(|version| {
        let mesh = with_rule("local.yaml", "apigateway-v2", &upstream);
        let mesh = mesh.envoy(version).start();
        for path in [
            "/admin",
            "/%61dmin",
            "/%61%64%6d%69%6E/x",
            "/x/../admin",
            "/x/%2e%2e/admin",
            "/x/.%2E/%61dmin",
            "/admin%2Fx",
            "/admin%2fx",
            "/x%2f..%2fadmin",
        ] {
            assert_eq!(raw_status(mesh.address, path), 403, "{path}");
        }
    });
    assert!(upstream.calls().is_empty());

    // Another path to Envoy is another path to the function.
    let mesh = with_rule("local.yaml", "apigateway-v2", &upstream).start();
    assert_eq!(raw_status(mesh.address, "//admin"), 200);
    assert_eq!(upstream.call().event()["rawPath"], "//admin");
    // A REST API takes //admin for /admin, and so do the rules in front of it.
    let mesh = with_rule("hosts-and-paths.yaml", "apigateway-v1", &upstream).start();
    assert_eq!(raw_status(mesh.address, "//admin"), 403);
    assert_eq!(raw_status(mesh.address, "///%61dmin"), 403);
    assert_eq!(upstream.calls().len(), 1);
}

/// Apache HttpClient 5.4 sends this offer with every request.
#[test]
fn an_offer_to_change_to_tls_is_ignored() {
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mesh = Mesh::to(&upstream).envoy(version).start();
        let request = "GET / HTTP/1.1\r\nhost: a\r\nupgrade: TLS/1.2\r\n\
                       connection: upgrade, close\r\n\r\n";
        let response = raw(mesh.address, request);
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        let headers = &upstream.call().event()["headers"];
        assert!(headers.get("upgrade").is_none(), "{headers}");
    });
}

/// Envoy obeys these headers of clients that it counts as internal. Together with a response that waits for a
/// hedged attempt they crash it, whatever filter holds the response.
#[test]
fn no_order_of_an_internal_client_crashes_envoy() {
    on_each_envoy(|version| {
        let upstream = Upstream::start(|call| {
            let response = ScriptedResponse::payload(&json!({ "statusCode": 200, "body": "fine" }));
            response.after(Duration::from_millis(150 + 200 * (call.index as u64 % 3)))
        });
        let mesh = Mesh::to(&upstream).envoy(version).edit(|config| {
            config.connection_manager()["internal_address_config"] = json!({
                "cidr_ranges": [{ "address_prefix": "127.0.0.0", "prefix_len": 8 }],
            });
        });
        let mesh = mesh.start();
        for retry_on in ["retriable-status-codes", "retriable-headers"] {
            for _ in 0..6 {
                let request = mesh
                    .post("/", "body")
                    .header("x-envoy-hedge-on-per-try-timeout", "true")
                    .header("x-envoy-upstream-rq-per-try-timeout-ms", "50")
                    .header("x-envoy-max-retries", "3")
                    .header("x-envoy-retry-on", retry_on)
                    .header("x-envoy-retriable-status-codes", "200")
                    .header("x-envoy-retriable-header-names", "content-type");
                let response = request.try_send();
                assert!(mesh.alive(), "{response:?}\n{}", mesh.log());
            }
        }
        assert_eq!(mesh.get("/").send().text(), "fine");
    });
}
