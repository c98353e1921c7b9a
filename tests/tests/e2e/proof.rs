//! The proof that a call comes from the filter, between the real Envoy and the real invoker.

use std::fs;

use lambda_mesh_tests::client::Request;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Builder, Config, Mesh, on_each_envoy, route};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::Upstream;
use serde_json::{Value, json};

use crate::service::functions;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NEXT: &str = "fedcba9876543210fedcba9876543210";
const VARIABLE: &str = "LAMBDA_MESH_SECRET";

/// Returns an invoker that demands one of these secrets.
fn invoker(secrets: &Value) -> lambda_mesh_tests::invoker::Builder {
    let callers = json!({ "filters": [{ "secrets": secrets }] });
    Invoker::with(json!({ "callers": callers, "functions": functions() })).env(VARIABLE, SECRET)
}

/// Adds the filter of docs/operations.md behind the Lambda filter.
fn with_secret_filter(config: &mut Config) {
    let filters = config.filters();
    let codec = filters.len() - 1;
    filters.insert(codec, json!({
        "name": "lambda.secret",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": { "request_mutations": [{ "append": {
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                "header": { "key": "x-lambda-mesh-secret", "value": "%ENVIRONMENT(LAMBDA_MESH_SECRET)%" },
            } }] },
        },
    }));
}

/// Adds a cluster `raw` without the filter, for the host `raw.test`.
fn with_raw_route(builder: Builder, invoker: &Invoker) -> Builder {
    let mut raw = route(&json!({ "prefix": "/" }), &json!({}));
    raw["route"]["cluster"] = json!("raw");
    let filtered = route(&json!({ "prefix": "/" }), &json!({ "function": "probe" }));
    let hosts = [
        json!({ "name": "raw", "domains": ["raw.test"], "routes": [raw] }),
        json!({ "name": "all", "domains": ["*"], "routes": [filtered] }),
    ];
    builder.virtual_hosts(&hosts).edit(|config| {
        let mut cluster = config.cluster().clone();
        cluster["name"] = json!("raw");
        cluster["load_assignment"]["cluster_name"] = json!("raw");
        let options = &mut cluster["typed_extension_protocol_options"];
        let options = &mut options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
        let filters = options["http_filters"].as_array_mut().expect("filters");
        filters.retain(|filter| filter["name"] == "envoy.filters.http.upstream_codec");
        config.clusters().push(cluster);
        config.set_address("raw", invoker.address());
    })
}

/// Returns the statuses of a request without a body and of one with a body.
fn statuses(mesh: &Mesh) -> [u16; 2] {
    [mesh.get("/echo"), mesh.post("/echo", "a body")].map(|request| request.send().status)
}

#[test]
fn a_route_past_the_filter_is_refused() {
    let invoker = invoker(&json!(["env:LAMBDA_MESH_SECRET"])).start();
    on_each_envoy(|version| {
        let mesh = with_raw_route(Mesh::to(&invoker), &invoker).envoy(version);
        let mesh = mesh
            .environment(VARIABLE, SECRET)
            .edit(with_secret_filter)
            .start();
        assert_eq!(statuses(&mesh), [200, 200]);
        let invoke = "/2015-03-31/functions/probe/invocations";
        let stream = "/2021-11-15/functions/probe/response-streaming-invocations";
        for (path, kind) in [
            (invoke, "RequestResponse"),
            (invoke, "Event"),
            (invoke, "DryRun"),
            (stream, "RequestResponse"),
            ("/", "RequestResponse"),
        ] {
            let request = mesh.post(path, "{}").host("raw.test");
            let response = request.header("x-amz-invocation-type", kind).send();
            assert_eq!(response.status, 403, "{path} {kind}");
            let name = response.header("x-amzn-errortype");
            assert_eq!(name, "MissingAuthenticationTokenException", "{path} {kind}");
        }
        let request = mesh.get("/").host("raw.test");
        let invocation = format!("RequestResponse - {invoke} {{}}");
        let response = request
            .header("x-lambda-mesh-invocation", &invocation)
            .send();
        assert_eq!(response.status, 403);
    });
}

