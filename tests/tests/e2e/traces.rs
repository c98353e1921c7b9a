//! One trace goes from the client through Envoy and the invoker to the function, by the shipped configuration.

use std::env;
use std::net::SocketAddr;

use hyper::header::HeaderValue;
use lambda_api::trace::{Trace, TraceContext};
use lambda_mesh_tests::aws::certificates;
use lambda_mesh_tests::client::{Request, Response};
use lambda_mesh_tests::collector::{Collector, Span};
use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::generated::envoy_config;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Config, Mesh, on_each_envoy};
use lambda_mesh_tests::proxy::Proxy;
use lambda_mesh_tests::up::{ProjectFolder, Up, python_function};
use lambda_mesh_tests::upstream::{Call, Upstream};
use serde_json::{Value, json};
use xtask::workspace_root;

const TRACE: &str = "58406520a006649127e371903a2de979";
const PARENT: &str = "00-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01";

/// Returns the shipped configuration with this collector.
fn config(collector: SocketAddr) -> Config {
    let mut config = Config::shipped("tracing.yaml");
    config.set_address("collector", collector);
    config
}

/// Returns the place in a trace that both headers of a call name.
fn context(call: &Call) -> TraceContext {
    let header = |name: &str| call.headers.get(name).map(HeaderValue::as_bytes);
    let (xray, parent) = (header("x-amzn-trace-id"), header("traceparent"));
    let xray = Trace::read(xray, None).expect("a trace of X-Ray").context;
    let parent = parent.and_then(TraceContext::from_traceparent);
    assert_eq!(Some(xray), parent, "{call:?}");
    xray
}

/// Envoy injects its span before the filters of the cluster see a request.
#[test]
fn the_span_of_envoy_is_the_parent_in_both_headers() {
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mesh = Mesh::from_config(config(free_address())).endpoint(&upstream);
        let mesh = mesh.envoy(version).start();
        let begun = [mesh.get("/"), mesh.post("/", "text")];
        for (index, request) in begun.into_iter().enumerate() {
            assert_eq!(request.send().status, 200);
            let call = upstream.calls().remove(index);
            let context = context(&call);
            assert_eq!(context.is_sampled, Some(true), "{call:?}");
            let told = &call.event()["headers"]["x-amzn-trace-id"];
            assert_eq!(told, &context.to_xray(), "{call:?}");
        }
        let request = mesh.post("/", "text").header("traceparent", PARENT);
        assert_eq!(request.header("tracestate", "a=1").send().status, 200);
        let call = upstream.calls().remove(2);
        let continued = context(&call);
        assert_eq!(format!("{:032x}", continued.trace_id), TRACE);
        assert_ne!(
            continued.to_traceparent().as_deref(),
            Some(PARENT),
            "{call:?}"
        );
        assert_eq!(call.headers["tracestate"], "a=1");
        let unsampled = PARENT.replace("-01", "-00");
        let request = mesh.post("/", "text").header("traceparent", &unsampled);
        assert_eq!(request.send().status, 200);
        assert_eq!(context(&upstream.calls()[3]).is_sampled, Some(false));
        // Envoy's tracer does not know X-Ray. A trace of its own goes on beside that of Envoy.
        let xray = "Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=0";
        let request = mesh.post("/", "text").header("x-amzn-trace-id", xray);
        assert_eq!(request.send().status, 200);
        let call = &upstream.calls()[4];
        assert_eq!(call.headers["x-amzn-trace-id"], xray);
        let parent = TraceContext::from_traceparent(call.headers["traceparent"].as_bytes());
        assert_ne!(
            parent
                .map(|parent| format!("{:032x}", parent.trace_id))
                .as_deref(),
            Some(TRACE)
        );
    });
}

/// Returns the configuration of an invoker with a function that continues the trace.
fn invoker(collector: &Collector) -> Value {
    let packages = xtask::python::opentelemetry().expect("OpenTelemetry for Python");
    let python = xtask::python::environment().expect("an environment for Python");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = [python.join("bin")]
        .into_iter()
        .chain(env::split_paths(&path));
    let path = env::join_paths(path).expect("a path without `:`");
    json!({
        "traces": { "endpoint": collector.url() },
        "functions": { "hello": { "local": {
            "command": ["python3", "-m", "awslambdaric", "app.handler"],
            "directory": workspace_root().join("tests/fixtures/traced"),
            "timeout": "30s",
            "init_timeout": "30s",
            "env": {
                "PATH": path.to_str(),
                "PYTHONPATH": packages,
                "OTEL_SERVICE_NAME": "function",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url(),
            },
        } } },
    })
}

