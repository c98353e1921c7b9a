//! The headers of a function reach the client, except for those that would split or forge the response.

use hyper::header::HeaderName;
use lambda_mesh_tests::client::raw;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::{Value, json};

use crate::service::{echo_payload, functions, service};

fn with_headers(headers: &Value) -> Value {
    json!({ "statusCode": 200, "headers": headers, "body": "four" })
}

#[test]
fn values_other_than_strings_are_written_as_in_json() {
    let headers = json!({ "x-number": 7, "x-flag": true, "X-Text": "a, b", "x-null": null });
    let response = echo_payload(&with_headers(&headers));
    assert_eq!(response.header("x-number"), "7");
    assert_eq!(response.header("x-flag"), "true");
    assert_eq!(response.header("x-text"), "a, b");
    assert_eq!(response.all("x-null"), Vec::<&str>::new());
}

#[test]
fn a_value_outside_ascii_is_utf8() {
    let response = echo_payload(&with_headers(&json!({ "x-name": "café" })));
    assert_eq!(response.headers["x-name"], "café".as_bytes());
}

#[test]
fn a_wrong_length_never_reaches_the_client() {
    let headers = json!({ "content-length": "9999", "Content-Length": "1" });
    let response = echo_payload(&with_headers(&headers));
    assert_eq!(response.header("content-length"), "4");
    assert_eq!(response.text(), "four");
}

#[test]
fn headers_of_the_hop_and_of_envoy_never_reach_the_client() {
    let names = [
        "connection",
        "transfer-encoding",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
    ];
    let names = names.into_iter().chain(["x-envoy-upstream-service-time"]);
    let headers: Value = names.clone().map(|name| (name, "forged")).collect();
    let response = echo_payload(&with_headers(&headers));
    assert_eq!(response.text(), "four");
    for name in names {
        assert!(!response.all(name).contains(&"forged"), "{name}");
    }
}

#[test]
fn a_header_that_could_split_the_response_never_reaches_the_client() {
    let service = service();
    let attacks = [
        json!({ "x-bad": "a\r\nx-injected: yes" }),
        json!({ "x-bad": "a\nx-injected: yes" }),
        json!({ "x-bad": "a\u{0}b" }),
        json!({ "x-bad\r\nx-injected": "yes" }),
        json!({ "x-bad: yes\r\nx-injected": "yes" }),
        json!({ "": "yes" }),
        json!({ "x bad": "yes" }),
        json!({ ":status": "201" }),
        json!({ "x-bäd": "yes" }),
    ];
    for headers in attacks {
        let payload = with_headers(&headers).to_string();
        let response = raw(
            service.address,
            format!(
                "POST /reply HTTP/1.1\r\nhost: service.test\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{payload}",
                payload.len()
            ),
        );
        assert!(
            response.starts_with("HTTP/1.1 500 "),
            "{payload}: {response}"
        );
        assert!(!response.contains("x-injected"), "{payload}: {response}");
        assert!(
            response.ends_with(r#"{"message":"Internal Server Error"}"#),
            "{response}"
        );
    }
    let attack = json!({ "statusCode": 200, "cookies": ["a=1\r\nx-injected: yes"] });
    let response = echo_payload(&attack);
    assert_eq!(
        (response.status, response.all("x-injected")),
        (500, Vec::new())
    );
}

#[test]
fn an_upstream_header_that_is_not_utf8_is_harmless() {
    let upstream = Upstream::start(|_| {
        ScriptedResponse::payload(&json!({ "statusCode": 201, "body": "ok" }))
            .header("x-odd", b"\xe9\xff")
    });
    let mesh = Mesh::to(&upstream).start();
    for _ in 0..2 {
        let response = mesh.get("/").send();
        assert_eq!((response.status, response.text()), (201, "ok"));
    }
}

#[test]
fn headers_of_the_invoke_api_never_reach_the_client() {
    let response = service().get("/echo").send();
    let names = response.headers.keys().map(HeaderName::as_str);
    let internal: Vec<_> = names.filter(|name| name.starts_with("x-amz")).collect();
    assert_eq!(internal, Vec::<&str>::new());
}

/// As recorded on AWS: a client finds the invocation in the function's log by what it got.
#[test]
fn the_client_gets_the_ids_of_its_invocation() {
    let invoker = Invoker::start(&functions());
    let lambda = |settings: Value| {
        let mut lambda = json!({ "function": "probe", "payload": "function-url" });
        for (key, value) in settings.as_object().into_iter().flatten() {
            lambda[key] = value.clone();
        }
        lambda
    };
    let mesh = Mesh::to(&invoker).routes(&[
        route(
            &json!({ "prefix": "/hidden" }),
            &lambda(json!({ "expose_ids": false })),
        ),
        route(&json!({ "prefix": "/" }), &lambda(json!({}))),
    ]);
    let mesh = mesh.start();
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0";
    for path in ["/echo", "/fail"] {
        let response = mesh.get(path).header("x-amzn-trace-id", trace).send();
        let id = response.header("x-amzn-requestid");
        assert_eq!(id.len(), 36, "{response:?}");
        invoker.log_with(&format!("START RequestId: {id} "));
        assert_eq!(response.all("x-amzn-requestid").len(), 1);
        assert_eq!(response.all("x-amzn-trace-id"), [trace]);
    }
    let response = mesh.get("/hidden").send();
    assert!(response.all("x-amzn-requestid").is_empty(), "{response:?}");
    assert!(response.all("x-amzn-trace-id").is_empty(), "{response:?}");
}
