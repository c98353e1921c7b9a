//! `sidecar-invoker event` prints the event that the function gets through Envoy.

use lambda_mesh_tests::generated::{sidecar_invoker, write_file};
use lambda_mesh_tests::invoker::Invoker;
use serde_json::{Value, json};
use xtask::envoy::NEWEST;

use crate::envoy_config::generated;
use crate::service::functions;

/// The members that differ from request to request. For a client on its own machine, Envoy adds an address of the
/// machine to `x-forwarded-for`.
const VOLATILE: [&str; 9] = [
    "requestId",
    "extendedRequestId",
    "time",
    "timeEpoch",
    "requestTime",
    "requestTimeEpoch",
    "x-request-id",
    "x-amzn-trace-id",
    "x-forwarded-for",
];

/// Replaces the values of members that differ from request to request.
fn settle(event: &mut Value) {
    match event {
        Value::Object(members) => {
            for (name, member) in members {
                if VOLATILE
                    .iter()
                    .any(|volatile| name.eq_ignore_ascii_case(volatile))
                {
                    *member = Value::Null;
                }
                settle(member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        _ => {}
    }
}

#[test]
fn the_printed_event_is_the_one_that_the_function_gets() {
    let payloads = [
        "apigateway-v2",
        "apigateway-v1",
        "alb",
        "alb-multi-value",
        "vpc-lattice-v1",
        "vpc-lattice-v2",
        "function-url",
        "envoy",
    ];
    let mut routes: Vec<Value> = payloads
        .iter()
        .map(|payload| {
            json!({ "host": format!("{payload}.test"), "function": "probe", "payload": payload })
        })
        .collect();
    routes.push(json!({
        "host": "rest.test", "path": "/v1/pets/{id}", "method": "POST", "function": "probe",
        "payload": "apigateway-v1", "strip_prefix": "/v1", "stage": "dev"
    }));
    let hosts = payloads.iter().map(|payload| format!("{payload}.test"));
    let hosts: Vec<String> = hosts.chain(["rest.test".to_owned()]).collect();
    let routes = Value::from(routes);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = json!({ "functions": functions(), "routes": routes }).to_string();
    let config = write_file(folder.path(), "invoker.yaml", &config);
    let invoker = Invoker::start(&functions());
    let envoy = generated(NEWEST, &functions(), &routes, &invoker);
    for host in &hosts {
        for (target, body) in [
            ("/v1/pets/7?a=1&a=2&b=%20x", "{\"a\":1}"),
            ("/v1/pets/8", "a=b"),
        ] {
            let content_type = match body.starts_with('{') {
                true => "application/json",
                false => "application/x-www-form-urlencoded",
            };
            let request = envoy.request("POST", target).host(host).body(body);
            let request = request.header("content-type", content_type);
            let request = request.header("x-mine", "one").header("cookie", "c=d; e=f");
            let request = request.header("accept", "*/*").header("user-agent", "me");
            let mut sent = request.send().json();
            let output = sidecar_invoker(&[
                "event",
                "probe",
                "--config",
                &config,
                "--host",
                host,
                "--path",
                target,
                "-d",
                body,
                "-H",
                "x-mine: one",
                "-H",
                "cookie: c=d; e=f",
                "-H",
                "user-agent: me",
            ]);
            assert_eq!(output.status, Some(0), "{}", output.stderr);
            let mut printed = serde_json::from_str(&output.stdout).expect("JSON");
            settle(&mut sent);
            settle(&mut printed);
            assert_eq!(printed, sent, "{host}{target}");
        }
    }
}