/// Returns the only span with this service and name.
fn only<'s>(spans: &'s [Span], service: &str, name: &str) -> &'s Span {
    let is_it = |span: &&Span| span.service == service && span.name.starts_with(name);
    let found: Vec<_> = spans.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{service} {name}: {spans:#?}");
    found[0]
}

/// Checks the trace of one call, from Envoy to the function, and returns the span of Envoy.
#[track_caller]
fn assert_whole<'s>(spans: &'s [Span], is_cold: bool, response: &Response) -> &'s Span {
    let invocation = only(spans, "sidecar-invoker", "invoke hello");
    let above = |span: &Span| spans.iter().find(|above| above.id == span.parent);
    // A span for the attempt, below that of the request.
    let attempt = above(invocation).expect("a span of Envoy");
    let request = above(attempt).expect("a span of Envoy");
    assert_eq!((&*attempt.service, &*request.service), ("envoy", "envoy"));
    let tag = ("faas.invoked_name".to_owned(), "hello".to_owned());
    assert!(invocation.attributes.contains(&tag), "{invocation:#?}");
    let parts: &[&str] = match is_cold {
        true => &["queue", "init", "invoke"],
        false => &["queue", "invoke"],
    };
    for name in parts {
        let part = spans
            .iter()
            .find(|span| span.name == *name && span.service == "sidecar-invoker");
        assert!(part.is_some(), "no {name} in {spans:#?}");
        let part = part.expect("a part");
        assert_eq!(part.parent, invocation.id, "{spans:#?}");
        assert!(
            part.time.0 >= invocation.time.0 && part.time.1 <= invocation.time.1,
            "{spans:#?}"
        );
    }
    let handler = only(spans, "function", "handler");
    assert_eq!(handler.parent, invocation.id, "{spans:#?}");
    assert_eq!(spans.len(), 4 + parts.len(), "{spans:#?}");
    let told = response.json()["trace"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        told.contains(&format!("Parent={};Sampled=1", invocation.id)),
        "{told}"
    );
    request
}

#[test]
fn one_trace_goes_from_envoy_through_the_invoker_to_the_function() {
    let Some(collector) =
        Collector::start("traces::one_trace_goes_from_envoy_through_the_invoker_to_the_function")
    else {
        return;
    };
    let invoker = Invoker::with(invoker(&collector)).start();
    let config = config(collector.address);
    let mesh = Mesh::from_config(config).endpoint(&invoker).start();
    // The trace begins in Envoy.
    let response = mesh.get("/").send();
    assert_eq!(response.status, 200, "{response:?}");
    let told = response.json();
    let told = told["trace"].as_str().expect("a trace");
    let trace = Trace::read(Some(told.as_bytes()), None).expect("a trace of X-Ray");
    let trace_id = format!("{:032x}", trace.context.trace_id);
    let spans = collector.wait_for(&trace_id, 7);
    assert_eq!(assert_whole(&spans, true, &response).parent, "");

    // The trace of a client goes on.
    let request = mesh.post("/", "text").header("traceparent", PARENT);
    let response = request.header("tracestate", "a=1").send();
    assert_eq!(response.status, 200, "{response:?}");
    let spans = collector.wait_for(TRACE, 6);
    let request = assert_whole(&spans, false, &response);
    assert_eq!(request.parent, "53995c3f42cd8ad8");
    assert_eq!(only(&spans, "sidecar-invoker", "invoke hello").state, "a=1");
}

