//! The query string, which is in the event decoded and as sent.

use serde_json::{Value, json};

use crate::service::service;

#[test]
fn all_kinds_of_query_strings_reach_the_event() {
    let service = service();
    let cases = [
        ("/echo", "", Value::Null),
        ("/echo?", "", Value::Null),
        ("/echo?a=1&b=2", "a=1&b=2", json!({ "a": "1", "b": "2" })),
        (
            "/echo?a=1&b=2&a=3",
            "a=1&b=2&a=3",
            json!({ "a": "1,3", "b": "2" }),
        ),
        (
            "/echo?a=%20%2B+%E2%98%95",
            "a=%20%2B+%E2%98%95",
            json!({ "a": " + ☕" }),
        ),
        ("/echo?a&b=&=c", "a&b=&=c", json!({ "a": "", "b": "" })),
        ("/echo?a=b=c?d", "a=b=c?d", json!({ "a": "b=c?d" })),
    ];
    for (target, raw, decoded) in cases {
        let event = service.get(target).send().json();
        assert_eq!(event["rawQueryString"], raw, "{target}");
        let parameters = &event["queryStringParameters"];
        let decoded = decoded.as_object().into_iter().flatten();
        for (name, value) in decoded {
            assert_eq!(&parameters[name], value, "{target}: {name}");
        }
        if raw.is_empty() {
            assert_eq!(event.get("queryStringParameters"), None, "{target}");
        }
    }
}

#[test]
fn invalid_percent_encoding_is_served_or_refused() {
    let service = service();
    for target in [
        "/echo?a=%",
        "/echo?a=%zz&b=1",
        "/echo?a=%ff",
        "/%",
        "/%zz",
        "/%ff%fe",
    ] {
        let response = service.get(target).send();
        assert!(
            [200, 400].contains(&response.status),
            "{target}: {response:?}"
        );
        if response.status == 200 && target.contains("b=1") {
            assert_eq!(response.json()["queryStringParameters"]["b"], "1");
        }
        assert_eq!(service.get("/echo").send().status, 200, "after {target}");
    }
}
