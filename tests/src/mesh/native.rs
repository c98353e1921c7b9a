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

/// Returns the host for tests with this version of Envoy.
pub(crate) fn host(version: &str) -> Host {
    if version == xtask::envoy::NEWEST && env::var_os(HOST).is_some_and(|host| host == "native") {
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

/// Replaces the proxy-wasm module by the native one in each cluster of functions, without the Lua filter that
/// makes room for a body, and moves the keys of all levels to where the module reads them. Returns `false`
/// for a configuration without that module, such as one of Istio.
pub(super) fn convert(config: &mut Value, module: &Path) -> bool {
    let mut is_converted = false;
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
        is_converted = true;
        let mut plugin = filter["typed_config"]["config"]["configuration"].take();
        let mut settings = match plugin["value"].take() {
            Value::Object(settings) => settings,
            Value::String(text) => serde_json::from_str(&text).expect("an object"),
            _ => Map::new(),
        };
        settings.extend(keys.as_object().cloned().unwrap_or_default());
        *filter = self::filter("lambda", &settings, module);
        take_keys(cluster);
    }
    if !is_converted {
        return false;
    }
    for listener in array(config.pointer_mut("/static_resources/listeners")) {
        for chain in array(listener.get_mut("filter_chains")) {
            let filters = chain.pointer_mut("/filters/0/typed_config/http_filters");
            if let Some(filters) = filters.and_then(Value::as_array_mut) {
                let jwt = filters
                    .iter()
                    .position(|filter| filter["name"] == "envoy.filters.http.jwt_authn");
                if let Some(jwt) = jwt {
                    filters.insert(jwt + 1, claims());
                }
                let mut restore = filter("lambda.restore_headers", &Map::new(), module);
                restore["typed_config"]["dynamic_module_config"]["metrics_namespace"] =
                    json!("lambda");
                filters.insert(0, restore);
            }
            let hosts = chain.pointer_mut("/filters/0/typed_config/route_config/virtual_hosts");
            for host in array(hosts) {
                convert_host(host, module);
            }
        }
    }
    true
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
    json!({
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": file(module),
            "filter_name": name,
            "filter_config": structure(settings),
        },
    })
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

/// Removes the keys of the filter from the metadata of a level.
fn take_keys(level: &mut Value) -> Map<String, Value> {
    let keys = level.pointer_mut("/metadata/filter_metadata");
    match keys.and_then(|namespaces| namespaces.as_object_mut()?.remove("lambda")) {
        Some(Value::Object(keys)) => keys,
        _ => Map::new(),
    }
}

fn array(value: Option<&mut Value>) -> &mut [Value] {
    value
        .and_then(Value::as_array_mut)
        .map_or(&mut [], Vec::as_mut_slice)
}
