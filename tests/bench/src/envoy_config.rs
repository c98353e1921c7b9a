//! The Envoy configuration of each contestant.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::contestant::Contestant;

const REGION: &str = "eu-central-1";

/// The files of the filter.
#[derive(Debug, Clone)]
pub struct Filter {
    /// The filter as WebAssembly.
    pub wasm: PathBuf,
    /// The filter as a native module.
    pub module: PathBuf,
}

/// The parameters of an Envoy's configuration.
#[derive(Debug)]
pub struct Config<'a> {
    /// The contestant.
    pub contestant: Contestant,
    /// The files of the filter.
    pub filter: &'a Filter,
    /// The destination of requests.
    pub upstream: SocketAddr,
    /// The value of the filter's key `invocation`.
    pub invocation: &'static str,
    /// The address of the service of `ext_proc`.
    pub ext_proc: Option<SocketAddr>,
    /// The native module has its filter in the listener's chain, and with it the statistics.
    pub has_statistics: bool,
    /// The filter reports the client's request to the invoker.
    pub has_report: bool,
}

impl Config<'_> {
    /// Returns the configuration with a listener at this address.
    pub fn at(&self, address: SocketAddr) -> Value {
        let mut keys = json!({ "function": "bench", "invocation": self.invocation });
        if let (true, Some(keys)) = (self.has_report, keys.as_object_mut()) {
            keys.insert("report_request".to_owned(), true.into());
        }
        let mut route = json!({
            "match": { "prefix": "/" },
            "route": { "cluster": "upstream", "timeout": "60s" },
        });
        if let Some(route) = route.as_object_mut() {
            route.extend(self.filter.in_route(self.contestant, &keys));
        }
        let host = json!({ "name": "all", "domains": ["*"], "routes": [route] });
        let mut upstream = cluster(
            "upstream",
            self.upstream,
            &self.filter.chain(self.contestant),
        );
        if self.contestant == Contestant::AwsLambda {
            let aws = json!({ "com.amazonaws.lambda": { "egress_gateway": true } });
            set(&mut upstream, "metadata", json!({ "filter_metadata": aws }));
        }
        let mut clusters = vec![upstream];
        if let Some(service) = self.ext_proc {
            let mut cluster = cluster(EXT_PROC, service, &[]);
            let options = json!({ HTTP_OPTIONS: {
                "@type": format!("type.googleapis.com/{HTTP_OPTIONS}"),
                "explicit_http_config": { "http2_protocol_options": {} },
            } });
            set(&mut cluster, "typed_extension_protocol_options", options);
            clusters.push(cluster);
        }
        bootstrap(
            address,
            &[host],
            &self
                .filter
                .listener_chain(self.contestant, self.has_statistics),
            &clusters,
        )
    }
}

/// The cluster of the service of `ext_proc`.
const EXT_PROC: &str = "ext_proc";

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn aws_lambda() -> Value {
    json!({
        "name": "envoy.filters.http.aws_lambda",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.aws_lambda.v3.Config",
            "arn": format!("arn:aws:lambda:{REGION}:123456789012:function:bench"),
            "payload_passthrough": false,
            "credentials": credentials(),
        },
    })
}

/// Returns the filter. Envoy changes the response's headers with its body only if it has sent both to the service.
fn ext_proc() -> Value {
    json!({
        "name": "envoy.filters.http.ext_proc",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
            "grpc_service": { "envoy_grpc": { "cluster_name": EXT_PROC }, "timeout": "60s" },
            "message_timeout": "60s",
            "processing_mode": {
                "request_header_mode": "SEND",
                "request_body_mode": "BUFFERED",
                "response_header_mode": "SEND",
                "response_body_mode": "BUFFERED",
            },
            "mutation_rules": { "allow_all_routing": true },
        },
    })
}

