//! Configurations that `sidecar-invoker envoy-config` writes, unchanged in the real Envoy.

use lambda_mesh_tests::client::{Request, raw};
use lambda_mesh_tests::emulator::Emulator;
use lambda_mesh_tests::endpoint::Endpoint;
use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::generated::{Generated, envoy_config, write_file};
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{self, on_each_envoy};
use lambda_mesh_tests::shared::Component;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use xtask::envoy::NEWEST;

use crate::service::{functions, probe};

/// Starts an Envoy in front of `invoker`, with the configuration that `envoy-config` makes of these routes.
pub(crate) fn generated(
    version: &str,
    functions: &Value,
    routes: &Value,
    invoker: &Invoker,
) -> Generated {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = json!({ "functions": functions, "routes": routes }).to_string();
    let config = write_file(folder.path(), "invoker.yaml", &config);
    let invoker = match &invoker.endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Unix(path) => format!("unix://{}", path.display()),
    };
    let (listen, admin) = (free_address(), free_address());
    let output = envoy_config(
        version,
        &[
            "--config",
            &config,
            "--invoker",
            &invoker,
            "--listen",
            &listen.to_string(),
            "--admin",
            &admin.to_string(),
            "--check",
        ],
    );
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    Generated::start(version, &output.stdout, listen, admin)
}

/// `tests/e2e/proof.rs` shows what the filter of the secret does.
#[test]
fn an_invoker_that_demands_a_secret_gets_one_from_envoys_environment() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    on_each_envoy(|version| {
        for (secrets, variable) in [
            (json!(["env:A_SECRET", "file:old"]), "A_SECRET"),
            (json!(["file:secret"]), "LAMBDA_MESH_SECRET"),
        ] {
            let callers = json!({ "filters": [{ "secrets": secrets }] });
            let routes = json!([{ "function": "probe" }]);
            let config = json!({ "callers": callers, "functions": functions(), "routes": routes });
            let config = write_file(folder.path(), "invoker.yaml", &config.to_string());
            let output = envoy_config(version, &["--config", &config, "--check"]);
            assert_eq!(output.status, Some(0), "{}", output.stderr);
            let header = format!("x-lambda-mesh-secret, value: \"%ENVIRONMENT({variable})%\"");
            assert!(output.stdout.contains(&header), "{}", output.stdout);
        }
    });
}

