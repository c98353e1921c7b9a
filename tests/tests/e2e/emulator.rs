//! AWS's emulator, which crashes when two invocations overlap.

use std::collections::HashSet;

use lambda_mesh_tests::client::send_all;
use lambda_mesh_tests::emulator::Emulator;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::shared::Part;
use serde_json::json;

use crate::parts::probe;

#[test]
fn it_survives_many_callers_behind_the_invoker_and_none_is_lost() {
    let name = "it_survives_many_callers_behind_the_invoker_and_none_is_lost";
    let Some(emulator) = Emulator::start(name, probe()) else {
        return;
    };
    let url = format!("http://{}", emulator.address);
    let invoker = Invoker::start(&json!({ "probe": { "rie": url } }));
    let mesh = Mesh::to(&invoker).workers(2).start();
    let requests = (0..200).map(|number| mesh.get(format!("/echo?call={number}")));
    let answers = send_all(requests, 32);
    let calls: HashSet<_> = answers
        .into_iter()
        .map(|answer| {
            let answer = answer.expect("an answer");
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()["rawQueryString"].to_string()
        })
        .collect();
    assert_eq!(calls.len(), 200);
    assert!(emulator.alive());
}

#[test]
fn envoy_calls_it_directly() {
    let Some(emulator) = Emulator::start("envoy_calls_it_directly", probe()) else {
        return;
    };
    // It knows its function by this name alone.
    let lambda = json!({ "function": "function" });
    let routes = vec![route(&json!({ "prefix": "/" }), &lambda)];
    let mesh = Mesh::to(&emulator).with_room().routes(&routes).start();
    let event = mesh.get("/echo?x=1").send().json();
    assert_eq!(event["rawQueryString"], "x=1");
    let answer = mesh
        .post("/reply", r#"{"statusCode":418,"body":"short"}"#)
        .send();
    assert_eq!((answer.status, answer.text()), (418, "short"));
    let answer = mesh.get("/fail").send();
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json(), json!({ "message": "Internal Server Error" }));
    assert!(emulator.alive());
}
