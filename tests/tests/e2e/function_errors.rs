//! If a function fails, the client gets the format's own error, and the function has run once.

use std::fs;
use std::time::Duration;

use lambda_mesh_tests::client::Response;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;

use crate::service::probe;

#[track_caller]
fn assert_hidden(response: &Response) {
    assert_eq!(response.status, 500, "{response:?}");
    assert_eq!(response.header("content-type"), "application/json");
    assert_eq!(
        response.json(),
        json!({ "message": "Internal Server Error" })
    );
}

#[test]
fn errors_panics_exits_and_timeouts_are_500_and_the_next_call_is_served() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recorded = folder.path().join("calls");
    let invoker = Invoker::start(&json!({ "probe": { "local": {
        "command": [probe()],
        "timeout": "1s",
        "env": { "PROBE_CALLS": recorded },
    } } }));
    let mesh = Mesh::to(&invoker).start();
    for path in ["/fail", "/panic", "/exit/3", "/exit/0", "/sleep/60000"] {
        assert_hidden(&mesh.get(path).send());
        assert_eq!(mesh.get("/echo").send().status, 200, "after {path}");
    }
    let calls = fs::read_to_string(recorded).expect("the recorded calls");
    let failing: Vec<_> = calls.lines().filter(|path| *path != "/echo").collect();
    assert_eq!(
        failing,
        ["/fail", "/panic", "/exit/3", "/exit/0", "/sleep/60000"]
    );
}

#[test]
fn an_error_is_shown_if_the_route_exposes_errors() {
    let upstream = Upstream::start(|_| ScriptedResponse::function_error("KeyError", "'id'"));
    let shown = json!({ "function": "probe", "expose_errors": true });
    let routes = vec![
        route(&json!({ "prefix": "/shown" }), &shown),
        route(&json!({ "prefix": "/" }), &json!({ "function": "probe" })),
    ];
    let mesh = Mesh::to(&upstream).routes(&routes).start();
    assert_hidden(&mesh.get("/").send());
    let response = mesh.get("/shown").send();
    assert_eq!(response.status, 500);
    assert_eq!(
        response.json(),
        json!({ "errorType": "KeyError", "errorMessage": "'id'" })
    );
}

#[test]
fn a_route_may_time_out_before_the_function_does() {
    let upstream =
        Upstream::start(|_| ScriptedResponse::bytes("null").after(Duration::from_secs(20)));
    let mut impatient = route(&json!({ "prefix": "/" }), &json!({ "function": "probe" }));
    impatient["route"]["timeout"] = json!("0.2s");
    let mesh = Mesh::to(&upstream).routes(&[impatient]).start();
    let response = mesh.get("/slow").send();
    assert_eq!(response.status, 504);
    assert_eq!(mesh.access_log(&response)["path"], "/slow");
}
