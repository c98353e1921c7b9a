//! Rules for every shipped configuration.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use lambda_mesh_tests::kubernetes::istio::{self, Proxy};
use lambda_mesh_tests::kubernetes::{documents, envoy_gateway};
use lambda_mesh_tests::mesh::{Config, on_each_envoy};
use serde_json::{Value, json};
use xtask::workspace_root;

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
fn with_existing_files(path: &Path, filter: &Path) -> String {
    let text = fs::read_to_string(path).expect("a file in UTF-8");
    let keys = workspace_root().join("tests/fixtures/jwt/jwks.json");
    let places = [
        ("target/dist/lambda_filter.wasm", filter),
        ("/etc/envoy/lambda_filter.wasm", filter),
        ("/etc/envoy/jwks.json", &keys),
    ];
    places.into_iter().fold(text, |text, (name, path)| {
        text.replace(name, path.to_str().expect("a path in UTF-8"))
    })
}

#[test]
fn each_file_is_valid_in_each_envoy_without_warnings() {
    let filter = xtask::wasm::build().expect("the filter");
    let folder = tempfile::tempdir().expect("a temporary folder");
    on_each_envoy(|version| {
        let envoy = xtask::envoy::binary(version).expect("Envoy");
        for path in configurations() {
            let copy = folder.path().join("envoy.yaml");
            fs::write(&copy, with_existing_files(&path, &filter))
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
            assert_eq!(log, "", "{name}");
        }
    });
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
        let removed = &manager["route_config"]["request_headers_to_remove"];
        let expected = json!([
            "x-envoy-hedge-on-per-try-timeout",
            "x-envoy-retriable-header-names",
            "x-envoy-retriable-status-codes",
        ]);
        assert_eq!(*removed, expected, "{name}");
    }
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