impl Filter {
    /// Returns the member of a route that has these keys of the filter.
    pub fn in_route(&self, contestant: Contestant, keys: &Value) -> [(String, Value); 1] {
        if contestant.is_module() {
            let config = json!({ "lambda": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
                "dynamic_module_config": self.dynamic_module(),
                "filter_config": structure(keys),
            } });
            [("typed_per_filter_config".to_owned(), config)]
        } else {
            let metadata = json!({ "filter_metadata": { "lambda": keys } });
            [("metadata".to_owned(), metadata)]
        }
    }

    /// Returns the upstream filters of a contestant's cluster. The list is empty if it needs none.
    pub fn chain(&self, contestant: Contestant) -> Vec<Value> {
        chain(self, contestant)
    }

    /// Returns the filters of a contestant's listener, except for the router. The module's filter there has the
    /// statistics.
    pub fn listener_chain(&self, contestant: Contestant, has_statistics: bool) -> Vec<Value> {
        match contestant {
            Contestant::AwsLambda => vec![aws_lambda()],
            Contestant::ExtProc => vec![ext_proc()],
            _ if contestant.is_module() && has_statistics => vec![self.restore_headers()],
            _ => Vec::new(),
        }
    }

    fn dynamic_module(&self) -> Value {
        json!({ "module": { "local": { "filename": self.module } }, "do_not_close": true })
    }

    /// Returns the filter in the listener's chain, which has the filter's statistics.
    fn restore_headers(&self) -> Value {
        json!({
            "name": "lambda.restore_headers",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
                "dynamic_module_config": self.dynamic_module(),
                "filter_name": "lambda.restore_headers",
            },
        })
    }

    fn native(&self, bodyless_event: &str) -> Value {
        let keys = json!({ "payload": "apigateway-v2", "bodyless_event": bodyless_event });
        json!({
            "name": "lambda",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
                "dynamic_module_config": self.dynamic_module(),
                "filter_name": "lambda",
                "filter_config": structure(&keys),
            },
        })
    }
}

fn structure(keys: &Value) -> Value {
    json!({ "@type": "type.googleapis.com/google.protobuf.Struct", "value": keys })
}

fn chain(files: &Filter, contestant: Contestant) -> Vec<Value> {
    let wasm = &files.wasm;
    let signing = json!({
        "name": "envoy.filters.http.aws_request_signing",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.aws_request_signing.v3.AwsRequestSigning",
            "service_name": "lambda",
            "region": REGION,
            "credential_provider": { "inline_credential": credentials() },
        },
    });
    let codec = json!({
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec" },
    });
    match contestant {
        Contestant::PassThrough | Contestant::AwsLambda => Vec::new(),
        Contestant::ExtProc | Contestant::Lrp => Vec::new(),
        Contestant::Module => vec![files.native("header"), codec],
        Contestant::ModuleBody => vec![files.native("body"), codec],
        Contestant::ModuleSigned => vec![files.native("body"), signing, codec],
        Contestant::Ours | Contestant::OursInvoker => vec![filter(wasm, "header"), codec],
        Contestant::OursShim => vec![shim(), filter(wasm, "body"), codec],
        Contestant::OursSigned => vec![shim(), filter(wasm, "body"), signing, codec],
    }
}

fn filter(wasm: &Path, bodyless_event: &str) -> Value {
    json!({
        "name": "lambda",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "lambda",
                "allow_on_headers_stop_iteration": true,
                "failure_policy": "FAIL_RELOAD",
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": wasm } },
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.Struct",
                    "value": { "payload": "apigateway-v2", "bodyless_event": bodyless_event },
                },
            },
        },
    })
}

fn shim() -> Value {
    json!({
        "name": "lambda.body",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": "function envoy_on_request(handle)\n  handle:body(true)\nend\n" },
        },
    })
}

/// Returns the credentials of AWS's own examples, which are not secret.
fn credentials() -> Value {
    json!({
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    })
}

/// Returns a cluster with these upstream filters.
pub fn cluster(name: &str, address: SocketAddr, filters: &[Value]) -> Value {
    let mut options = Map::from_iter([
        (
            "@type".to_owned(),
            format!("type.googleapis.com/{HTTP_OPTIONS}").into(),
        ),
        (
            "explicit_http_config".to_owned(),
            json!({ "http_protocol_options": {} }),
        ),
    ]);
    if !filters.is_empty() {
        options.insert("http_filters".to_owned(), json!(filters));
    }
    json!({
        "name": name,
        "type": "STATIC",
        "per_connection_buffer_limit_bytes": 16_777_216,
        "circuit_breakers": { "thresholds": [{ "max_connections": 2048, "max_pending_requests": 2048, "max_requests": 2048 }] },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket_address(address) } }] }],
        },
        "typed_extension_protocol_options": { HTTP_OPTIONS: options },
    })
}

/// Returns a configuration with a listener for these hosts and clusters, and without an access log.
pub fn bootstrap(
    address: SocketAddr,
    hosts: &[Value],
    filters: &[Value],
    clusters: &[Value],
) -> Value {
    let mut http_filters = filters.to_vec();
    http_filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    }));
    json!({ "static_resources": {
        "listeners": [{
            "name": "http",
            "address": socket_address(address),
            "per_connection_buffer_limit_bytes": 16_777_216,
            "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "stat_prefix": "http",
                    "use_remote_address": true,
                    "http_filters": http_filters,
                    "route_config": { "virtual_hosts": hosts },
                },
            }] }],
        }],
        "clusters": clusters,
    } })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
}
