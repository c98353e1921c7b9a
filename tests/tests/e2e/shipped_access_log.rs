//! The shipped configuration with an access log of the function, the invocation and the error.

use lambda_mesh_tests::client::Response;
use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::{Value, json};

/// Returns the line of the access log, on standard output, for the request of `response`.
fn logged(mesh: &Mesh, response: &Response) -> Value {
    let id = format!("\"request_id\":\"{}\"", response.header("x-request-id"));
    let log = mesh.log_with(&id);
    let line = log.lines().find(|line| line.contains(&id));
    serde_json::from_str(line.expect("the line")).expect("a line of JSON")
}

#[test]
fn a_line_names_the_function_its_invocation_and_the_error() {
    let upstream = Upstream::start(|call| match call.index {
        0 => ScriptedResponse::payload(&json!({ "statusCode": 201 })),
        1 => ScriptedResponse::function_error("KeyError", "no such key"),
        _ => ScriptedResponse::service_error(429, "TooManyRequestsException"),
    });
    let mesh = Mesh::shipped("access-log.yaml", &upstream).start();
    for (status, error_type) in [
        (201, ""),
        (500, "KeyError"),
        (429, "TooManyRequestsException"),
    ] {
        let response = mesh.post("/cart?x=1", "{}").host("shop.test").send();
        assert_eq!(response.status, status);
        let line = logged(&mesh, &response);
        assert_eq!(
            line["error_type"].as_str().unwrap_or_default(),
            error_type,
            "{line}"
        );
        assert_eq!(line["function"], "hello", "{line}");
        assert_eq!(
            line["invocation"], "5a1f2b9e-8f2b-4f6e-9a51-2f0c9d1e7b3a",
            "{line}"
        );
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["host"], "shop.test", "{line}");
        assert_eq!(line["method"], "POST", "{line}");
        assert_eq!(line["path"], "/cart?x=1", "{line}");
        assert_eq!(line["original"], "POST /cart?x=1", "{line}");
        assert_eq!(line["attempts"], 1, "{line}");
        assert!(
            line["duration_ms"].is_u64() && line["upstream_ms"].is_u64(),
            "{line}"
        );
    }
}
