//! AWS's emulator, which crashes if two invocations overlap.

use std::collections::HashSet;

use lambda_mesh_tests::client::send_all;
use lambda_mesh_tests::emulator::Emulator;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::shared::Component;
use serde_json::json;

use crate::service::probe;

#[test]
fn an_emulator_behind_the_invoker_survives_many_callers_and_serves_each() {
    let name = "an_emulator_behind_the_invoker_survives_many_callers_and_serves_each";
    let Some(emulator) = Emulator::start(name, probe()) else {
        return;
    };
    let url = format!("http://{}", emulator.address);
    let invoker = Invoker::start(&json!({ "probe": { "rie": url } }));
    let mesh = Mesh::to(&invoker).workers(2).start();
    let requests = (0..200).map(|number| mesh.get(format!("/echo?call={number}")));
    let responses = send_all(requests, 32);
    let calls: HashSet<_> = responses
        .into_iter()
        .map(|response| {
            let response = response.expect("a response");
            assert_eq!(response.status, 200, "{response:?}");
            response.json()["rawQueryString"].to_string()
        })
        .collect();
    assert_eq!(calls.len(), 200);
    assert!(emulator.alive());
}

#[test]
fn envoy_calls_an_emulator_directly() {
    let Some(emulator) = Emulator::start("envoy_calls_an_emulator_directly", probe()) else {
        return;
    };
    // The emulator knows its function only by this name.
    let lambda = json!({ "function": "function" });
    let routes = vec![route(&json!({ "prefix": "/" }), &lambda)];
    let mesh = Mesh::to(&emulator)
        .events_in_bodies()
        .routes(&routes)
        .start();
    let event = mesh.get("/echo?x=1").send().json();
    assert_eq!(event["rawQueryString"], "x=1");
    let response = mesh
        .post("/reply", r#"{"statusCode":418,"body":"short"}"#)
        .send();
    assert_eq!((response.status, response.text()), (418, "short"));
    let response = mesh.get("/fail").send();
    assert_eq!(response.status, 500);
    assert_eq!(
        response.json(),
        json!({ "message": "Internal Server Error" })
    );
    assert!(emulator.alive());
}
