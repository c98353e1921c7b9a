//! A function that fails: the client gets the format's own error, and the function ran once.

use std::fs;
use std::time::Duration;

use lambda_mesh_tests::client::Answer;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::upstream::{Reply, Upstream};
use serde_json::json;

use crate::parts::probe;

#[track_caller]
fn assert_hidden(answer: &Answer) {
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json(), json!({ "message": "Internal Server Error" }));
}

#[test]
fn errors_panics_exits_and_time_outs_are_500_and_the_next_call_is_served() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let noted = folder.path().join("calls");
    let invoker = Invoker::start(&json!({ "probe": { "local": {
        "command": [probe()],
        "timeout": "1s",
        "env": { "PROBE_CALLS": noted },
    } } }));
    let mesh = Mesh::to(&invoker).start();
    for path in ["/fail", "/panic", "/exit/3", "/exit/0", "/sleep/60000"] {
        assert_hidden(&mesh.get(path).send());
        assert_eq!(mesh.get("/echo").send().status, 200, "after {path}");
    }
    let calls = fs::read_to_string(noted).expect("the calls are noted");
    let failing: Vec<_> = calls.lines().filter(|path| *path != "/echo").collect();
    assert_eq!(
        failing,
        ["/fail", "/panic", "/exit/3", "/exit/0", "/sleep/60000"]
    );
}

#[test]
fn an_error_is_shown_where_the_route_says_so() {
    let upstream = Upstream::start(|_| Reply::function_error("KeyError", "'id'"));
    let shown = json!({ "function": "probe", "expose_errors": true });
    let routes = vec![
        route(&json!({ "prefix": "/shown" }), &shown),
        route(&json!({ "prefix": "/" }), &json!({ "function": "probe" })),
    ];
    let mesh = Mesh::to(&upstream).routes(&routes).start();
    assert_hidden(&mesh.get("/").send());
    let answer = mesh.get("/shown").send();
    assert_eq!(answer.status, 500);
    assert_eq!(
        answer.json(),
        json!({ "errorType": "KeyError", "errorMessage": "'id'" })
    );
}

#[test]
fn a_route_may_give_up_before_the_function_does() {
    let upstream = Upstream::start(|_| Reply::bytes("null").after(Duration::from_secs(20)));
    let mut hasty = route(&json!({ "prefix": "/" }), &json!({ "function": "probe" }));
    hasty["route"]["timeout"] = json!("0.2s");
    let mesh = Mesh::to(&upstream).routes(&[hasty]).start();
    let answer = mesh.get("/slow").send();
    assert_eq!(answer.status, 504);
    assert_eq!(mesh.access_log(&answer)["path"], "/slow");
}
