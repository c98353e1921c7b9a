//! Envoy's statistics count invocations, errors and times of each function, under the same names with each host.

use std::collections::BTreeMap;

use lambda_mesh_tests::eventually;
use lambda_mesh_tests::kubernetes::documents;
use lambda_mesh_tests::kubernetes::istio::{self, Proxy};
use lambda_mesh_tests::mesh::{Mesh, on_each_envoy, route};
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::{Value, json};
use xtask::workspace_root;

/// The series of an Envoy in Prometheus's text format, with their names, labels and values.
struct Series(Vec<(String, BTreeMap<String, String>, f64)>);

impl Series {
    fn of(mesh: &Mesh) -> Self {
        let text = mesh.statistics();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.strip_suffix('}')?.split_once('{')?;
            let labels = labels.split("\",").filter_map(|label| {
                let (name, value) = label.split_once("=\"")?;
                Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
            });
            Some((name.to_owned(), labels.collect(), value.parse().ok()?))
        });
        Self(series.collect())
    }

    /// Returns the sum of the series of this name that have these labels, and no other of the filter's.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has_labels = |found: &BTreeMap<String, String>| {
            let is_own =
                |name: &&String| ["function", "qualifier", "error"].contains(&name.as_str());
            labels
                .iter()
                .all(|(name, value)| found.get(*name).is_some_and(|found| found == value))
                && found
                    .keys()
                    .filter(is_own)
                    .all(|own| labels.iter().any(|(name, _)| name == own))
        };
        let series = self.0.iter();
        let series = series.filter(|(found, labels, _)| found == name && has_labels(labels));
        series.map(|(_, _, value)| value).sum()
    }
}

/// Has Envoy merge the histograms of its workers soon. By default it does so every five seconds.
fn flush_soon(config: &mut Value) {
    config["stats_flush_interval"] = json!("0.1s");
}

#[test]
fn each_function_has_its_own_figures() {
    const ODD: &str = "arn:aws:lambda:eu-west-1:123456789012:function:Odd_name-1:$LATEST.PUBLISHED";
    on_each_envoy(|version| {
        let upstream = Upstream::start(|call| match call.headers["x-request-id"].to_str() {
            Ok("error") => ScriptedResponse::function_error("KeyError", "'id'"),
            Ok("timeout") => ScriptedResponse::function_error("Sandbox.Timedout", "too late"),
            Ok("exit") => ScriptedResponse::function_error("Runtime.ExitError", "gone"),
            Ok("large") => {
                ScriptedResponse::function_error("Function.ResponseSizeTooLarge", "too large")
            }
            Ok("malformed") => ScriptedResponse::bytes("nonsense"),
            Ok("throttled") => ScriptedResponse::service_error(429, "TooManyRequestsException"),
            Ok("service") => ScriptedResponse::service_error(404, "ResourceNotFoundException"),
            Ok("reset") => ScriptedResponse::reset(),
            _ => ScriptedResponse::payload(&json!({ "statusCode": 200 })),
        });
        let small = json!({ "function": "small", "qualifier": "live", "max_request_bytes": 10 });
        let routes = [
            route(&json!({ "path": "/odd" }), &json!({ "function": ODD })),
            route(&json!({ "path": "/small" }), &small),
            route(&json!({ "path": "/none" }), &json!({ "payload": "raw" })),
            route(&json!({ "prefix": "/" }), &json!({ "function": "hello" })),
        ];
        let mesh = Mesh::to(&upstream)
            .envoy(version)
            .routes(&routes)
            .edit(|config| {
                config.connection_manager()["preserve_external_request_id"] = json!(true);
            })
            .edit_last(flush_soon)
            .start();
        let kinds = [
            ("error", "unhandled"),
            ("timeout", "timeout"),
            ("exit", "runtime"),
            ("large", "response_too_large"),
            ("malformed", "malformed"),
            ("throttled", "throttled"),
            ("service", "service"),
            ("reset", "no_response"),
        ];
        for (index, (id, _)) in kinds.iter().enumerate() {
            for _ in 0..=index {
                let response = mesh.post("/", "a body").header("x-request-id", id).send();
                assert!(response.status >= 429, "{id}: {response:?}");
            }
        }
        for (path, status) in [("/", 200), ("/odd", 200), ("/small", 413), ("/none", 500)] {
            assert_eq!(
                mesh.post(path, "a longer body").send().status,
                status,
                "{path}"
            );
        }

        let series = Series::of(&mesh);
        let errors = |labels: &[(&str, &str)]| series.sum("envoy_lambda_errors", labels);
        for (index, (_, kind)) in kinds.iter().enumerate() {
            let found = errors(&[("function", "hello"), ("error", kind)]);
            assert_eq!(found, index as f64 + 1.0, "{kind}");
        }
        let too_large = [
            ("function", "small"),
            ("qualifier", "live"),
            ("error", "request_too_large"),
        ];
        assert_eq!(errors(&too_large), 1.0);
        let unknown = [("function", "(unknown)"), ("error", "configuration")];
        assert_eq!(errors(&unknown), 1.0);
        let invocations = |labels: &[_]| series.sum("envoy_lambda_invocations", labels);
        let all: usize = (1..=kinds.len()).sum();
        assert_eq!(invocations(&[("function", "hello")]), all as f64 + 1.0);
        let odd = [
            ("function", "Odd_name-1"),
            ("qualifier", "$LATEST_PUBLISHED"),
        ];
        assert_eq!(invocations(&odd), 1.0);
        assert_eq!(
            invocations(&[("function", "small"), ("qualifier", "live")]),
            0.0
        );

        let times = eventually("the histograms are merged", || {
            let series = Series::of(&mesh);
            let count = |name: &str, labels: &[_]| {
                let count = series.sum(&format!("envoy_lambda_{name}_count"), labels);
                (count > 0.0).then_some(count)
            };
            Some([
                count("encode_time_us", &[("function", "hello")])?,
                count("decode_time_us", &[("function", "hello")])?,
                count("encode_time_us", &odd)?,
                count("decode_time_us", &odd)?,
            ])
        });
        // One attempt in sixteen is timed.
        assert_eq!(times, [3.0, times[1], 1.0, 1.0]);
        assert!((1.0..=3.0).contains(&times[1]), "{times:?}");
    });
}

