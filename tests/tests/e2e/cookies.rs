//! Several cookies, in both directions.

use serde_json::json;

use crate::service::{echo_payload, service};

#[test]
fn the_clients_cookies_are_a_list() {
    let request = service().get("/echo").header("cookie", "a=1; b=2");
    let event = request.header("cookie", "c=3").send().json();
    assert_eq!(event["cookies"], json!(["a=1", "b=2", "c=3"]));
    assert_eq!(event["headers"].get("cookie"), None);
}

#[test]
fn cookies_split_by_http2_are_the_same_list() {
    let request = service().get("/echo").http2().header("cookie", "a=1");
    let event = request.header("cookie", "b=2").send().json();
    assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
}

#[test]
fn each_cookie_of_the_function_is_a_header() {
    let first = "a=1; Path=/; HttpOnly";
    let second = "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT";
    let response =
        echo_payload(&json!({ "statusCode": 200, "cookies": [first, second], "body": "" }));
    assert_eq!(response.all("set-cookie"), [first, second]);
}
