//! Rules for every shipped configuration.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::kubernetes::istio::{self, Proxy};
use lambda_mesh_tests::kubernetes::{documents, envoy_gateway};
use lambda_mesh_tests::mesh::{Config, Mesh, on_each_envoy};
use serde_json::{Value, json};
use xtask::envoy::OLDEST;
use xtask::workspace_root;

use crate::service::probe;

/// Returns the Envoy configurations: the files in `envoy/`, and the file of the Kubernetes gateway.
fn configurations() -> Vec<PathBuf> {
    let folder = workspace_root().join("envoy");
    let mut found: Vec<_> = fs::read_dir(&folder)
        .expect("the folder of configurations")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    found.push(folder.join("kubernetes/envoy.yaml"));
    found.sort();
    assert!(found.len() >= 9, "{found:?}");
    found
}

/// Returns the text of a configuration, with paths of existing files.
fn with_existing_files(path: &Path, [filter, module]: [&Path; 2]) -> String {
    let text = fs::read_to_string(path).expect("a file in UTF-8");
    let keys = workspace_root().join("tests/fixtures/jwt/jwks.json");
    let places = [
        ("target/dist/lambda_filter.wasm", filter),
        ("/etc/envoy/lambda_filter.wasm", filter),
        ("/etc/envoy/liblambda_filter.so", module),
        ("/etc/envoy/jwks.json", &keys),
    ];
    places.into_iter().fold(text, |text, (name, path)| {
        text.replace(name, path.to_str().expect("a path in UTF-8"))
    })
}

#[test]
fn each_file_is_valid_in_each_envoy_without_warnings() {
    // Envoy 1.40 wants the list in `vm_config`, where 1.36 refuses it. Both accept it beside `vm_config`.
    const MOVED: &str =
        "deprecated option 'envoy.extensions.wasm.v3.PluginConfig.capability_restriction_config'";
    let filter = xtask::wasm::build().expect("the filter");
    let module = xtask::native::build().expect("the native module");
    let folder = tempfile::tempdir().expect("a temporary folder");
    on_each_envoy(|version| {
        let envoy = xtask::envoy::binary(version).expect("Envoy");
        for path in configurations() {
            if version == OLDEST && Config::is_native(&path) {
                continue;
            }
            let copy = folder.path().join("envoy.yaml");
            fs::write(&copy, with_existing_files(&path, [&filter, &module]))
                .expect("a file in a temporary folder");
            let output = Command::new(&envoy)
                .current_dir(workspace_root())
                .args([
                    "--mode",
                    "validate",
                    "--log-level",
                    "warning",
                    "--config-path",
                ])
                .arg(&copy)
                .output()
                .expect("Envoy runs");
            let log = String::from_utf8_lossy(&output.stderr);
            let name = path.display();
            assert!(output.status.success(), "{name}: {log}");
            // Envoy warns of deprecated fields and of other questionable settings.
            let warnings: Vec<_> = log.lines().filter(|line| !line.contains(MOVED)).collect();
            assert!(warnings.is_empty(), "{name}: {warnings:#?}");
        }
    });
}

/// The files for images of this project have the native module. The others run in each Envoy.
#[test]
fn functions_get_the_same_events_through_both_modules() {
    const VARIABLE: [&str; 5] = [
        "requestId",
        "time",
        "timeEpoch",
        "x-amzn-trace-id",
        "x-request-id",
    ];
    let function = json!({ "local": { "command": [probe()] } });
    let functions = json!({ "orders": function, "billing": function });
    let invoker = Invoker::start(&functions);
    for (name, hosts) in [
        ("emulators.yaml", &["orders.lambda.internal", "billing"][..]),
        ("kubernetes/envoy.yaml", &["orders.example.com"]),
    ] {
        assert!(Config::is_native(name), "{name}");
        let events = |mesh: &Mesh| -> Vec<Value> {
            let requests = hosts.iter().flat_map(|host| {
                let list = mesh.get("/a%20b/c?x=1&x=2&y=%C3%BC");
                let json = mesh.post("/orders", "{\"n\":1}");
                let bytes = mesh.post("/file", vec![0, 159, 146, 150]);
                [
                    list.header("cookie", "a=1; b=2"),
                    json.header("content-type", "application/json"),
                    bytes.header("content-type", "image/png"),
                    mesh.request("DELETE", "/orders/7"),
                ]
                .map(|request| request.host(host))
            });
            let events = requests.map(|request| {
                let response = request.send();
                assert_eq!(response.status, 200, "{name}: {response:?}");
                let mut event = response.json();
                for part in ["/headers", "/requestContext"] {
                    let part = event.pointer_mut(part).and_then(Value::as_object_mut);
                    part.expect(name)
                        .retain(|key, _| !VARIABLE.contains(&&**key));
                }
                event
            });
            events.collect()
        };
        let shipped = || Mesh::shipped(name, &invoker);
        let native = events(&shipped().start());
        assert!(native.len() >= 4);
        assert_eq!(native, events(&shipped().keep_wasm().start()), "{name}");
        assert_eq!(native, events(&shipped().envoy(OLDEST).start()), "{name}");
    }
}

