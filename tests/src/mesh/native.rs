//! The native module in the place of the proxy-wasm module.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use xtask::test::HOST;

use crate::process::Prepared;

/// The host of the filter in Envoy.
#[derive(Debug)]
pub(crate) enum Host {
    /// The proxy-wasm module.
    Wasm,
    /// The native module in a file.
    Native(PathBuf),
}

/// The module, built once per test process.
pub(super) static MODULE: Prepared = Prepared::new(xtask::native::build);

/// Returns the host for tests with this version of Envoy. `is_native` says that the shipped configuration has
/// the native module.
pub(crate) fn host(version: &str, is_native: bool) -> Host {
    let is_native = is_native && cfg!(target_os = "linux");
    let is_asked_for = || env::var_os(HOST).is_some_and(|host| host == "native");
    if version == xtask::envoy::NEWEST && (is_native || is_asked_for()) {
        Host::Native(MODULE.path().to_owned())
    } else {
        Host::Wasm
    }
}

/// The place of a cluster's filters.
const HTTP_FILTERS: &str = "/typed_extension_protocol_options\
    /envoy.extensions.upstreams.http.v3.HttpProtocolOptions/http_filters";

/// The proxy-wasm module in Envoy's configuration.
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// The native module in Envoy's configuration.
const NATIVE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";

/// Replaces the native module by the proxy-wasm module of `local`, a configuration that has it, so that a test
/// can change all shipped files in one way. The opposite of [`convert`]. Returns `false` for a configuration
/// without the native module.
pub(super) fn revert(config: &mut Value, local: &Value) -> bool {
    let mut is_reverted = false;
    let wasm = &local["static_resources"]["clusters"][0].pointer(HTTP_FILTERS);
    let wasm = wasm.expect("filters of a cluster")[0].clone();
    for cluster in array(config.pointer_mut("/static_resources/clusters")) {
        for filter in array(cluster.pointer_mut(HTTP_FILTERS)) {
            if filter["typed_config"]["@type"] == NATIVE {
                is_reverted = true;
                let keys = filter["typed_config"]["filter_config"]["value"].take();
                *filter = wasm.clone();
                filter["typed_config"]["config"]["configuration"]["value"] = keys;
            }
        }
    }
    if !is_reverted {
        return false;
    }
    config["stats_config"] = local["stats_config"].clone();
    for manager in managers(config) {
        let filters = manager["http_filters"].as_array_mut();
        filters
            .expect("filters")
            .retain(|filter| filter["name"] != "lambda.restore_headers");
        for host in array(manager.pointer_mut("/route_config/virtual_hosts")) {
            for route in array(host.get_mut("routes")) {
                let configs = route.get_mut("typed_per_filter_config");
                let Some(configs) = configs.and_then(Value::as_object_mut) else {
                    continue;
                };
                if let Some(mut own) = configs.remove("lambda") {
                    let is_empty = configs.is_empty();
                    let keys = own["filter_config"]["value"].take();
                    route["metadata"]["filter_metadata"]["lambda"] = keys;
                    let route = route.as_object_mut().expect("a route");
                    if is_empty {
                        route.remove("typed_per_filter_config");
                    }
                }
            }
        }
    }
    true
}