#[test]
fn routes_by_host_path_and_method_reach_their_functions() {
    let routes = json!([
        { "host": "api.test", "path": "/pets", "method": "GET", "function": "probe" },
        { "host": "api.test", "path": "/pets/{id}", "function": "probe" },
        { "host": "api.test", "path": "/v1/{rest+}", "function": "probe", "strip_prefix": "/v1",
          "payload": "apigateway-v1" },
        { "host": "rest.test", "path": "/toys", "method": "PUT", "function": "probe",
          "payload": "apigateway-v1" },
        { "host": "rest.test", "path": "/toys/{id}", "method": "GET", "function": "probe",
          "payload": "apigateway-v1" },
        { "host": "*.test", "path": "/shop/*", "function": "probe", "strip_prefix": "/shop" },
        { "path": "/x.y", "function": "probe" },
    ]);
    let invoker = Invoker::start(&functions());
    on_each_envoy(|version| {
        let envoy = generated(version, &functions(), &routes, &invoker);
        let event = |method: &str, host: &str, path: &str| {
            let response = envoy.request(method, path).host(host).send();
            assert_eq!(response.status, 200, "{host}{path}: {response:?}");
            response.json()
        };
        let pets = event("GET", "api.test", "/pets?a=1");
        assert_eq!(
            (&pets["rawPath"], &pets["routeKey"]),
            (&json!("/pets"), &json!("GET /pets"))
        );
        assert_eq!(pets["requestContext"]["routeKey"], "GET /pets");
        let pet = event("POST", "API.test:8080", "/pets/7");
        assert_eq!(pet["pathParameters"], json!({ "id": "7" }));
        assert_eq!(pet["routeKey"], "ANY /pets/{id}");
        let rest = event("PUT", "api.test", "/v1/a/b");
        assert_eq!(rest["resource"], "/{rest+}");
        assert_eq!(rest["pathParameters"], json!({ "rest": "a/b" }));
        // A resource of a REST API has the path with and without a slash at its end.
        for path in ["/toys", "/toys/"] {
            let toys = event("PUT", "rest.test", path);
            assert_eq!(
                (&toys["resource"], &toys["path"]),
                (&json!("/toys"), &json!(path))
            );
        }
        for (path, id) in [("/toys/7", "7"), ("/toys/8/", "8")] {
            let toy = event("GET", "rest.test", path);
            assert_eq!(toy["pathParameters"], json!({ "id": id }));
        }
        assert_eq!(event("GET", "a.b.test", "/shop")["rawPath"], "/");
        assert_eq!(event("GET", "a.test", "/shop/7")["rawPath"], "/7");
        assert_eq!(event("GET", "other", "/x.y")["rawPath"], "/x.y");
        for (method, host, path) in [
            ("POST", "api.test", "/pets"),
            ("GET", "api.test", "/pets/7/8"),
            ("GET", "api.test", "/pets/"),
            ("GET", "api.test", "/pets/7/"),
            ("GET", "rest.test", "/toys"),
            ("PUT", "rest.test", "/toys/7"),
            ("GET", "api.test", "/shop"),
            ("GET", "api.test", "/v1"),
            ("GET", "a.test", "/shopping"),
            ("GET", "other", "/xxy"),
            ("GET", "api.test", "/ping"),
            ("POST", "other", "/ping"),
        ] {
            let response = envoy.request(method, path).host(host).send();
            assert_eq!(response.status, 404, "{method} {host}{path}: {response:?}");
            assert_eq!(response.header("content-type"), "application/json");
            assert_eq!(response.text(), r#"{"message":"Not Found"}"#);
        }
        let ping = envoy.request("GET", "/ping").host("other").send();
        assert_eq!((ping.status, ping.text()), (200, "pong"));
        let health = envoy.request("GET", "/healthz").host("other").send();
        assert_eq!((health.status, health.text()), (200, ""));
        envoy.log_with("function=probe");
    });
}

/// Client libraries would change these paths and headers.
#[test]
fn a_route_is_chosen_by_the_path_that_the_function_sees() {
    let routes = json!([
        { "host": "api.test", "path": "/admin/{rest+}", "function": "probe", "strip_prefix": "/admin" },
        { "host": "api.test", "path": "/{rest+}", "function": "probe" },
    ]);
    let invoker = Invoker::start(&functions());
    on_each_envoy(|version| {
        let envoy = generated(version, &functions(), &routes, &invoker);
        for (host, path) in [
            ("api.test", "/admin/x"),
            ("api.test", "/%61dmin/x"),
            ("api.test", "/a/../admin/x"),
            ("api.test", "/a/%2e%2E/admin%2Fx"),
            ("api.test.", "/admin/x"),
        ] {
            let response = raw(
                envoy.address,
                format!(
                    "GET {path} HTTP/1.1\r\nhost: {host}\r\nupgrade: TLS/1.2\r\n\
                     connection: upgrade, close\r\n\r\n"
                ),
            );
            assert!(response.starts_with("HTTP/1.1 200 "), "{path}: {response}");
            assert!(response.contains(r#""rawPath":"/x""#), "{path}: {response}");
        }
        // The parts of a name are separated by dots.
        let stats = Request::new(envoy.admin, "GET", "/stats?filter=vhost").send();
        let name = "vhost.api_test.route.probe.upstream_rq_200: 5";
        assert!(stats.text().contains(name), "{}", stats.text());
    });
}

#[test]
fn an_emulator_and_a_local_function_are_served_together() {
    let name = "an_emulator_and_a_local_function_are_served_together";
    let Some(emulator) = Emulator::start(name, probe()) else {
        return;
    };
    let mut functions = functions();
    functions["contained"] = json!({ "rie": format!("http://{}", emulator.address) });
    let routes = json!([
        { "host": "local.test", "function": "probe" },
        { "host": "emulator.test", "function": "contained", "payload": "alb" },
    ]);
    let invoker = Invoker::start(&functions);
    let envoy = generated(NEWEST, &functions, &routes, &invoker);
    let event = envoy.request("GET", "/a").host("local.test").send().json();
    assert_eq!(event["version"], "2.0");
    assert!(!emulator.log().contains("START"));
    let event = envoy
        .request("GET", "/a")
        .host("emulator.test")
        .send()
        .json();
    assert!(event["requestContext"]["elb"].is_object(), "{event}");
    emulator.log_with("START");
}

#[test]
fn check_reports_envoys_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lrp = "local: [{ hostname: a.lb, endpoint: http://a }]";
    let lrp = write_file(folder.path(), "lrp.yaml", lrp);
    let good = envoy_config(NEWEST, &["--lrp", &lrp, "--check"]);
    assert_eq!((good.status, good.stderr.as_str()), (Some(0), ""));
    assert_eq!(good.stdout, envoy_config(NEWEST, &["--lrp", &lrp]).stdout);
    // No Envoy can connect to such a path.
    let long = format!("unix:///{}", "x".repeat(200));
    let bad = envoy_config(NEWEST, &["--lrp", &lrp, "--check", "--invoker", &long]);
    assert_eq!((bad.status, bad.stdout.as_str()), (Some(1), ""));
    assert!(
        bad.stderr.contains("refuses the configuration"),
        "{}",
        bad.stderr
    );
    assert!(bad.stderr.contains("path"), "{}", bad.stderr);
}

#[test]
fn the_filters_equal_those_of_the_shipped_configurations() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = "{ functions: { f: { rie: http://f } }, routes: [{ function: f }] }";
    let config = write_file(folder.path(), "invoker.yaml", config);
    let filter = ["--filter", "lambda_filter.wasm"];
    let output = envoy_config(
        NEWEST,
        &[&["--config", &config], filter.as_slice()].concat(),
    );
    let mut generated = mesh::Config(serde_saphyr::from_str(&output.stdout).expect("YAML"));
    let mut shipped = mesh::Config::shipped("local.yaml");
    for config in [&mut generated, &mut shipped] {
        config.plugin()["vm_config"]["code"] = json!("wherever the filter is");
    }
    assert_eq!(generated.protocol_options(), shipped.protocol_options());
    assert_eq!(generated.at("/stats_config"), shipped.at("/stats_config"));
}

/// Generates any route that a file may have.
fn route() -> impl Strategy<Value = Value> {
    let host = prop_oneof![
        Just("*".to_owned()),
        "[a-z0-9_]{1,8}(\\.[a-z0-9]{1,8}){0,2}",
        "\\*\\.[a-z0-9]{1,8}",
    ];
    let segment = prop_oneof!["[a-zA-Z0-9._~%!$&'(),;=:@-]{1,6}", "\\{[a-z]{2}\\}"];
    let path = (
        prop::collection::vec(segment, 0..4),
        prop_oneof![Just(""), Just("/*")],
    );
    let path = path.prop_map(|(segments, end)| {
        let path: String = segments
            .iter()
            .map(|segment| format!("/{segment}"))
            .collect();
        match (path.as_str(), end) {
            ("", "") => "/".to_owned(),
            (_, "/*") if path.contains('{') => path,
            _ => path + end,
        }
    });
    let stage = "[^/\\p{C}]{1,8}";
    let timeout = 1..=900_000_u32;
    (host, path, stage, timeout).prop_map(|(host, path, stage, timeout)| {
        json!({
            "host": host,
            "path": path,
            "function": "probe",
            "stage": stage,
            "timeout": format!("{timeout}ms"),
        })
    })
}

#[test]
fn envoy_accepts_all_valid_routes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = Config {
        // Each case takes a second of processor time.
        cases: 4,
        failure_persistence: None,
        ..Config::default()
    };
    let routes = prop::collection::vec(route(), 1..20);
    let outcome = TestRunner::new(config).run(&routes, |routes| {
        let functions = json!({ "probe": { "rie": "http://probe" } });
        let text = json!({ "functions": functions, "routes": routes }).to_string();
        let path = write_file(folder.path(), "invoker.yaml", &text);
        let output = envoy_config(NEWEST, &["--config", &path, "--check"]);
        // Routes that hide each other and names that a path has twice are reported as mistakes.
        prop_assume!(output.status != Some(2));
        prop_assert_eq!(output.status, Some(0), "{}\n{}", text, output.stderr);
        Ok(())
    });
    outcome.expect("valid routes make a valid configuration");
}
