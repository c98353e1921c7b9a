use hyper::Method;
use serde_json::json;

use super::{admin, call, start};
use crate::support::running::{FREE, Running, serve};
use crate::support::{HttpResponse, Invoker, fixture_function};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Sends requests that read and that change something.
async fn both(invoker: &Invoker, headers: &[(&str, &str)]) -> [HttpResponse; 2] {
    let json = [headers, &[("content-type", "application/json")]].concat();
    let list = "/console/api/invocations";
    let replay = "/console/api/invocations/1/replay";
    [
        admin(invoker, Method::GET, list, headers, "").await,
        admin(invoker, Method::POST, replay, &json, "{}").await,
    ]
}

#[tokio::test]
async fn pages_of_other_origins_and_rebound_names_are_refused() {
    let invoker = start("").await;
    call(&invoker, &json!({})).await;
    let own = format!("http://{}", invoker.admin);
    let allowed = [("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    for response in both(&invoker, &allowed).await {
        assert_eq!(response.status, 200);
        for name in response.headers.keys() {
            assert!(!name.as_str().starts_with("access-control"), "{name}");
        }
    }
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", "http://localhost:8080")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("host", "evil.example"), ("origin", "http://evil.example")],
        vec![("host", "evil.example")],
    ] {
        for response in both(&invoker, &headers).await {
            assert_eq!(response.status, 403, "{headers:?}");
            let body = String::from_utf8_lossy(&response.body);
            assert!(!body.contains("request_id"), "{body}");
        }
    }
    assert_eq!(
        super::invocations(&invoker).await.len(),
        2,
        "one call, one replay"
    );
}

#[tokio::test]
async fn a_form_of_another_page_changes_nothing() {
    let invoker = start("").await;
    call(&invoker, &json!({})).await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let headers = [("content-type", content_type)];
        let path = "/console/api/invocations/1/replay";
        let response = admin(&invoker, Method::POST, path, &headers, "{}").await;
        assert_eq!(response.status, 415);
        let path = "/console/api/invocations";
        let response = admin(&invoker, Method::DELETE, path, &headers, "").await;
        assert_eq!(response.status, 415);
    }
    assert_eq!(super::invocations(&invoker).await.len(), 1);
    let json = [("content-type", "application/json")];
    let path = "/console/api/invocations";
    let cleared = admin(&invoker, Method::DELETE, path, &json, "").await;
    assert_eq!(cleared.status, 200);
    assert!(super::invocations(&invoker).await.is_empty());
}

#[tokio::test]
async fn a_token_is_asked_for_even_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, SECRET).unwrap();
    let text = format!(
        "console: {{ token: 'file:{}' }}\n{}",
        file.display(),
        fixture_function("")
    );
    let invoker = Invoker::start(&text).await;
    let get = async |path: &str, headers: &[(&str, &str)]| {
        admin(&invoker, Method::GET, path, headers, "").await
    };
    for (headers, sentence) in [
        (vec![], "asks for its token"),
        (
            vec![("authorization", "Bearer wrong")],
            "the token is not that of `console.token`",
        ),
        (
            vec![("cookie", "lambda_mesh_console=wrong")],
            "the token is not that of `console.token`",
        ),
    ] {
        for path in [
            "/console/",
            "/console/app.js",
            "/console/api/invocations",
            "/console/api/stream",
        ] {
            let response = get(path, &headers).await;
            assert_eq!(response.status, 401, "{path} {headers:?}");
            let error = response.json()["error"].as_str().unwrap().to_owned();
            assert!(error.contains(sentence), "{error}");
        }
    }
    let bearer = format!("Bearer {SECRET}");
    let list = "/console/api/invocations";
    assert_eq!(get(list, &[("authorization", &bearer)]).await.status, 200);
    assert_eq!(get("/console/?token=wrong", &[]).await.status, 401);
    let login = get(&format!("/console/?token={SECRET}"), &[]).await;
    assert_eq!(
        (login.status.as_u16(), login.header("location")),
        (303, Some("/console/"))
    );
    let cookie = login.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains(SECRET));
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(get("/console/", &[("cookie", cookie)]).await.status, 200);
    // The other endpoints do not ask for it.
    assert_eq!(get("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_is_shown_by_no_other_page() {
    let invoker = start("").await;
    for (path, content_type) in [
        ("/console/", "text/html; charset=utf-8"),
        ("/console/app.js", "text/javascript; charset=utf-8"),
        ("/console/style.css", "text/css; charset=utf-8"),
    ] {
        let response = admin(&invoker, Method::GET, path, &[], "").await;
        assert_eq!(response.header("content-type"), Some(content_type));
        let policy = response.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        let text = String::from_utf8_lossy(&response.body);
        assert!(
            !text.contains("//cdn") && !text.contains("src=\"http"),
            "{path}"
        );
    }
    let moved = admin(&invoker, Method::GET, "/console", &[], "").await;
    assert_eq!(moved.header("location"), Some("/console/"));
    for (method, path, status) in [
        (Method::GET, "/console/other", 404),
        (Method::GET, "/console/api/other", 404),
        (Method::GET, "/console/api/invocations/99", 404),
        (Method::POST, "/console/api/formats", 405),
        (Method::PUT, "/console/api/invocations/1", 404),
    ] {
        let json = [("content-type", "application/json")];
        let response = admin(&invoker, method, path, &json, "").await;
        assert_eq!(response.status, status, "{path}");
        assert!(response.json()["error"].is_string());
    }
}

#[tokio::test]
async fn there_is_no_console_unless_it_is_asked_for() {
    for console in ["", "console: false\n"] {
        let invoker = Invoker::start(&format!("{console}{}", fixture_function(""))).await;
        let response = admin(&invoker, Method::GET, "/console/", &[], "").await;
        assert_eq!(response.status, 404);
        let text = String::from_utf8_lossy(&response.body);
        assert!(text.contains("`console: true`"), "{text}");
    }
}

#[tokio::test]
async fn no_function_inherits_the_token() {
    let config = format!(
        "console: {{ token: env:CONSOLE_TOKEN }}\n{}",
        fixture_function("")
    );
    let running = Running::start_wrapped(&config, |mut serve| {
        serve.env("CONSOLE_TOKEN", SECRET);
        serve
    });
    let seen = running.invoke(json!({})).await.json();
    assert!(seen["env"]["AWS_LAMBDA_RUNTIME_API"].is_string());
    assert!(!seen.to_string().contains(SECRET), "{seen}");
    let log = running.terminate();
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn a_token_that_is_no_secret_is_refused_at_the_start() {
    for (value, sentence) in [
        (
            None,
            "console.token: the environment variable CONSOLE_TOKEN is not set",
        ),
        (
            Some("hunter2"),
            "holds no secret of 32 to 256 visible ASCII characters",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("invoker.yaml");
        let config = format!(
            "console: {{ token: env:CONSOLE_TOKEN }}\n{}",
            fixture_function("")
        );
        std::fs::write(&file, config).unwrap();
        let mut command = serve(&file, FREE);
        command.env_remove("CONSOLE_TOKEN");
        command.envs(value.map(|value| ("CONSOLE_TOKEN", value)));
        let output = command.output().unwrap();
        assert!(!output.status.success());
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(log.contains(sentence) && !log.contains("hunter2"), "{log}");
    }
}
