//! Browsers as clients of Envoy. The invoker refuses the requests of web pages, but not these.

use serde_json::json;

use crate::service::service;

#[test]
fn a_browser_calls_a_function_through_envoy() {
    let service = service();
    for (method, body) in [("GET", ""), ("DELETE", ""), ("OPTIONS", ""), ("POST", "{}")] {
        let request = match body {
            "" => service.request(method, "/event"),
            body => service.post("/event", body),
        };
        let response = request
            .host("shop.example.com")
            .header("origin", "https://elsewhere.example")
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "cors")
            .header("connection", "keep-alive")
            .send();
        assert_eq!(response.status, 200, "{method}: {}", response.text());
        let event = response.json();
        assert_eq!(
            event["headers"]["origin"],
            json!("https://elsewhere.example")
        );
        assert_eq!(event["headers"]["host"], json!("shop.example.com"));
    }
}
