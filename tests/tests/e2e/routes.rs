//! Routes that match by path. The filter never makes Envoy select another route.

use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::upstream::Upstream;
use serde_json::json;

#[test]
fn a_path_selects_the_function_and_its_prefix_may_be_stripped() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let routes = vec![
        route(
            &json!({ "path_separated_prefix": "/orders" }),
            &json!({ "function": "orders", "strip_prefix": "/orders" }),
        ),
        route(
            &json!({ "path": "/exact" }),
            &json!({ "function": "exact" }),
        ),
        route(
            &json!({ "safe_regex": { "regex": "/v[0-9]+/.*" } }),
            &json!({ "function": "versions:live" }),
        ),
    ];
    let mesh = Mesh::to(&upstream).routes(&routes).start();
    let cases = [
        ("/orders/7?x=1", "orders", "/7"),
        ("/orders", "orders", "/"),
        ("/orders/", "orders", "/"),
        ("/orders?x=1", "orders", "/"),
        ("/exact", "exact", "/exact"),
        ("/v2/items", "versions%3Alive", "/v2/items"),
    ];
    for (target, function, path) in cases {
        assert_eq!(mesh.get(target).send().status, 200, "{target}");
        let calls = upstream.calls();
        let call = calls.last().expect("a call");
        assert_eq!(
            call.path,
            format!("/2015-03-31/functions/{function}/invocations")
        );
        assert_eq!(call.event()["rawPath"], path, "{target}");
        assert_eq!(
            call.event()["requestContext"]["http"]["path"],
            path,
            "{target}"
        );
    }
    assert_eq!(mesh.get("/ordersX").send().status, 404);
    assert_eq!(upstream.calls().len(), cases.len());
}

#[test]
fn a_qualifier_is_a_query_parameter_of_the_invocation() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let lambda = json!({ "function": "orders", "qualifier": "$LATEST" });
    let routes = vec![route(&json!({ "prefix": "/" }), &lambda)];
    let mesh = Mesh::to(&upstream).routes(&routes).start();
    assert_eq!(mesh.get("/").send().status, 200);
    let path = upstream.call().path;
    assert_eq!(
        path,
        "/2015-03-31/functions/orders/invocations?Qualifier=%24LATEST"
    );
}

#[test]
fn the_function_gets_the_path_that_the_route_rewrites() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mut rewritten = route(
        &json!({ "prefix": "/old/" }),
        &json!({ "function": "probe" }),
    );
    rewritten["route"]["prefix_rewrite"] = json!("/new/");
    rewritten["request_headers_to_add"] =
        json!([{ "header": { "key": "x-route", "value": "added" } }]);
    let mesh = Mesh::to(&upstream).routes(&[rewritten]).start();
    assert_eq!(mesh.get("/old/page").send().status, 200);
    let event = upstream.call().event();
    assert_eq!(event["rawPath"], "/new/page");
    assert_eq!(event["headers"]["x-route"], "added");
    assert_eq!(event["headers"].get("x-envoy-original-path"), None);
}
