//! Request headers in the event.

use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::Upstream;
use serde_json::json;

use crate::service::service;

#[test]
fn repeated_headers_are_joined_by_a_comma_in_their_order() {
    let request = service().get("/echo").header("x-many", "one");
    let request = request.header("X-Many", "two, three").header("x-many", "");
    let event = request.send().json();
    assert_eq!(event["headers"]["x-many"], "one,two, three,");
}

#[test]
fn names_are_lower_case_and_values_are_kept() {
    let request = service().get("/echo").host("Shop.Test:8443");
    let request = request.header("X-Mixed-Case", r#"quote " backslash \ tab	end"#);
    let event = request.send().json();
    assert_eq!(
        event["headers"]["x-mixed-case"],
        "quote \" backslash \\ tab\tend"
    );
    assert_eq!(event["headers"]["host"], "Shop.Test:8443");
    assert_eq!(event["requestContext"]["domainName"], "Shop.Test");
}

#[test]
fn the_functions_event_has_the_authorization_that_the_upstream_request_lacks() {
    let request = service().get("/echo").header("authorization", "Bearer t");
    let event = request.send().json();
    assert_eq!(event["headers"]["authorization"], "Bearer t");
}

#[test]
fn a_value_that_is_not_utf8_does_not_harm_its_neighbours() {
    let service = service();
    let request = service.get("/echo").header("x-latin", b"caf\xe9 \xff\xfe");
    let response = request.header("x-after", "kept").send();
    assert_eq!(response.status, 200);
    let event = response.json();
    assert_eq!(event["headers"]["x-after"], "kept");
    let latin = event["headers"]["x-latin"].as_str().expect("a string");
    assert!(latin.starts_with("caf"), "{latin}");
    assert_eq!(service.get("/echo").send().status, 200);
}

#[test]
fn a_thousand_headers_and_60_kb_of_them_are_served_or_refused() {
    let service = service();
    let many = (0..1000).fold(service.get("/echo"), |request, number| {
        request.header(&format!("x-{number}"), "v")
    });
    let large = service.get("/echo").header("x-large", vec![b'x'; 61_440]);
    for request in [many, large] {
        let status = request.send().status;
        assert!([200, 400, 431].contains(&status), "{status}");
    }
    assert_eq!(service.get("/echo").send().status, 200);
}

/// Envoy accepts at most 1,024 headers at once, and drops all of them if there are more.
#[test]
fn more_headers_than_envoy_accepts_are_refused() {
    let headers: serde_json::Map<_, _> = (0..1022)
        .map(|number| (format!("x-{number}"), json!("v")))
        .collect();
    let payload = json!({ "statusCode": 200, "headers": headers });
    let upstream = Upstream::responding(payload);
    let mesh = Mesh::to(&upstream).edit(|config| {
        let options = json!({ "max_headers_count": 6000 });
        config.connection_manager()["common_http_protocol_options"] = options;
    });
    let mesh = mesh.start();
    assert_eq!(mesh.get("/").send().status, 500);
    mesh.log_with("it has more than 1000 headers");
    let many = (0..1100).fold(mesh.get("/"), |request, number| {
        request.header(&format!("x-{number}"), "v")
    });
    assert_eq!(many.send().status, 431);
    assert_eq!(upstream.calls().len(), 1);
}

#[test]
fn headers_that_envoy_adds_for_itself_are_not_in_the_event() {
    let event = service().get("/echo").send().json();
    let headers = event["headers"].as_object().expect("an object");
    let envoys = headers.keys().filter(|name| name.starts_with("x-envoy-"));
    assert_eq!(envoys.collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
}
