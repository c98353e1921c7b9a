//! The levels of a function's settings: route, virtual host, cluster, plugin.

use lambda_mesh_tests::mesh::{Mesh, metadata, route};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::Upstream;
use serde_json::{Value, json};

#[test]
fn the_nearest_level_wins_for_each_key() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let settings =
        |level: &str, keys: &[&str]| -> Value { keys.iter().map(|key| (*key, level)).collect() };
    let at_route = settings("route", &["function"]);
    let at_host = settings("host", &["function", "stage"]);
    let at_cluster = settings("cluster", &["function", "stage", "api_id"]);
    let at_plugin = settings("plugin", &["function", "stage", "api_id", "account_id"]);
    let mut bare = route(&json!({ "prefix": "/bare" }), &json!({}));
    bare["metadata"] = json!({});
    let mesh = Mesh::to(&upstream)
        .plugin(&at_plugin)
        .virtual_hosts(&[
            json!({
                "name": "near",
                "domains": ["near.test"],
                "metadata": metadata(&at_host),
                "routes": [bare, route(&json!({ "prefix": "/" }), &at_route)],
            }),
            json!({ "name": "far", "domains": ["*"], "routes": [bare] }),
        ])
        .edit(|config| config.cluster()["metadata"] = metadata(&at_cluster))
        .start();
    let cases = [
        ("near.test", "/", ["route", "host", "cluster", "plugin"]),
        ("near.test", "/bare", ["host", "host", "cluster", "plugin"]),
        (
            "far.test",
            "/bare",
            ["cluster", "cluster", "cluster", "plugin"],
        ),
    ];
    for (host, path, [function, stage, api_id, account_id]) in cases {
        assert_eq!(mesh.get(path).host(host).send().status, 200);
        let calls = upstream.calls();
        let call = calls.last().expect("a call");
        assert_eq!(
            call.path,
            format!("/2015-03-31/functions/{function}/invocations")
        );
        let context = &call.event()["requestContext"];
        assert_eq!(context["stage"], stage, "{host}{path}");
        assert_eq!(context["apiId"], api_id, "{host}{path}");
        assert_eq!(context["accountId"], account_id, "{host}{path}");
    }
}

#[test]
fn a_mistake_fails_only_its_route_and_is_logged_once_with_its_key() {
    let mistakes = [
        ("functoin", json!({ "functoin": "probe" })),
        (
            "payload",
            json!({ "function": "probe", "payload": "apigateway" }),
        ),
        (
            "max_request_bytes",
            json!({ "function": "probe", "max_request_bytes": "many" }),
        ),
        (
            "expose_errors",
            json!({ "function": "probe", "expose_errors": 1 }),
        ),
        (
            "invocation",
            json!({ "function": "probe", "invocation": "stream" }),
        ),
        (
            "response",
            json!({ "function": "probe", "invocation": "event", "response": "raw" }),
        ),
        (
            "resource",
            json!({ "function": "probe", "resource": "no-slash" }),
        ),
        (
            "qualifier",
            json!({ "function": "probe:live", "qualifier": "live" }),
        ),
        (
            "strip_prefix",
            json!({ "function": "probe", "strip_prefix": "no-slash" }),
        ),
    ];
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mut routes: Vec<_> = mistakes
        .iter()
        .map(|(key, lambda)| route(&json!({ "path": format!("/{key}") }), lambda))
        .collect();
    routes.push(route(
        &json!({ "prefix": "/" }),
        &json!({ "function": "probe" }),
    ));
    let mesh = Mesh::to(&upstream).routes(&routes).keep_wasm().start();
    for (key, _) in &mistakes {
        for _ in 0..3 {
            let response = mesh.get(format!("/{key}?token=t0p")).send();
            assert_eq!(response.status, 500, "{key}");
            assert_eq!(
                response.json(),
                json!({ "message": "Internal Server Error" })
            );
        }
        assert_eq!(mesh.get("/").send().status, 200, "after {key}");
    }
    assert_eq!(upstream.calls().len(), mistakes.len());
    for (key, _) in &mistakes {
        let named = format!("`{key}`");
        let log = mesh.log_with(&named);
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&named)).collect();
        assert_eq!(lines.len(), 1, "{key}: {lines:#?}");
        // Secrets stand in queries.
        assert!(lines[0].contains(&format!("/{key}: ")), "{lines:#?}");
        assert!(!lines[0].contains("t0p"), "{lines:#?}");
    }
}

#[test]
fn a_route_without_a_function_logs_the_missing_key() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).routes(&[route(&json!({ "prefix": "/" }), &json!({}))]);
    let mesh = mesh.start();
    assert_eq!(mesh.get("/").send().status, 500);
    assert_eq!(upstream.calls().len(), 0);
    mesh.log_with("`function`: required");
}