/// Replaces the proxy-wasm module by the native one in each cluster of functions, without the Lua filter that
/// makes room for a body, and moves the keys of all levels to where the module reads them. Returns `false`
/// for a configuration without that module, such as one of Istio.
pub(super) fn convert(config: &mut Value, module: &Path) -> bool {
    let mut converted = Vec::new();
    for cluster in array(config.pointer_mut("/static_resources/clusters")) {
        let keys = cluster["metadata"]["filter_metadata"]["lambda"].clone();
        let Some(filters) = cluster
            .pointer_mut(HTTP_FILTERS)
            .and_then(Value::as_array_mut)
        else {
            continue;
        };
        filters.retain(|filter| filter["name"] != "lambda.body");
        let is_wasm = |filter: &&mut Value| filter["typed_config"]["@type"] == WASM;
        let Some(filter) = filters.iter_mut().find(is_wasm) else {
            continue;
        };
        let mut plugin = filter["typed_config"]["config"]["configuration"].take();
        let mut settings = match plugin["value"].take() {
            Value::Object(settings) => settings,
            Value::String(text) => serde_json::from_str(&text).expect("an object"),
            _ => Map::new(),
        };
        settings.extend(keys.as_object().cloned().unwrap_or_default());
        *filter = self::filter("lambda", &settings, module);
        converted.push(cluster["name"].to_string());
        take_keys(cluster);
    }
    if converted.is_empty() {
        return false;
    }
    if let Some(config) = config.as_object_mut() {
        config.remove("stats_config");
    }
    for manager in managers(config) {
        let text = manager.to_string();
        if !converted.iter().any(|cluster| text.contains(cluster)) {
            continue;
        }
        if let Some(filters) = manager["http_filters"].as_array_mut() {
            let jwt = filters
                .iter()
                .position(|filter| filter["name"] == "envoy.filters.http.jwt_authn");
            if let Some(jwt) = jwt {
                filters.insert(jwt + 1, claims());
            }
            let mut restore = filter("lambda.restore_headers", &Map::new(), module);
            restore["typed_config"]["dynamic_module_config"]["metrics_namespace"] = json!("lambda");
            filters.insert(0, restore);
        }
        for host in array(manager.pointer_mut("/route_config/virtual_hosts")) {
            convert_host(host, module);
        }
    }
    true
}

/// Returns the HTTP connection managers.
fn managers(config: &mut Value) -> impl Iterator<Item = &mut Value> {
    let listeners = array(config.pointer_mut("/static_resources/listeners")).iter_mut();
    let chains = listeners.flat_map(|listener| array(listener.get_mut("filter_chains")));
    chains.filter_map(|chain| chain.pointer_mut("/filters/0/typed_config"))
}

fn convert_host(host: &mut Value, module: &Path) {
    let outer = take_keys(host);
    for route in array(host.get_mut("routes")) {
        let mut settings = outer.clone();
        settings.extend(take_keys(route));
        if !settings.is_empty() {
            route["typed_per_filter_config"]["lambda"] = json!({
                "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
                "dynamic_module_config": file(module),
                "filter_config": structure(&settings),
            });
        }
    }
}

fn filter(name: &str, settings: &Map<String, Value>, module: &Path) -> Value {
    let mut filter = json!({
        "name": name,
        "typed_config": {
            "@type": NATIVE,
            "dynamic_module_config": file(module),
            "filter_name": name,
        },
    });
    if !settings.is_empty() {
        filter["typed_config"]["filter_config"] = structure(settings);
    }
    filter
}

/// Returns the filter that stores verified claims where the module reads them.
fn claims() -> Value {
    json!({
        "name": "lambda.claims",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": "wasm.lambda.claims",
                "factory_key": "envoy.string",
                "format_string": { "text_format_source": {
                    "inline_string": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn)%",
                } },
            }],
        },
    })
}

fn file(module: &Path) -> Value {
    json!({ "module": { "local": { "filename": module } }, "do_not_close": true })
}

fn structure(settings: &Map<String, Value>) -> Value {
    json!({ "@type": "type.googleapis.com/google.protobuf.Struct", "value": settings })
}

/// Removes the keys of the filter from the metadata of a level, and metadata that is then empty.
fn take_keys(level: &mut Value) -> Map<String, Value> {
    let namespaces = level.pointer_mut("/metadata/filter_metadata");
    let Some(namespaces) = namespaces.and_then(Value::as_object_mut) else {
        return Map::new();
    };
    let keys = namespaces.remove("lambda");
    if namespaces.is_empty()
        && let Some(level) = level.as_object_mut()
    {
        level.remove("metadata");
    }
    match keys {
        Some(Value::Object(keys)) => keys,
        _ => Map::new(),
    }
}

fn array(value: Option<&mut Value>) -> &mut [Value] {
    value
        .and_then(Value::as_array_mut)
        .map_or(&mut [], Vec::as_mut_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Config;

    /// So what tests find on one host holds for the shipped file of the other.
    #[test]
    fn the_shipped_files_with_the_native_module_are_what_the_conversion_makes() {
        let module = Path::new("/etc/envoy/liblambda_filter.so");
        for name in ["emulators.yaml", "kubernetes/envoy.yaml"] {
            let shipped = Config::as_shipped(name).0;
            let mut config = Config::shipped(name).0;
            assert_ne!(config, shipped, "{name}");
            assert!(convert(&mut config, module), "{name}");
            assert_eq!(config, shipped, "{name}");
        }
    }
}
