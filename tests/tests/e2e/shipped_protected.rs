//! The shipped configuration of a function behind Envoy's checks, limits and retries.

use std::fs;

use lambda_mesh_tests::client::{Request, send_all};
use lambda_mesh_tests::mesh::{Builder, Mesh, on_each_envoy};
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;
use xtask::workspace_root;

const HOST: &str = "orders.example.com";

fn shipped(upstream: &Upstream) -> Builder {
    let keys = workspace_root().join("tests/fixtures/jwt/jwks.json");
    Mesh::shipped("protected.yaml", upstream).edit(|config| {
        let provider = "/http_filters/0/typed_config/providers/issuer/local_jwks/filename";
        let filename = config.connection_manager().pointer_mut(provider);
        *filename.expect("the provider's keys") = json!(keys);
    })
}

fn mesh(upstream: &Upstream) -> Mesh {
    shipped(upstream).start()
}

/// Returns the token in `tests/fixtures/jwt/NAME.jwt`.
fn token(name: &str) -> String {
    let path = workspace_root().join(format!("tests/fixtures/jwt/{name}.jwt"));
    let token = fs::read_to_string(path).expect("a fixture");
    format!("Bearer {}", token.trim())
}

fn get(mesh: &Mesh) -> Request {
    let request = mesh.get("/list").host(HOST);
    request.header("authorization", token("valid"))
}

#[test]
fn only_a_valid_token_for_this_audience_reaches_the_function() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = mesh(&upstream);
    assert_eq!(mesh.get("/list").host(HOST).send().status, 401);
    for (name, status) in [("expired", 401), ("other-audience", 403)] {
        let request = mesh.get("/list").host(HOST);
        let response = request.header("authorization", token(name)).send();
        assert_eq!(response.status, status, "{name}");
    }
    assert_eq!(upstream.calls().len(), 0);

    assert_eq!(get(&mesh).send().status, 200);
    let call = upstream.call();
    let path = "/2015-03-31/functions/orders/invocations?Qualifier=live";
    assert_eq!(call.path, path);
    let claims = &call.event()["requestContext"]["authorizer"]["jwt"]["claims"];
    assert_eq!(claims["sub"], "user-1");
    assert_eq!(call.headers.get("authorization"), None);
}

#[test]
fn a_throttled_call_is_retried_and_a_failed_function_is_not() {
    let upstream = Upstream::start(|call| match call.index {
        0 => ScriptedResponse::service_error(429, "TooManyRequestsException")
            .header("retry-after", "1"),
        1 => ScriptedResponse::payload(&json!({ "statusCode": 200 })),
        2 => ScriptedResponse::function_error("Error", "half done"),
        _ => ScriptedResponse::payload(&json!({ "statusCode": 503 })),
    });
    let mesh = mesh(&upstream);
    let response = get(&mesh).send();
    assert_eq!(response.status, 200);
    assert_eq!(mesh.access_log(&response)["attempts"], 2);
    let calls = upstream.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].body, calls[1].body);
    for status in [500, 503] {
        assert_eq!(get(&mesh).send().status, status);
    }
    assert_eq!(upstream.calls().len(), 4);
}

#[test]
fn a_rate_limited_request_costs_no_invocation() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = mesh(&upstream);
    let responses = send_all((0..300).map(|_| get(&mesh)), 32);
    let statuses: Vec<_> = responses
        .into_iter()
        .map(|response| response.expect("a response").status)
        .collect();
    let served = statuses.iter().filter(|status| **status == 200).count();
    let limited = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!(served + limited, 300, "{statuses:?}");
    // To serve all 300 would take 28 s.
    assert!(
        served >= 20 && limited > 0,
        "{served} served, {limited} limited"
    );
    assert_eq!(upstream.calls().len(), served);
}

#[test]
fn a_client_that_is_too_fast_takes_nothing_from_others() {
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mesh = shipped(&upstream).envoy(version).edit(|config| {
            // A trusted proxy in front of Envoy reports the clients' addresses.
            config.connection_manager()["xff_num_trusted_hops"] = json!(1);
        });
        let mesh = mesh.start();
        let from = |address: &str| get(&mesh).header("x-forwarded-for", address);
        let greedy = send_all((0..100).map(|_| from("192.0.2.1")), 16);
        let greedy = greedy
            .into_iter()
            .map(|response| response.expect("a response").status);
        assert!(greedy.filter(|status| *status == 429).count() > 0);
        for number in 2..30 {
            let address = format!("192.0.2.{number}");
            assert_eq!(from(&address).send().status, 200, "{address}");
        }
    });
}
