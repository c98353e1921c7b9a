//! Every row of docs/differences.md is so.
//!
//! A row has an id, and this file has one check for each id.

use std::collections::BTreeSet;
use std::fs;

use hyper::Method;
use lambda_filter_core::config::{Config as FilterConfig, Settings};
use lambda_filter_core::event;
use lambda_filter_core::request::{Request, RequestAttributes};
use lambda_filter_core::response::{self, HttpResponse, InvokeResponse, error_response};
use serde_json::{Value, json};
use sidecar_invoker::config::{BackendConfig, Config, Cors, LocalConfig};

use crate::support::{Invoker, exists, fixture_function};

/// A check of one row. It panics if the row is not so.
type Check = (&'static str, fn());

const CHECKS: [Check; 33] = [
    ("binary-body", || {
        let event = event_of("apigateway-v1", &[], b"\xff").unwrap();
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!("/w=="), &json!(true))
        );
    }),
    ("media-type-case", || {
        let headers = [("content-type", "APPLICATION/JSON")];
        let event = event_of("envoy", &headers, b"{}").unwrap();
        assert_eq!(event["body"], "{}");
    }),
    ("encoded-question-mark", || {
        let headers = [(":path", "/a%3Fb")];
        let event = event_of("apigateway-v2", &headers, b"").unwrap();
        assert_eq!(event["rawPath"], "/a?b");
    }),
    ("repeated-slashes", || {
        let event = event_of("apigateway-v2", &[(":path", "/a//b")], b"").unwrap();
        assert_eq!(event["rawPath"], "/a//b");
    }),
    ("cookie-lines", || {
        let headers = [("cookie", "a=1"), ("cookie", "b=2")];
        let event = event_of("apigateway-v1", &headers, b"").unwrap();
        assert_eq!(event["headers"]["Cookie"], "a=1; b=2");
    }),
    ("wrong-path", || {
        let config = filter("apigateway-v1", r#", "resource": "GET /other""#);
        let error = encode(&config, &[], b"").unwrap_err();
        assert_eq!(error, 404);
    }),
    ("base64-answer", || {
        let answer = json!({ "statusCode": 200, "body": "YQ==", "isBase64Encoded": true });
        assert_eq!(response_of("apigateway-v1", &[], &answer).body, b"a");
    }),
    ("envoy-function-error", || {
        let error = [("x-amz-function-error", "Unhandled")];
        assert_eq!(response_of("envoy", &error, &json!({})).status, 502);
    }),
    ("answer-size", || {
        let answer = json!({ "statusCode": 200, "body": "x".repeat(2 << 20) });
        let response = response_of("alb", &[], &answer);
        assert_eq!((response.status, response.body.len()), (200, 2 << 20));
    }),
    ("remapped-headers", || {
        let headers = json!({ "WWW-Authenticate": "Basic" });
        let answer = json!({ "statusCode": 401, "headers": headers });
        let response = response_of("apigateway-v1", &[], &answer);
        let header = ("www-authenticate".to_owned(), "Basic".to_owned());
        assert!(response.headers.contains(&header), "{response:?}");
    }),
    ("informational-status", || {
        let response = response_of("apigateway-v2", &[], &json!({ "statusCode": 101 }));
        assert_eq!(response.status, 500);
    }),
    ("failed-start", || {
        let function = "functions: { f: { local: { command: [sh, -c, 'exit 3'] } } }";
        with_invoker(function, async |invoker| {
            let response = invoker.invoke(json!({})).await;
            assert!(response.header("x-amz-function-error").is_some());
            assert!(response.json()["errorMessage"].to_string().contains("exit"));
            invoker.stop().await;
        });
    }),
    ("unsigned-calls", || {
        assert_eq!(shell("echo called"), "called\n");
    }),
    ("undeclared-qualifier", || {
        let call = async |invoker: Invoker| {
            let path = "/2015-03-31/functions/f:absent/invocations";
            let response = invoker.request(Method::POST, path, &[], "{}").await;
            invoker.stop().await;
            response.status.as_u16()
        };
        let function = fixture_function("");
        let declared = function.replacen("queue: 1", "queue: 1, versions: [1]", 1);
        assert_ne!(declared, function);
        assert_eq!(with_invoker(&function, call), 200);
        assert_eq!(with_invoker(&declared, call), 404);
    }),
    ("concurrency", || {
        assert_eq!(local(&template("Timeout: 3", "")).concurrency, 10);
    }),
    ("between-calls", || {
        // The first call leaves a process behind, and the second waits for its file.
        let written = with_invoker(&fixture_function("concurrency: 1"), async |invoker| {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let file = folder.path().join("file");
            let script = format!("(sleep 0.1; touch {}) >/dev/null 2>&1 &", file.display());
            let script = json!({ "do": "shell", "script": script });
            assert_eq!(invoker.invoke(script).await.status, 200);
            exists(&file).await;
            invoker.stop().await;
            file.exists()
        });
        assert!(written);
    }),
    ("writable-directory", || {
        let folder = tempfile::tempdir().unwrap();
        let directory = format!("directory: {}", folder.path().display());
        let script = "test -w $LAMBDA_TASK_ROOT; echo $?";
        assert_eq!(shell_with(&directory, script), "0\n");
    }),
    ("shared-memory", || {
        let is_linux = cfg!(target_os = "linux");
        assert_eq!(
            shell("test -d /dev/shm && echo there") == "there\n",
            is_linux
        );
    }),
    ("same-user", || {
        let user = rustix::process::geteuid().as_raw();
        assert_eq!(shell("id -u"), format!("{user}\n"));
    }),
    ("same-network", || {
        let path = "/proc/self/ns/net";
        let own = fs::read_link(path).unwrap_or_default();
        let script = format!("readlink {path}");
        assert_eq!(shell(&script).trim_end(), own.to_str().unwrap());
    }),
    ("telemetry", || {
        let script = "for path in 2022-07-01/telemetry 2020-08-15/logs; do \
            python3 -c 'import sys, urllib.request as request; \
            answer = request.urlopen(request.Request(sys.argv[1], b\"{}\", method=\"PUT\")); \
            print(answer.status)' http://$AWS_LAMBDA_RUNTIME_API/$path; done";
        assert_eq!(shell(script), "202\n202\n");
    }),
    ("template-authorizers", || {
        let auth = "Events: { E: { Type: Api, Properties: { Path: /, Method: GET, Auth: { ApiKeyRequired: true } } } }";
        let config = template(auth, "");
        assert_eq!(config.routes.len(), 1);
        assert!(config.warnings[0].ends_with("the routes are open to every caller"));
    }),
    ("template-scopes", || {
        let api = "  H: { Type: AWS::Serverless::HttpApi, Properties: { Auth: { DefaultAuthorizer: J, Authorizers: { J: \
            { JwtConfiguration: { issuer: 'https://i', audience: [a] }, IdentitySource: $request.header.A } } } } }\n";
        let event = "Events: { E: { Type: HttpApi, Properties: { ApiId: !Ref H, Path: /, Method: GET, \
            Auth: { AuthorizationScopes: [s] } } } }";
        let config = template(event, api);
        let authorizer = config.routes[0].authorizer.as_ref().unwrap();
        assert_eq!(authorizer.audiences, ["a"]);
        assert!(config.warnings[0].ends_with("a token with any scope is accepted here"));
    }),
    ("template-cors", || {
        // Statuses are Envoy's own, see tests/e2e/templates.rs.
        let url = "FunctionUrlConfig: { Cors: { AllowOrigins: ['*'] } }";
        let Some(Cors::Policy(policy)) = &template(url, "").routes[0].cors else {
            panic!("no policy");
        };
        assert_eq!(policy.origins, ["*"]);
    }),
    ("template-hosts", || {
        let config = template(
            "Events: { E: { Type: Api, Properties: { Path: /, Method: GET } } }",
            "",
        );
        assert_eq!(config.routes[0].host.as_str(), "*");
    }),
    ("template-same-route", || {
        let events = "Events: { A: { Type: Api, Properties: { Path: /, Method: GET } } }";
        let other = format!(
            "  G: {{ Type: AWS::Serverless::Function, Properties: {{ Runtime: provided.al2023, {events} }} }}\n"
        );
        let config = template(events, &other);
        assert_eq!(config.routes.len(), 1);
        assert!(config.warnings[0].contains("which counts"));
    }),
    ("template-function-url", || {
        let config = template("FunctionUrlConfig: { AuthType: NONE }", "");
        assert_eq!(config.routes[0].host.as_str(), "f.localhost");
    }),
    ("template-stack-name", || {
        assert_eq!(variable("!Ref AWS::StackName"), "shop");
    }),
    ("template-account", || {
        assert_eq!(variable("!Ref AWS::AccountId"), "123456789012");
    }),
    ("template-format-1", || {
        let event = "Events: { E: { Type: HttpApi, Properties: { Path: /, Method: GET, PayloadFormatVersion: '1.0' } } }";
        let config = template(event, "");
        assert_eq!(config.routes[0].lambda["payload"], "apigateway-v1");
        let event = event_of("apigateway-v1", &[], b"").unwrap();
        assert!(event.get("version").is_none(), "{event}");
    }),
    ("template-numbers", || {
        assert_eq!(variable("1.10"), "1.10");
        assert_eq!(variable("010"), "010");
    }),
    ("template-code", || {
        assert!(
            local(&template("Timeout: 3", ""))
                .directory
                .ends_with("shop")
        );
    }),
    ("template-resources", || {
        let config = template("Timeout: 3", "  T: { Type: AWS::SQS::Queue }\n");
        assert_eq!(config.functions.len(), 1);
        assert!(config.warnings[0].contains("are not made here"));
    }),
];

