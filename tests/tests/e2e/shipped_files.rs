//! What holds for every shipped configuration, whatever its scenario.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lambda_mesh_tests::mesh::{Config, on_each_envoy};
use serde_json::Value;
use xtask::workspace_root;

/// The Envoy configurations: the files of `envoy/` itself.
fn configurations() -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(workspace_root().join("envoy"))
        .expect("the folder of configurations")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    found.sort();
    assert!(found.len() >= 8, "{found:?}");
    found
}

/// The file as Envoy's own YAML parser gets it, but with files that are there.
fn placed(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a file in UTF-8");
    let filter = xtask::wasm::build().expect("the filter");
    let keys = workspace_root().join("tests/fixtures/jwt/jwks.json");
    let places = [
        ("target/dist/lambda_filter.wasm", &filter),
        ("/etc/envoy/lambda_filter.wasm", &filter),
        ("/etc/envoy/jwks.json", &keys),
    ];
    places.into_iter().fold(text, |text, (name, path)| {
        text.replace(name, path.to_str().expect("a path in UTF-8"))
    })
}

#[test]
fn each_is_valid_in_each_envoy_and_has_nothing_deprecated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    on_each_envoy(|version| {
        let envoy = xtask::envoy::binary(version).expect("Envoy");
        for path in configurations() {
            let copy = folder.path().join("envoy.yaml");
            fs::write(&copy, placed(&path)).expect("a file in a temporary folder");
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
            // Envoy warns of deprecated fields, and of all else that it would rather not see.
            assert_eq!(log, "", "{name}");
        }
    });
}

/// The fields that a user pastes without a thought are the same everywhere.
#[test]
fn the_boilerplate_is_that_of_the_file_that_explains_it() {
    let explained = boilerplate(Config::shipped("local.yaml"));
    assert_eq!(explained.len(), 1);
    for path in configurations() {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("a name in UTF-8");
        let functions = boilerplate(Config::shipped(name));
        assert!(!functions.is_empty(), "{name} has no functions");
        for function in functions {
            assert_eq!(function, explained[0], "{name}");
        }
    }
}

/// Of each cluster of functions: its shim and filter, and the buffers on both sides.
fn boilerplate(mut config: Config) -> Vec<[Value; 4]> {
    let listener = config.listener()["per_connection_buffer_limit_bytes"].clone();
    let options = "/typed_extension_protocol_options\
                   /envoy.extensions.upstreams.http.v3.HttpProtocolOptions/http_filters";
    let clusters = config.clusters().iter();
    let functions = clusters.filter_map(|cluster| {
        let filters = cluster.pointer(options)?;
        let mut filter = filters[1].clone();
        let plugin = filter.pointer_mut("/typed_config/config")?;
        // What each may choose: where the file lies, and what the filter is told.
        plugin["vm_config"]["code"] = Value::Null;
        plugin["configuration"]["value"] = Value::Null;
        let buffer = cluster["per_connection_buffer_limit_bytes"].clone();
        Some([listener.clone(), buffer, filters[0].clone(), filter])
    });
    functions.collect()
}
