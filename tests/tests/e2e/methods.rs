//! Every method reaches the function, with and without a body.

use lambda_mesh_tests::client::raw;

use crate::service::service;

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"];

#[test]
fn a_request_without_a_body_makes_an_event_without_one() {
    let service = service();
    for method in METHODS {
        let response = service.request(method, "/echo").send();
        assert_eq!(response.status, 200, "{method}");
        let event = response.json();
        assert_eq!(event["requestContext"]["http"]["method"], method);
        assert_eq!(event.get("body"), None, "{method}");
        assert_eq!(event["isBase64Encoded"], false, "{method}");
    }
}

#[test]
fn a_body_reaches_the_function_whatever_the_method() {
    let service = service();
    for method in METHODS {
        let request = service.request(method, "/echo").body(r#"{"a":"☕"}"#);
        let event = request
            .header("content-type", "application/json")
            .send()
            .json();
        assert_eq!(event["requestContext"]["http"]["method"], method);
        assert_eq!(event["body"], r#"{"a":"☕"}"#, "{method}");
        assert_eq!(event["isBase64Encoded"], false, "{method}");
    }
}

#[test]
fn a_response_to_head_has_no_body_on_the_wire() {
    let head = "HEAD /text/5 HTTP/1.1\r\nhost: service.test\r\nconnection: close\r\n\r\n";
    let response = raw(service().address, head);
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\n"), "{response}");
}

#[test]
fn a_chunked_body_is_one_event() {
    let response = raw(
        service().address,
        "POST /echo HTTP/1.1\r\nhost: service.test\r\ncontent-type: text/plain\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\n\r\n\
         3\r\none\r\n4\r\n two\r\n0\r\n\r\n",
    );
    assert!(response.contains(r#""body":"one two""#), "{response}");
}