#[test]
fn a_filter_with_another_secret_or_none_gets_nothing_and_its_client_learns_nothing() {
    let invoker = invoker(&json!(["env:LAMBDA_MESH_SECRET"])).start();
    let none = Mesh::to(&invoker).start();
    assert_eq!(statuses(&none), [502, 502]);
    none.log_with("403 (MissingAuthenticationTokenException)");
    for wrong in [Some(NEXT), None] {
        let mesh = Mesh::to(&invoker).edit(with_secret_filter);
        let mesh = match wrong {
            Some(wrong) => mesh.environment(VARIABLE, wrong).start(),
            None => mesh.start(),
        };
        assert_eq!(statuses(&mesh), [502, 502]);
        mesh.log_with("403 (UnrecognizedClientException)");
        let request = mesh.get("/echo").header("x-lambda-mesh-secret", SECRET);
        let response = request.send();
        assert_eq!(response.status, 502);
        assert_eq!(response.text(), r#"{"message":"Bad Gateway"}"#);
    }
    invoker.log_with("a caller was refused");
}

#[test]
fn a_clients_own_secret_counts_for_nothing() {
    on_each_envoy(|version| {
        for own in [None, Some(SECRET)] {
            let upstream = Upstream::responding(json!({ "statusCode": 200 }));
            let mut plugin = json!({ "payload": "apigateway-v2" });
            if let Some(own) = own {
                plugin["invoker_secret"] = json!(own);
            }
            let mesh = Mesh::to(&upstream).envoy(version).plugin(&plugin).start();
            for request in [mesh.get("/"), mesh.post("/", "x")] {
                let request = request.header("x-lambda-mesh-secret", "forged-1");
                let request = request.header("x-lambda-mesh-secret", "forged-2");
                assert_eq!(request.send().status, 200);
            }
            for call in upstream.calls() {
                let event = call.event().to_string();
                assert!(
                    !event.contains("forged") && !event.contains(SECRET),
                    "{event}"
                );
                let secrets = call.headers.get_all("x-lambda-mesh-secret").iter();
                let secrets = secrets.map(|value| value.to_str().expect("ASCII"));
                let secrets: Vec<_> = secrets.filter(|value| !value.is_empty()).collect();
                assert_eq!(
                    secrets,
                    Vec::from_iter(own),
                    "in a header: {}",
                    call.is_in_header
                );
            }
        }
    });
}

#[test]
fn the_secret_is_in_no_log_no_dump_and_no_event() {
    let invoker = invoker(&json!(["env:LAMBDA_MESH_SECRET"]))
        .env("RUST_LOG", "trace")
        .start();
    on_each_envoy(|version| {
        let mesh = Mesh::to(&invoker).envoy(version).log_level("debug");
        let mesh = mesh
            .environment(VARIABLE, SECRET)
            .edit(with_secret_filter)
            .start();
        for request in [mesh.get("/echo"), mesh.post("/echo", "a body")] {
            let response = request.send();
            assert_eq!(response.status, 200);
            assert!(!format!("{response:?}").contains(SECRET), "{response:?}");
        }
        let dump = Request::new(mesh.admin, "GET", "/config_dump").send();
        assert!(dump.text().contains("%ENVIRONMENT(LAMBDA_MESH_SECRET)%"));
        assert!(!dump.text().contains(SECRET));
        let log = mesh.log();
        assert!(log.contains("[debug]") && !log.contains(SECRET), "{log}");
    });
    let log = invoker.log();
    assert!(log.contains("DEBUG") && !log.contains(SECRET), "{log}");
}

#[test]
fn a_rotation_refuses_no_call() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, secret: &str| {
        fs::write(folder.path().join(name), secret).expect("a file in a temporary folder");
    };
    let file = |name: &str| format!("file:{}", folder.path().join(name).display());
    write("current", SECRET);
    write("next", SECRET);
    let invoker = invoker(&json!([file("current"), file("next")])).start();
    let envoy = |secret| {
        let mesh = Mesh::to(&invoker).environment(VARIABLE, secret);
        mesh.edit(with_secret_filter).start()
    };
    let old = envoy(SECRET);
    assert_eq!(statuses(&old), [200, 200]);
    write("next", NEXT);
    let new = envoy(NEXT);
    eventually("the next secret counts", || {
        (statuses(&new) == [200, 200]).then_some(())
    });
    assert_eq!(statuses(&old), [200, 200]);
    write("current", NEXT);
    eventually("the old secret is void", || {
        (statuses(&old) == [502, 502]).then_some(())
    });
    assert_eq!(statuses(&new), [200, 200]);
}