/// Users copy these fields without change, so that they must be the same in all files.
#[test]
fn the_boilerplate_equals_that_of_local_yaml() {
    let explained = boilerplate(Config::shipped("local.yaml"));
    assert_eq!(explained.len(), 1);
    let files = configurations().into_iter();
    let files = files.map(|path| (path.display().to_string(), Config::shipped(&path)));
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let applied = [
        (
            "Envoy Gateway".to_owned(),
            envoy_gateway::configure(nowhere),
        ),
        (
            "Istio".to_owned(),
            istio::configure(Proxy::Sidecar, nowhere, folder.path()).config,
        ),
    ];
    for (name, config) in files.chain(applied) {
        let functions = boilerplate(config);
        assert!(!functions.is_empty(), "{name} has no functions");
        for function in functions {
            assert_eq!(function, explained[0], "{name}");
        }
    }
}

/// The parts of a statistic's name end at dots.
#[test]
fn each_route_and_each_function_has_statistics_of_its_own() {
    let rules = Config::shipped("local.yaml").at("/stats_config").clone();
    let mut count = 0;
    for path in configurations() {
        let name = path.display().to_string();
        let mut config = Config::shipped(&path);
        assert_eq!(*config.at("/stats_config"), rules, "{name}");
        let clusters = config.clusters().iter();
        let is_of_functions =
            |cluster: &&Value| cluster.to_string().contains("proxy_define_metric");
        let clusters = clusters.filter(is_of_functions);
        let clusters: Vec<_> = clusters.map(|cluster| cluster["name"].clone()).collect();
        for host in config.virtual_hosts().as_array().expect("a list") {
            let host_name = host["name"].as_str().expect("a name");
            assert!(!host_name.contains('.'), "{name}: {host_name}");
            for route in host["routes"].as_array().expect("a list") {
                let weighted = &route["route"]["weighted_clusters"]["clusters"][0]["name"];
                let cluster = match &route["route"]["cluster"] {
                    Value::Null => weighted,
                    cluster => cluster,
                };
                if clusters.contains(cluster) {
                    let prefix = route["stat_prefix"].as_str();
                    let is_part = prefix.is_some_and(|prefix| !prefix.contains('.'));
                    assert!(is_part, "{name}: {route}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 20, "{count}");
}

/// Istio's own bootstrap comes first, and the proxy adds this one to it.
#[test]
fn gateways_and_meshes_have_the_rules_of_statistics() {
    let rules = Config::shipped("local.yaml").at("/stats_config").clone();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut gateway = envoy_gateway::configure(nowhere);
    assert_eq!(*gateway.at("/stats_config"), rules);

    let path = workspace_root().join("envoy/istio/install/statistics.yaml");
    let added = documents(&path)[0]["data"]["custom_bootstrap.json"].clone();
    let added: Value = serde_json::from_str(added.as_str().expect("text")).expect("JSON");
    let added = added["stats_config"]["stats_tags"]
        .as_array()
        .expect("a list");
    let rules = rules["stats_tags"].as_array().expect("a list");
    assert_eq!(added[..rules.len()], rules[..]);
}

/// A rule of Envoy's on a path, and the function, have to see the same path. The setting for that depends on
/// the format: REST APIs merge slashes at the beginning of a path, HTTP APIs decode escaped ones.
#[test]
fn each_connection_manager_normalises_paths_by_the_formats_of_its_routes() {
    for path in configurations() {
        let name = path.display().to_string();
        let mut config = Config::shipped(&path);
        let text = config.0.to_string();
        let manager = config.connection_manager();
        assert_eq!(manager["normalize_path"], true, "{name}");
        let action = &manager["path_with_escaped_slashes_action"];
        if text.contains("\"payload\":\"apigateway-v1\"") {
            assert_eq!(manager["merge_slashes"], true, "{name}");
            let actions = ["REJECT_REQUEST", "KEEP_UNCHANGED"];
            let is_known = actions.iter().any(|known| action == known);
            assert!(is_known, "{name}: {action}");
        } else {
            assert_eq!(*action, "UNESCAPE_AND_FORWARD", "{name}");
        }
        let upgrades = &manager["http_protocol_options"]["ignore_http_11_upgrade"];
        assert_eq!(*upgrades, json!([{ "prefix": "TLS/" }]), "{name}");
        assert_eq!(manager["strip_trailing_host_dot"], true, "{name}");
        let removed = &manager["route_config"]["request_headers_to_remove"];
        let expected = json!([
            "x-envoy-hedge-on-per-try-timeout",
            "x-envoy-retriable-header-names",
            "x-envoy-retriable-status-codes",
        ]);
        assert_eq!(*removed, expected, "{name}");
    }
}

/// A request is held until it is whole. The configurations for strangers limit its size and its time.
#[test]
fn each_configuration_for_strangers_limits_uploads() {
    let mut count = 0;
    for path in configurations() {
        let name = path.display().to_string();
        let mut config = Config::shipped(&path);
        if config.0["overload_manager"].is_null() {
            continue;
        }
        count += 1;
        assert_eq!(
            config.connection_manager()["request_timeout"],
            "30s",
            "{name}"
        );
        for cluster in config.clusters().clone() {
            let cluster = cluster.to_string();
            let is_limited = cluster.contains("\"max_request_bytes\":1048576");
            assert_eq!(cluster.contains("\"bodyless_event\""), is_limited, "{name}");
        }
    }
    assert_eq!(count, 4);
}

/// The shipped configurations allow exactly the calls that the source of the filter makes and takes. A new
/// call must be added to their list, and an old one removed.
#[test]
fn the_filter_may_make_the_calls_that_it_makes_and_no_others() {
    // The name in the SDK, and that in the ABI.
    const HOST_CALLS: [(&str, &str); 16] = [
        ("define_metric", "proxy_define_metric"),
        ("get_buffer", "proxy_get_buffer_bytes"),
        ("get_current_time", "proxy_get_current_time_nanoseconds"),
        ("get_map_bytes", "proxy_get_header_map_pairs"),
        ("get_property", "proxy_get_property"),
        ("increment_metric", "proxy_increment_metric"),
        ("record_metric", "proxy_record_metric"),
        ("reset_http_response", "proxy_close_stream"),
        ("send_http_response", "proxy_send_local_response"),
        ("set_buffer", "proxy_set_buffer_bytes"),
        ("set_effective_context", "proxy_set_effective_context"),
        ("set_map_bytes", "proxy_set_header_map_pairs"),
        ("set_map_value_bytes", "proxy_replace_header_map_value"),
        ("set_property", "proxy_set_property"),
        ("set_tick_period", "proxy_set_tick_period_milliseconds"),
        // By the macros of the crate `log`.
        ("log", "proxy_log"),
    ];
    let folder = workspace_root().join("filter/wasm/src");
    let sources = fs::read_dir(folder).expect("the filter's source");
    let source: String = sources
        .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("a source file"))
        .collect();
    let calls = source.split("hostcalls::").skip(1);
    let calls = calls.filter_map(|rest| Some(rest.split_once('(')?.0));
    let is_name = |name: &&str| {
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let calls = calls.filter(is_name).chain(["log"]).map(|name| {
        let known = HOST_CALLS.iter().find(|(sdk, _)| *sdk == name);
        let known = known.unwrap_or_else(|| panic!("{name} is not in this test"));
        known.1.to_owned()
    });
    let callbacks = source.split("    fn on_").skip(1);
    let callbacks = callbacks.filter_map(|rest| Some(rest.split_once('(')?.0));
    let callbacks = callbacks
        .map(|name| name.strip_prefix("http_").unwrap_or(name))
        // The SDK's own, with which contexts begin and end.
        .chain(["context_create", "delete"])
        .map(|name| format!("proxy_on_{name}"));
    let expected: BTreeSet<_> = calls.chain(callbacks).collect();

    let mut config = Config::shipped("local.yaml");
    let allowed = &config.plugin()["capability_restriction_config"]["allowed_capabilities"];
    let allowed = allowed.as_object().expect("a mapping").keys().cloned();
    assert_eq!(allowed.collect::<BTreeSet<_>>(), expected);
}

/// Covers every YAML file of the repository except fixtures, which may be wrong on purpose.
#[test]
fn each_yaml_file_is_yaml() {
    let mut folders = vec![workspace_root().to_owned()];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.expect("a name in UTF-8");
            let is_skipped = ["target", ".git", "fixtures", "node_modules"].contains(&name);
            if path.is_dir() && !is_skipped {
                folders.push(path);
            } else if name.ends_with(".yaml") || name.ends_with(".yml") {
                assert!(!documents(&path).is_empty(), "{} is empty", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count}");
}

/// Returns the buffers on both sides and the filter of each cluster of functions.
fn boilerplate(mut config: Config) -> Vec<[Value; 3]> {
    let listener = config.listener()["per_connection_buffer_limit_bytes"].clone();
    let options = "/typed_extension_protocol_options\
                   /envoy.extensions.upstreams.http.v3.HttpProtocolOptions/http_filters";
    let clusters = config.clusters().iter();
    let functions = clusters.filter_map(|cluster| {
        let filters = cluster.pointer(options)?;
        let mut filters = filters.as_array()?.iter();
        let has_room = filters
            .clone()
            .any(|filter| filter["name"] == "lambda.body");
        let mut filter = filters.find(|filter| filter["name"] == "lambda")?.clone();
        if let Some(source) = filter.pointer("/config_discovery/config_source") {
            let path = source["path_config_source"]["path"].as_str()?;
            filter = documents(Path::new(path))[0]["resources"][0].clone();
            filter.as_object_mut()?.remove("@type");
        }
        let plugin = filter.pointer_mut("/typed_config/config")?;
        let needs_room = plugin["configuration"]["value"]["bodyless_event"] != "header";
        assert_eq!(has_room, needs_room, "room for the event of a GET");
        // A file may choose the path and the configuration of the filter.
        plugin["vm_config"]["code"] = Value::Null;
        plugin["configuration"]["value"] = Value::Null;
        let buffer = cluster["per_connection_buffer_limit_bytes"].clone();
        Some([listener.clone(), buffer, filter])
    });
    functions.collect()
}
