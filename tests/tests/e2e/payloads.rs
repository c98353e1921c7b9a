//! The effect of the filter's keys on the event and the response, beyond the golden cases.

use lambda_mesh_tests::client::Response;
use lambda_mesh_tests::mesh::{Config, Mesh, route};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::{Value, json};

/// Starts an Envoy with a route that has this configuration and the name of a function.
fn configured(upstream: &Upstream, configuration: Value) -> Mesh {
    let mut lambda = configuration;
    lambda["function"] = json!("probe");
    let routes = [route(&json!({ "prefix": "/" }), &lambda)];
    Mesh::to(upstream)
        .routes(&routes)
        .edit(Config::keep_paths)
        .start()
}

fn echoing() -> Upstream {
    Upstream::responding(json!({ "statusCode": 200 }))
}

#[test]
fn raw_passes_the_body_and_the_response_through_unchanged() {
    let upstream = Upstream::start(|call| match call.index {
        0 => ScriptedResponse::bytes(r#" "text" "#),
        _ => ScriptedResponse::bytes(r#"{"statusCode":404,"list":[1, 2.0]}"#),
    });
    let mesh = configured(&upstream, json!({ "payload": "raw" }));
    let response = mesh.post("/any", r#"{"order": 7}"#).send();
    assert_eq!((response.status, response.text()), (200, r#" "text" "#));
    assert_eq!(response.header("content-type"), "application/json");
    let response = mesh.get("/").send();
    assert_eq!(response.status, 200);
    assert_eq!(response.text(), r#"{"statusCode":404,"list":[1, 2.0]}"#);

    let bodies: Vec<_> = upstream.calls().into_iter().map(|call| call.body).collect();
    assert_eq!(bodies, [&br#"{"order": 7}"#[..], b"{}"]);
}

#[test]
fn raw_refuses_a_body_that_is_not_json() {
    let upstream = echoing();
    let mesh = configured(&upstream, json!({ "payload": "raw" }));
    for body in [&b"{"[..], b"a=1", b"{\"a\":\"\xff\"}"] {
        let response = mesh.post("/", body).send();
        assert_eq!(response.status, 400);
        assert_eq!(response.json(), json!({ "message": "Bad Request" }));
    }
    assert_eq!(upstream.calls().len(), 0);
}

#[test]
fn a_template_is_the_event() {
    let upstream = echoing();
    let template = json!({
        "LARAVEL_ROUTE": "${raw_path_and_query}",
        "LARAVEL_ROUTE_METHOD": "${method}",
        "LARAVEL_REQUEST_BODY": "${body_json}",
        "path": "${path}",
        "fixed": { "version": 2, "ratio": 0.5, "on": true, "none": null },
        "greeting": "from ${source_ip} by ${header.user-agent}",
    });
    let configuration = json!({ "payload": "template", "template": template, "response": "raw" });
    let mesh = configured(&upstream, configuration);
    let target = "/orders/a%3Fname=x?page=2";
    let request = mesh.post(target, r#"{"name": "Zoë"}"#);
    assert_eq!(request.header("user-agent", "test/1").send().status, 200);
    assert_eq!(
        upstream.call().event(),
        json!({
            "LARAVEL_ROUTE": target,
            "LARAVEL_ROUTE_METHOD": "POST",
            "LARAVEL_REQUEST_BODY": { "name": "Zoë" },
            "path": "/orders/a?name=x",
            // In Envoy's metadata, every number is a floating-point number.
            "fixed": { "version": 2, "ratio": 0.5, "on": true, "none": null },
            "greeting": "from 127.0.0.1 by test/1",
        })
    );
    let response = mesh.post("/orders", "name=x").send();
    assert_eq!(response.status, 400);
    assert_eq!(response.json(), json!({ "message": "Bad Request" }));
    assert_eq!(upstream.calls().len(), 1);
}

#[test]
fn a_template_takes_forms() {
    let upstream = echoing();
    let template = json!({ "form": "${body_form?}", "json": "${body_json?}" });
    let configuration = json!({ "payload": "template", "template": template, "response": "raw" });
    let mesh = configured(&upstream, configuration);
    for (content_type, body, form, parsed) in [
        (
            "application/x-www-form-urlencoded",
            "b=1&a=x+y&b=2",
            json!({ "b": ["1", "2"], "a": "x y" }),
            Value::Null,
        ),
        ("application/json", "[1]", Value::Null, json!([1])),
    ] {
        let request = mesh.post("/", body).header("content-type", content_type);
        assert_eq!(request.send().status, 200);
        let event = upstream.calls().pop().expect("a call").event();
        assert_eq!(event, json!({ "form": form, "json": parsed }));
    }
}

/// docs/formats.md warns of this for templates without `response: raw`.
#[test]
fn data_with_a_status_code_is_a_response_unless_the_response_is_raw() {
    let upstream = Upstream::responding(json!({ "statusCode": 422, "id": 7 }));
    let template = json!({ "payload": "template", "template": {} });
    let response = configured(&upstream, template.clone()).get("/").send();
    assert_eq!((response.status, response.text()), (422, ""));
    let mut raw = template;
    raw["response"] = json!("raw");
    let response = configured(&upstream, raw).get("/").send();
    assert_eq!(response.status, 200);
    assert_eq!(response.json(), json!({ "statusCode": 422, "id": 7 }));
}

#[test]
fn a_resource_fills_its_fields_and_refuses_other_requests() {
    for (payload, expected) in [
        (
            "apigateway-v1",
            json!(["/pets/{id}", "/pets/{id}", { "id": "a%2Fb" }]),
        ),
        (
            "apigateway-v2",
            json!([null, "GET /pets/{id}", { "id": "a/b" }]),
        ),
    ] {
        let upstream = echoing();
        let configuration = json!({ "payload": payload, "resource": "GET /pets/{id}" });
        let mesh = configured(&upstream, configuration);
        assert_eq!(mesh.get("/pets/a%2Fb").send().status, 200);
        let event = upstream.call().event();
        let context = &event["requestContext"];
        let route = context.get("resourcePath").or(context.get("routeKey"));
        assert_eq!(
            json!([event["resource"], route, event["pathParameters"]]),
            expected,
            "{payload}"
        );
        for request in [mesh.get("/cats/1"), mesh.request("HEAD", "/pets/1")] {
            let shown = format!("{request:?}");
            assert_eq!(request.send().status, 404, "{shown}");
        }
        let response = mesh.post("/pets/1", "{}").send();
        assert_eq!(response.status, 404);
        assert_eq!(response.json(), json!({ "message": "Not Found" }));
        assert_eq!(upstream.calls().len(), 1);
        // Only an HTTP API takes a slash at the end for a part of the path.
        let slash = mesh.get("/pets/7/").send();
        let is_rest = payload == "apigateway-v1";
        assert_eq!(slash.status == 200, is_rest, "{slash:?}");
    }
}

#[test]
fn media_types_decide_what_is_binary() {
    let upstream = echoing();
    let configuration = json!({ "binary_media_types": ["image/*", "application/x-own"] });
    let mesh = configured(&upstream, configuration);
    for (content_type, is_base64) in [
        ("image/svg+xml; charset=utf-8", true),
        ("application/x-own", true),
        ("application/x-www-form-urlencoded", false),
        ("application/octet-stream", false),
    ] {
        let request = mesh.post("/", "a=1").header("content-type", content_type);
        assert_eq!(request.send().status, 200);
        let calls = upstream.calls();
        let event = calls.last().map(|call| call.event()).unwrap_or_default();
        assert_eq!(event["isBase64Encoded"], is_base64, "{content_type}");
        assert_eq!(event["body"], if is_base64 { "YT0x" } else { "a=1" });
    }
    // A body that is not UTF-8 cannot be text.
    let request = mesh
        .post("/", &b"\xff"[..])
        .header("content-type", "text/plain");
    assert_eq!(request.send().status, 200);
    let last = upstream.calls().pop().map(|call| call.event());
    assert_eq!(last.unwrap_or_default()["body"], "/w==");
}

#[test]
fn the_case_of_names_the_stage_and_the_identifiers_are_configurable() {
    let upstream = echoing();
    let configuration = json!({
        "header_case": "train",
        "stage": "v1",
        "account_id": "210987654321",
        "api_id": "shop",
    });
    let mesh = configured(&upstream, configuration);
    let request = mesh.get("/cart").header("x-own-header", "1");
    assert_eq!(request.send().status, 200);
    let event = upstream.call().event();
    assert_eq!(event["headers"]["X-Own-Header"], "1");
    assert_eq!(event["rawPath"], "/v1/cart");
    let context = &event["requestContext"];
    assert_eq!(context["stage"], "v1");
    assert_eq!(context["accountId"], "210987654321");
    assert_eq!(context["apiId"], "shop");
}

#[test]
fn response_raw_makes_the_payload_the_body_in_any_format() {
    let payload = r#"{"statusCode": 500, "body": "not a response here"}"#;
    let upstream = Upstream::start(move |_| ScriptedResponse::bytes(payload));
    for format in ["apigateway-v1", "alb", "envoy"] {
        let configuration = json!({ "payload": format, "response": "raw" });
        let response = configured(&upstream, configuration).get("/").send();
        assert_eq!(
            (response.status, response.text()),
            (200, payload),
            "{format}"
        );
    }
}

/// Returns the status, the media type and the body of an error.
fn own_error(response: &Response) -> (u16, &str, &str) {
    let has_type = response.headers.contains_key("content-type");
    let media_type = if has_type {
        response.header("content-type")
    } else {
        ""
    };
    (response.status, media_type, response.text())
}

#[test]
fn an_error_of_a_function_equals_that_of_the_formats_service() {
    const HTML: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
        <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
    let upstream = Upstream::start(|_| ScriptedResponse::function_error("KeyError", "'id'"));
    for (payload, expected) in [
        (
            "apigateway-v1",
            (
                502,
                "application/json",
                r#"{"message": "Internal server error"}"#,
            ),
        ),
        (
            "apigateway-v2",
            (
                500,
                "application/json",
                r#"{"message":"Internal Server Error"}"#,
            ),
        ),
        ("function-url", (502, "text/plain", "Internal Server Error")),
        ("alb", (502, "text/html", HTML)),
        ("alb-multi-value", (502, "text/html", HTML)),
        ("vpc-lattice-v1", (502, "text/plain", "Bad Gateway")),
        ("vpc-lattice-v2", (502, "text/plain", "Bad Gateway")),
        ("envoy", (502, "", "")),
        (
            "raw",
            (502, "application/json", r#"{"message":"Bad Gateway"}"#),
        ),
    ] {
        let mesh = configured(&upstream, json!({ "payload": payload }));
        let response = mesh.get("/").send();
        assert_eq!(own_error(&response), expected, "{payload}");
        mesh.log_with("KeyError");
    }
}

/// The emulator responds with `200` and without a request id.
#[test]
fn errors_of_an_emulator_are_recognised_by_their_form() {
    for payload in [
        r#"{"errorMessage":"'id'","errorType":"KeyError","stackTrace":[]}"#,
        "Task timed out after 3.00 seconds",
    ] {
        let upstream = Upstream::start(move |_| ScriptedResponse::bytes(payload).from_emulator());
        for (format, status) in [("apigateway-v1", 502), ("apigateway-v2", 500), ("raw", 502)] {
            let mesh = configured(&upstream, json!({ "payload": format }));
            assert_eq!(mesh.get("/").send().status, status, "{format}: {payload}");
        }
    }
    // With a request id, the payload is a response like any other.
    let payload = r#"{"errorMessage":"mine","errorType":"mine"}"#;
    let upstream = Upstream::start(move |_| ScriptedResponse::bytes(payload));
    let mesh = configured(&upstream, json!({}));
    let response = mesh.get("/").send();
    assert_eq!((response.status, response.text()), (200, payload));
}
