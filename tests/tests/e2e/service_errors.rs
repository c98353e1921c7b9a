//! Errors of the service that runs the function, which the function never saw.

use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::shared::Part;
use lambda_mesh_tests::upstream::{Reply, Upstream};
use serde_json::json;

use crate::parts::functions;

#[test]
fn each_error_has_a_status_that_says_what_to_do() {
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
        Reply::service_error(status, error_type)
    });
    let mesh = Mesh::to(&upstream).start();
    for (status, error_type, expected) in table {
        let answer = mesh.get("/").send();
        assert_eq!(answer.status, expected, "{status} {error_type}");
        assert_eq!(answer.header("content-type"), "application/json");
        let body = answer.json();
        assert!(body["message"].is_string(), "{body}");
        assert!(!answer.text().contains("as scripted"), "{body}");
        assert!(
            !answer.headers.contains_key("x-amzn-errortype"),
            "{answer:?}"
        );
    }
}

#[test]
fn a_throttled_client_is_told_when_to_try_again() {
    let upstream = Upstream::start(|_| {
        Reply::service_error(429, "TooManyRequestsException").header("retry-after", "7")
    });
    let answer = Mesh::to(&upstream).start().get("/").send();
    assert_eq!((answer.status, answer.header("retry-after")), (429, "7"));
    assert_eq!(answer.json(), json!({ "message": "Too Many Requests" }));
}

#[test]
fn a_throttled_client_is_told_even_if_the_upstream_does_not_say() {
    let bodies = [
        r#"{"retryAfterSeconds":"12"}"#,
        r#"{"retryAfterSeconds":5}"#,
        "no JSON",
    ];
    let upstream = Upstream::start(move |call| Reply::bytes(bodies[call.index]).status(429));
    let mesh = Mesh::to(&upstream).start();
    for expected in ["12", "5", "1"] {
        let answer = mesh.get("/").send();
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (429, expected)
        );
    }
}

#[test]
fn the_logs_name_the_function_the_request_and_the_error() {
    const ID: &str = "5a1f2b9e-8f2b-4f6e-9a51-2f0c9d1e7b3a";
    let upstream = Upstream::start(|call| match call.index {
        0 => Reply::service_error(403, "AccessDeniedException:http://internal.amazon.com/"),
        1 => Reply::function_error("KeyError", "'id'"),
        _ => Reply::payload(&json!({ "statusCode": 200 })),
    });
    let mesh = Mesh::to(&upstream).start();
    for error_type in [
        json!("AccessDeniedException"),
        json!("KeyError"),
        json!(null),
    ] {
        let answer = mesh.get("/").send();
        let entry = mesh.access_log(&answer);
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
fn a_try_that_succeeds_leaves_no_error_in_the_log() {
    let upstream = Upstream::start(|call| match call.index {
        0 => Reply::service_error(503, "ServiceException"),
        _ => Reply::payload(&json!({ "statusCode": 200 })),
    });
    let mut retried = route(&json!({ "prefix": "/" }), &json!({ "function": "probe" }));
    retried["route"]["retry_policy"] = json!({ "retry_on": "5xx" });
    let mesh = Mesh::to(&upstream).routes(&[retried]).start();
    let answer = mesh.get("/").send();
    let entry = mesh.access_log(&answer);
    assert_eq!(
        (&entry["attempts"], &entry["error_type"]),
        (&json!(2), &json!(""))
    );
}

#[test]
fn an_error_of_the_service_is_shown_where_the_route_says_so() {
    let upstream = Upstream::start(|_| Reply::service_error(404, "ResourceNotFoundException"));
    let shown = json!({ "function": "probe", "expose_errors": true });
    let shown = route(&json!({ "prefix": "/" }), &shown);
    let answer = Mesh::to(&upstream).routes(&[shown]).start().get("/").send();
    assert_eq!(answer.status, 502);
    let message = answer.json()["message"].to_string();
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
    let answer = mesh.start().get("/").send();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json(), json!({ "message": "Bad Gateway" }));
}
