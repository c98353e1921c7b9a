//! Cookies, several each way.

use serde_json::json;

use crate::parts::{reply, service};

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
fn the_functions_cookies_are_a_header_each() {
    let first = "a=1; Path=/; HttpOnly";
    let second = "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT";
    let answer = reply(&json!({ "statusCode": 200, "cookies": [first, second], "body": "" }));
    assert_eq!(answer.all("set-cookie"), [first, second]);
}
