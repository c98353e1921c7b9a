//! Errors of the service that runs the function. The function itself has not run.

use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;

use crate::service::functions;

#[test]
fn each_error_has_its_own_status() {
    let table = [
        (400, "InvalidRequestContentException", 502),
        (403, "AccessDeniedException", 502),
        (404, "ResourceNotFoundException", 502),
        (408, "SnapStartTimeoutException", 504),
        (413, "RequestTooLargeException", 413),
        (429, "TooManyRequestsException", 429),
        (500, "ServiceException", 502),
        (502, "ResourceNotReadyException", 502),
        (503, "ServiceUnavailableException", 503),
        (504, "ServiceException", 504),
    ];
    let upstream = Upstream::start(move |call| {
        let (status, error_type, _) = table[call.index];
        ScriptedResponse::service_error(status, error_type)
    });
    let mesh = Mesh::to(&upstream).start();
    for (status, error_type, expected) in table {
        let response = mesh.get("/").send();
        assert_eq!(response.status, expected, "{status} {error_type}");
        assert_eq!(response.header("content-type"), "application/json");
        let body = response.json();
        assert!(body["message"].is_string(), "{body}");
        assert!(!response.text().contains("as scripted"), "{body}");
        assert!(
            !response.headers.contains_key("x-amzn-errortype"),
            "{response:?}"
        );
    }
}

#[test]
fn a_throttled_client_learns_when_to_retry() {
    let upstream = Upstream::start(|_| {
        ScriptedResponse::service_error(429, "TooManyRequestsException").header("retry-after", "7")
    });
    let response = Mesh::to(&upstream).start().get("/").send();
    assert_eq!(
        (response.status, response.header("retry-after")),
        (429, "7")
    );
    assert_eq!(response.json(), json!({ "message": "Too Many Requests" }));
}

#[test]
fn a_throttled_client_learns_when_to_retry_even_without_the_upstreams_header() {
    let bodies = [
        r#"{"retryAfterSeconds":"12"}"#,
        r#"{"retryAfterSeconds":5}"#,
        "no JSON",
    ];
    let upstream =
        Upstream::start(move |call| ScriptedResponse::bytes(bodies[call.index]).status(429));
    let mesh = Mesh::to(&upstream).start();
    for expected in ["12", "5", "1"] {
        let response = mesh.get("/").send();
        assert_eq!(
            (response.status, response.header("retry-after")),
            (429, expected)
        );
    }
}

#[test]
fn the_logs_name_the_function_the_request_and_the_error() {
    const ID: &str = "5a1f2b9e-8f2b-4f6e-9a51-2f0c9d1e7b3a";
    let upstream = Upstream::start(|call| match call.index {
        0 => ScriptedResponse::service_error(
            403,
            "AccessDeniedException:http://internal.amazon.com/",
        ),
        1 => ScriptedResponse::function_error("KeyError", "'id'"),
        _ => ScriptedResponse::payload(&json!({ "statusCode": 200 })),
    });
    let mesh = Mesh::to(&upstream).start();
    for error_type in [
        json!("AccessDeniedException"),
        json!("KeyError"),
        json!(null),
    ] {
        let response = mesh.get("/").send();
        let entry = mesh.access_log(&response);
        assert_eq!(entry["function"], "probe");
        assert_eq!(entry["lambda_request_id"], ID);
        assert_eq!(entry["error_type"], error_type);
    }
    let log = mesh.log_with("error_type=KeyError");
    let warned = |line: &&str| line.contains("probe: ") && line.contains(ID);
    assert_eq!(log.lines().filter(warned).count(), 2, "{log}");
    let shipped = format!("function=probe lambda_request_id={ID} error_type=AccessDeniedException");
    assert!(log.contains(&shipped), "{log}");
}

#[test]
fn an_attempt_that_succeeds_leaves_no_error_in_the_log() {
    let upstream = Upstream::start(|call| match call.index {
        0 => ScriptedResponse::service_error(503, "ServiceException"),
        _ => ScriptedResponse::payload(&json!({ "statusCode": 200 })),
    });
    let mut retried = route(&json!({ "prefix": "/" }), &json!({ "function": "probe" }));
    retried["route"]["retry_policy"] = json!({ "retry_on": "5xx" });
    let mesh = Mesh::to(&upstream).routes(&[retried]).start();
    let response = mesh.get("/").send();
    let entry = mesh.access_log(&response);
    assert_eq!(
        (&entry["attempts"], &entry["error_type"]),
        (&json!(2), &json!(""))
    );
}

#[test]
fn an_error_of_the_service_is_shown_if_the_route_exposes_errors() {
    let upstream =
        Upstream::start(|_| ScriptedResponse::service_error(404, "ResourceNotFoundException"));
    let shown = json!({ "function": "probe", "expose_errors": true });
    let shown = route(&json!({ "prefix": "/" }), &shown);
    let response = Mesh::to(&upstream).routes(&[shown]).start().get("/").send();
    assert_eq!(response.status, 502);
    let message = response.json()["message"].to_string();
    assert!(
        message.contains("404 (ResourceNotFoundException)"),
        "{message}"
    );
}

#[test]
fn a_function_that_the_invoker_does_not_know_is_502() {
    let invoker = Invoker::start(&functions());
    let mesh = Mesh::to(&invoker).plugin(&json!({ "function": "unknown" }));
    let mesh = mesh.edit(|config| {
        config.virtual_hosts()[0]["routes"][0]["metadata"] = json!({});
    });
    let response = mesh.start().get("/").send();
    assert_eq!(response.status, 502);
    assert_eq!(response.json(), json!({ "message": "Bad Gateway" }));
}
