//! Errors of the service that runs the function, which the function never saw.

use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::Mesh;
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
