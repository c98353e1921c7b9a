//! `examples/private-api`: an API of PHP behind php-fpm, and invoked with an event of its own.

use std::fs;

use anyhow::Result;
use lambda_mesh_tests::client::Response;
use lambda_mesh_tests::up::{ProjectFolder, Up};
use serde_json::{Value, json};
use xtask::workspace_root;

const UNCHANGED: &str = "my-private-service.internal";
const CONTENT: &str = "content.my-private-service.internal";
const RESPONSE: &str = "response.my-private-service.internal";

fn call(up: &Up, host: &str, line: &str, body: &str) -> Response {
    let (method, target) = line.split_once(' ').expect("a method");
    let mut request = up.request(method, target).host(host);
    if !body.is_empty() {
        let media_type = match body.starts_with('{') {
            true => "application/json",
            false => "application/x-www-form-urlencoded",
        };
        request = request
            .header("content-type", media_type)
            .body(body.to_owned());
    }
    request.send()
}

/// A request with its body, the status, and the content of the response.
type Case = (&'static str, &'static str, u16, Value);

/// The requests that succeed, with Laravel's application and with the example's own.
fn successes() -> [Case; 8] {
    let order = json!({ "id": "c3", "item": "black tea", "quantity": 2 });
    [
        (
            "GET /orders?page=2",
            "",
            200,
            json!({ "page": 2, "orders": ["a1", "b2"] }),
        ),
        (
            "POST /orders",
            r#"{"item":"black tea","quantity":2}"#,
            201,
            order.clone(),
        ),
        (
            "POST /orders",
            "item=black+tea&quantity=2",
            201,
            order.clone(),
        ),
        ("POST /orders?quantity=2", "item=black%20tea", 201, order),
        ("GET /orders/a%3Fb", "", 200, json!({ "id": "a?b" })),
        ("GET /orders/a%20b%25c", "", 200, json!({ "id": "a b%c" })),
        (
            "GET /files/a%2Fb.txt",
            "",
            200,
            json!({ "name": "a/b.txt" }),
        ),
        ("DELETE /orders/7", "", 204, Value::Null),
    ]
}

#[test]
fn callers_keep_their_requests_and_get_their_statuses() {
    let example = ProjectFolder::php_example("private-api", &[]);
    let (_folder, up) = match example {
        Ok(example) => example,
        Err(error) => return xtask::skip("a private API in PHP", &format!("{error:#}")),
    };
    let no_quantity = "The quantity field must be at least 1.";
    let invalid = json!({ "message": no_quantity, "errors": { "quantity": [no_quantity] } });
    let missing =
        |path: &str| json!({ "message": format!("The route {path} could not be found.") });
    let errors = [
        (
            "POST /orders",
            r#"{"item":"tea","quantity":0}"#,
            422,
            invalid.clone(),
        ),
        ("POST /orders", "item=tea", 422, invalid),
        // As in Laravel, `{id}` takes no slash. The path in the message is the one that was sent.
        ("GET /orders/a%2Fb", "", 404, missing("/orders/a%2Fb")),
        ("GET /nothing", "", 404, missing("/nothing")),
        ("GET /broken", "", 500, json!({ "message": "Server Error" })),
    ];
    for (line, body, status, content) in successes().into_iter().chain(errors) {
        for host in [UNCHANGED, RESPONSE, CONTENT] {
            let response = call(&up, host, line, body);
            // The content alone has no place for a status.
            let expected = match (host, status) {
                (CONTENT, 500) => (500, json!({ "message": "Internal Server Error" })),
                (CONTENT, _) => (200, content.clone()),
                _ => (status, content.clone()),
            };
            let content = match response.status {
                204 => Value::Null,
                _ => response.json(),
            };
            assert_eq!(
                (response.status, content),
                expected,
                "{host}: {line} {body}"
            );
        }
    }
    for host in [UNCHANGED, RESPONSE, CONTENT] {
        assert_eq!(call(&up, host, "POST /orders", "{").status, 400, "{host}");
    }
    // The host of the function's name has the event of its route.
    let response = call(&up, "api-response.localhost", "DELETE /orders/7", "");
    assert_eq!(response.status, 204);
}

/// Serves the example with the real Laravel in the place of its application.
fn with_laravel() -> Result<(ProjectFolder, Up)> {
    let classes = xtask::php::laravel()?;
    let folder = workspace_root().join("tests/fixtures/laravel");
    let files = ["application.php", "handlers.php", "public/index.php"].map(|path| {
        let text = fs::read_to_string(folder.join(path)).expect("a fixture");
        let autoload = "require_once 'Illuminate/autoload.php';";
        let include = format!("set_include_path('{}');\n{autoload}", classes.display());
        (path, text.replace(autoload, &include))
    });
    ProjectFolder::php_example_with("private-api", &[], &files)
}

#[test]
fn the_real_laravel_keeps_its_statuses() {
    let (_folder, up) = match with_laravel() {
        Ok(example) => example,
        Err(error) => return xtask::skip("the real Laravel", &format!("{error:#}")),
    };
    let errors = [
        // The text of these errors is Laravel's, and differs from version to version.
        (
            "POST /orders",
            r#"{"item":"tea","quantity":0}"#,
            422,
            Value::Null,
        ),
        ("POST /orders", "item=tea", 422, Value::Null),
        ("GET /orders/a%2Fb", "", 404, Value::Null),
        ("GET /nothing", "", 404, Value::Null),
        ("GET /broken", "", 500, Value::Null),
    ];
    for (line, body, status, content) in successes().into_iter().chain(errors) {
        for host in [UNCHANGED, RESPONSE, CONTENT] {
            let response = call(&up, host, line, body);
            let expected = match (host, status) {
                (CONTENT, 500) => 500,
                (CONTENT, _) => 200,
                _ => status,
            };
            assert_eq!(
                response.status,
                expected,
                "{host}: {line} {body}: {}",
                response.text()
            );
            if !content.is_null() {
                assert_eq!(response.json(), content, "{host}: {line} {body}");
            }
        }
        let unchanged = call(&up, UNCHANGED, line, body);
        if status == 422 {
            assert!(
                unchanged.json()["errors"]["quantity"].is_array(),
                "{}",
                unchanged.text()
            );
        }
    }
}