#[test]
fn every_row_of_the_page_has_a_check_and_is_so() {
    let page = include_str!("../../../docs/differences.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<_> = rows.filter_map(|row| row.split_once('`')).collect();
    let rows: Vec<_> = rows.into_iter().map(|(id, _)| id).collect();
    let ids: BTreeSet<_> = rows.iter().copied().collect();
    assert_eq!(ids.len(), rows.len(), "each id stands once");
    let checks: BTreeSet<_> = CHECKS.iter().map(|(id, _)| *id).collect();
    assert_eq!(checks, ids, "left: checks, right: rows");
    for (id, check) in CHECKS {
        eprintln!("{id}");
        check();
    }
}

fn filter(payload: &str, more: &str) -> FilterConfig {
    let settings = format!(r#"{{ "function": "f", "payload": "{payload}"{more} }}"#);
    let settings = Settings::from_plugin(settings.as_bytes()).unwrap();
    settings.into_config().unwrap()
}

/// Returns the event of a request, or the status of the error.
fn encode(config: &FilterConfig, headers: &[(&str, &str)], body: &[u8]) -> Result<Value, u16> {
    let mut all = vec![
        (":method", "POST"),
        (":path", "/"),
        (":authority", "a.test"),
    ];
    all.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
    all.extend(headers);
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.as_bytes().to_vec());
    let map: Vec<_> = all.into_iter().map(pair).collect();
    let attributes = RequestAttributes::default();
    let request = Request::new(&map, None, &attributes, body).unwrap();
    let event = event::encode(&request, config);
    let event = event.map_err(|error| error_response(&error, Some(config)).status)?;
    Ok(serde_json::from_slice(&event).unwrap())
}

fn event_of(payload: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Value, u16> {
    encode(&filter(payload, ""), headers, body)
}

fn response_of(payload: &str, upstream: &[(&str, &str)], answer: &Value) -> HttpResponse {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    let config = filter(payload, "");
    let status = [(":status", "200"), ("x-amzn-requestid", "id")];
    let headers = status.iter().chain(upstream).map(pair).collect();
    let body = answer.to_string();
    let invoked = InvokeResponse {
        headers: &headers,
        body: body.as_bytes(),
    };
    let response = response::decode(&invoked, &config);
    response.unwrap_or_else(|error| error_response(&error, Some(&config)))
}

/// Imports a template in the folder `shop` with a function `F` and `more` resources.
fn template(properties: &str, more: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop");
    fs::create_dir(&shop).unwrap();
    fs::write(shop.join("bootstrap"), "").unwrap();
    let function = format!(
        "Resources:\n  F: {{ Type: AWS::Serverless::Function, Properties: {{ Runtime: provided.al2023, {properties} }} }}\n{more}"
    );
    fs::write(shop.join("template.yaml"), function).unwrap();
    Config::parse("invoker.yaml", "import: template.yaml", &shop).unwrap()
}

/// Returns the value of a variable in a template.
fn variable(value: &str) -> String {
    let config = template(
        &format!("Environment: {{ Variables: {{ A: {value} }} }}"),
        "",
    );
    local(&config).env["A"].clone()
}

/// Returns the first function of a configuration, which is a local one.
fn local(config: &Config) -> &LocalConfig {
    match &config.functions.values().next().unwrap().backend {
        BackendConfig::Local(local) => local,
        other => panic!("{other:?}"),
    }
}

/// Runs `test` with an invoker of its own.
fn with_invoker<T>(functions: &str, test: impl AsyncFnOnce(Invoker) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { test(Invoker::isolated(functions).await).await })
}

/// Returns the output of a script that a local function runs.
fn shell(script: &str) -> String {
    shell_with("", script)
}

/// Returns the output of a script that a local function with these keys runs.
fn shell_with(keys: &str, script: &str) -> String {
    with_invoker(&fixture_function(keys), async |invoker| {
        let event = json!({ "do": "shell", "script": script });
        let answer = invoker.invoke(event).await.json();
        invoker.stop().await;
        answer["out"].as_str().unwrap().to_owned()
    })
}