#[test]
fn the_filter_s_figures_can_be_left_out() {
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mesh = Mesh::to(&upstream)
            .envoy(version)
            .edit_last(|config| {
                config["stats_config"]["stats_matcher"] = json!({ "exclusion_list": { "patterns": [
                    { "contains": "wasmcustom.lambda." },
                    { "prefix": "lambda." },
                ] } });
            })
            .start();
        assert_eq!(mesh.get("/").send().status, 200);
        let statistics = mesh.statistics();
        assert!(statistics.contains("envoy_http_downstream_rq_total"));
        assert!(!statistics.contains("envoy_lambda_"), "{statistics}");
    });
}

#[test]
fn functions_beyond_a_thousand_are_counted_together() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let routes: Vec<_> = (0..1002)
        .map(|index| {
            let path = json!({ "path": format!("/{index}") });
            route(&path, &json!({ "function": format!("f{index}") }))
        })
        .collect();
    let mesh = Mesh::to(&upstream).routes(&routes).start();
    for index in 0..1002 {
        assert_eq!(mesh.get(format!("/{index}")).send().status, 200);
    }
    assert_eq!(mesh.get("/999").send().status, 200);
    let series = Series::of(&mesh);
    let invocations = |function| series.sum("envoy_lambda_invocations", &[("function", function)]);
    let all = ["f0", "f998", "f999", "f1000", "f1001", "(others)"].map(invocations);
    assert_eq!(all, [1.0, 1.0, 2.0, 0.0, 0.0, 2.0]);
}

#[test]
fn each_route_has_envoys_own_histogram() {
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mesh = Mesh::shipped("local.yaml", &upstream)
            .envoy(version)
            .edit_last(flush_soon)
            .start();
        for (host, path) in [
            ("hello.localhost", "/"),
            ("py.localhost", "/"),
            ("a", "/py/b"),
        ] {
            assert_eq!(mesh.get(path).host(host).send().status, 200);
        }
        let counts = eventually("the histograms are merged", || {
            let series = Series::of(&mesh);
            let count = |host, function| {
                let labels = [("envoy_virtual_host", host), ("envoy_route", function)];
                series.sum("envoy_vhost_route_upstream_rq_time_count", &labels)
            };
            let counts = [
                count("hello", "hello"),
                count("py", "py"),
                count("by-path", "py"),
            ];
            counts.iter().all(|count| *count > 0.0).then_some(counts)
        });
        assert_eq!(counts, [1.0; 3]);
    });
}

/// The name of a function's cluster in Istio has dots, as the names of Istio's hosts do.
#[test]
fn functions_of_an_istio_mesh_have_figures() {
    let path = workspace_root().join("envoy/istio/install/statistics.yaml");
    let bootstrap = &documents(&path)[0]["data"]["custom_bootstrap.json"];
    let bootstrap: Value = serde_json::from_str(bootstrap.as_str().expect("text")).expect("JSON");
    on_each_envoy(|version| {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = istio::configure(Proxy::Sidecar, upstream.address, folder.path()).config;
        config.0["stats_config"] = bootstrap["stats_config"].clone();
        // As in Istio.
        config.0["stats_config"]["use_all_default_tags"] = json!(false);
        let mesh = Mesh::from_config(config)
            .envoy(version)
            .edit_last(flush_soon)
            .start();
        let response = mesh.get("/").host("orders.lambda.internal").send();
        assert_eq!(response.status, 200);
        let labels = [("function", "orders"), ("qualifier", "live")];
        let name = "envoy_lambda_invocations";
        assert_eq!(Series::of(&mesh).sum(name, &labels), 1.0);
        eventually("the histogram of the route is merged", || {
            let name = "envoy_vhost_upstream_rq_time_count";
            let count = Series::of(&mesh).sum(name, &[("route", "orders")]);
            (count > 0.0).then_some(())
        });
    });
}
