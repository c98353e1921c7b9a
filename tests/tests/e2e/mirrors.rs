//! A route that mirrors requests to a function.

use lambda_mesh_tests::mesh::{Mesh, on_each_envoy, route};
use lambda_mesh_tests::upstream::Upstream;
use serde_json::json;

/// A mirrored request has no connection of its own, and Envoy crashes if a filter asks for its address.
#[test]
fn a_mirrored_request_is_converted_too() {
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mut mirrored = route(&json!({ "prefix": "/" }), &json!({}));
        mirrored["route"]["request_mirror_policies"] = json!([{ "cluster": "invoker" }]);
        // A mirrored request has no route, so the plugin or the cluster names the function.
        let mesh = Mesh::to(&upstream)
            .plugin(&json!({ "function": "probe" }))
            .routes(&[mirrored])
            .envoy(version)
            .start();
        let request = mesh
            .post("/cart?x=1", "a body")
            .header("content-type", "text/plain");
        assert_eq!(request.send().status, 200);
        let calls = lambda_mesh_tests::eventually("both calls", || {
            let calls = upstream.calls();
            (calls.len() == 2).then_some(calls)
        });
        for call in calls {
            assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
            let event = call.event();
            assert_eq!(event["rawPath"], "/cart");
            assert_eq!(event["body"], "a body");
        }
    });
}
