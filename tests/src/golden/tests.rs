use serde_json::json;

use super::*;

fn request_case(members: &Value) -> RequestCase {
    let mut case = json!({
        "id": "case", "format": "apigateway-v2", "config": {}, "source_ip": "", "expect": {},
        "expect_absent": [], "expect_null_or_absent": [],
        "request": { "method": "GET", "scheme": "http", "authority": "a",
            "path_and_query": "/", "headers": [], "body_base64": null },
    });
    merge(&mut case, members);
    serde_json::from_value(case).unwrap()
}

fn merge(into: &mut Value, members: &Value) {
    into.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
}

#[test]
fn an_event_agrees_if_it_contains_the_exact_values() {
    let case = request_case(&json!({
        "expect": { "a": { "b": 1 }, "list": ["x"] },
        "alternatives": { "/a/b": [2] },
        "expect_absent": ["/gone"],
        "expect_null_or_absent": ["/void"],
    }));
    let agreeing = json!({ "a": { "b": 1, "more": 0 }, "list": ["x"], "void": null });
    assert_eq!(case.differences(&agreeing), Vec::<String>::new());
    for change in [
        json!({ "a": { "b": "1" } }),
        json!({ "a": {} }),
        json!({ "a": 1 }),
        json!({ "list": ["x", "y"] }),
        json!({ "gone": null }),
        json!({ "void": "" }),
    ] {
        let mut event = agreeing.clone();
        merge(&mut event, &change);
        assert_eq!(case.differences(&event).len(), 1, "{event}");
    }
    let other = json!({ "a": { "b": 2 }, "list": ["x"] });
    assert_eq!(case.differences(&other), Vec::<String>::new());
}

#[test]
fn only_the_headers_of_rest_apis_are_compared_without_case() {
    let expect = json!({ "expect": { "headers": { "X-One": "1" } } });
    let event = json!({ "headers": { "x-one": "1" } });
    let mut case = request_case(&expect);
    assert_eq!(case.differences(&event).len(), 1);
    "apigateway-v1".clone_into(&mut case.format);
    assert_eq!(case.differences(&event).len(), 0);
}

fn response(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Response {
    let mut response = Response {
        status,
        headers: hyper::HeaderMap::new(),
        body: body.into(),
        trailers: hyper::HeaderMap::new(),
    };
    for (name, value) in headers {
        response.headers.append(*name, value.parse().unwrap());
    }
    response
}

#[test]
fn a_response_agrees_with_the_expected_or_an_alternative() {
    let case: ResponseCase = serde_json::from_value(json!({
        "id": "case", "format": "apigateway-v2", "config": {}, "request": { "method": "GET" },
        "lambda_payload_gen": { "prefix": "<", "unit": "ab", "count": 2, "suffix": ">" },
        "expect": { "status": 200, "headers": [["x-a", "1"], ["x-a", "2"]],
            "headers_absent": ["x-no"], "body_base64": "YQ==" },
        "alternatives": [{ "status": 500, "body_json": { "m": 1 } }],
        "invariants": ["header_count:x-a:2", "framing_ok"],
    }))
    .unwrap();
    assert_eq!(case.payload(), "<abab>");
    let agreeing = [("x-a", "1"), ("x-a", "2")];
    assert_eq!(case.differences(&response(200, &agreeing, "a")).len(), 0);
    assert_eq!(
        case.differences(&response(500, &agreeing, r#"{ "m": 1 }"#))
            .len(),
        0
    );
    for (status, headers, body) in [
        (201, &agreeing[..], "a"),
        (200, &agreeing, "b"),
        (200, &[("x-a", "2"), ("x-a", "1")], "a"),
        (200, &[("x-a", "1"), ("x-a", "2"), ("x-no", "")], "a"),
        (
            200,
            &[("x-a", "1"), ("x-a", "2"), ("content-length", "2")],
            "a",
        ),
        (500, &[("x-a", "1")], r#"{"m":1}"#),
        (500, &agreeing, "null"),
    ] {
        let response = response(status, headers, body);
        assert_eq!(case.differences(&response).len(), 1, "{response:?}");
    }
}

#[test]
fn a_response_agrees_except_for_headers_that_the_adapter_lost() {
    let case: AdapterCase = serde_json::from_value(json!({
        "id": "case", "format": "alb", "lambda_payload": "{}",
        "app_response": { "status": 200, "body_base64": "YQ==", "headers":
            [["X-Many", "one"], ["X-Many", "two"], ["Set-Cookie", "a=1, b"], ["X-Lost", "1"]] },
        "lost_by_adapter": ["x-lost: []"],
    }))
    .unwrap();
    let joined = [("x-many", "one, two"), ("set-cookie", "a=1, b")];
    assert_eq!(
        case.differences(&response(200, &joined, "a")),
        Vec::<String>::new()
    );
    let split = [
        ("x-many", "one, two"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b"),
    ];
    assert_eq!(case.differences(&response(200, &split, "a")).len(), 1);
    assert_eq!(case.differences(&response(200, &joined[1..], "b")).len(), 2);
}