/// The rules are those of calls to AWS.
#[test]
fn spans_go_through_the_proxy_of_the_environment_unless_it_excepts_the_collector() {
    let name =
        "traces::spans_go_through_the_proxy_of_the_environment_unless_it_excepts_the_collector";
    let Some(collector) = Collector::start_with_tls(name) else {
        return;
    };
    let proxy = Proxy::start();
    let endpoint = format!("https://{}", collector.address);
    // A failed call has a span too.
    let nowhere = format!("http://{}", free_address());
    let config = json!({
        "traces": { "endpoint": endpoint },
        "functions": { "f": { "rie": nowhere } },
    });
    for (no_proxy, trace, tunnels) in [
        ("127.0.0.1", "58406520a006649127e371903a2de971", 0),
        ("example.com", "58406520a006649127e371903a2de972", 1),
    ] {
        let invoker = Invoker::with(config.clone())
            .env("SSL_CERT_FILE", certificates().display().to_string())
            .env("HTTPS_PROXY", &proxy.url)
            .env("NO_PROXY", no_proxy)
            .start();
        let path = "/2015-03-31/functions/f/invocations";
        let request = Request::new(invoker.address(), "POST", path).body("{}");
        let parent = format!("00-{trace}-53995c3f42cd8ad8-01");
        assert_eq!(request.header("traceparent", parent).send().status, 502);
        let spans = collector.wait_for(trace, 1);
        assert_eq!(spans[0].parent, "53995c3f42cd8ad8");
        let heads = proxy.heads();
        let tunnel = format!("CONNECT {} HTTP/1.1\r\n", collector.address);
        assert!(
            heads.iter().all(|head| head.starts_with(&tunnel)),
            "{heads:?}"
        );
        assert_eq!(heads.len(), tunnels, "{heads:?}");
    }
}

/// `up` and the environment variables of OpenTelemetry are enough for Envoy and the invoker.
#[test]
fn up_sends_the_spans_of_envoy_and_of_the_invoker_to_one_collector() {
    let name = "traces::up_sends_the_spans_of_envoy_and_of_the_invoker_to_one_collector";
    let Some(collector) = Collector::start(name) else {
        return;
    };
    let folder = ProjectFolder::new(&[("hello/app.py", &python_function("one"))]);
    let mut command = folder.command();
    command
        .arg("hello")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let up = Up::start(&command).expect("a served project");
    let request = up.request("GET", "/a").header("traceparent", PARENT);
    assert_eq!(request.send().text(), "one /a");
    let spans = collector.wait_for(TRACE, 6);
    let invocation = only(&spans, "sidecar-invoker", "invoke hello");
    let attempt = spans.iter().find(|span| span.id == invocation.parent);
    let attempt = attempt.expect("a span of Envoy");
    let request = spans.iter().find(|span| span.id == attempt.parent);
    assert_eq!(request.expect("a span of Envoy").parent, "53995c3f42cd8ad8");
}

#[test]
fn a_generated_configuration_with_a_tracer_is_valid_in_each_envoy() {
    let folder = ProjectFolder::new(&[(
        "invoker.yaml",
        "traces: { endpoint: 'https://otlp.example.com', headers: { x-api-key: 'a b' }, sample_ratio: 0.25 }\n\
         aws: { region: eu-west-1 }\nroutes: [{ function: f }]\n",
    )]);
    let file = folder.path().join("invoker.yaml");
    let file = file.to_str().expect("a path in UTF-8");
    on_each_envoy(|version| {
        let written = envoy_config(version, &["--config", file, "--check"]);
        assert_eq!(written.status, Some(0), "{written:?}");
        let config: Value = serde_saphyr::from_str(&written.stdout).expect("YAML");
        let mut config = Config(config);
        let tracing = config.connection_manager()["tracing"].clone();
        assert_eq!(tracing["random_sampling"]["value"], 25.0, "{tracing}");
        let service = &tracing["provider"]["typed_config"]["http_service"];
        assert_eq!(
            service["http_uri"]["uri"],
            "https://otlp.example.com/v1/traces"
        );
        let header = &service["request_headers_to_add"][0]["header"];
        assert_eq!(*header, json!({ "key": "x-api-key", "value": "a b" }));
        let clusters = config.clusters();
        let collector = clusters
            .iter()
            .find(|cluster| cluster["name"] == "collector");
        assert!(collector.is_some_and(|cluster| cluster["transport_socket"].is_object()));
    });
}
