//! Envoy as a program under measurement, with the configuration of each contestant.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::contestant::Contestant;
use crate::process::{Placement, Process, free_address};

const REGION: &str = "eu-central-1";

/// A running Envoy with one worker.
#[derive(Debug)]
pub struct Envoy {
    /// The address of the listener.
    pub address: SocketAddr,
    /// The process.
    pub process: Process,
    /// The invoker behind Envoy.
    pub invoker: Option<Process>,
}

/// The CPU time so far.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// The CPU time of Envoy.
    pub envoy: Duration,
    /// The CPU time of the invoker behind Envoy.
    pub invoker: Option<Duration>,
}

impl Envoy {
    /// Starts an Envoy with this configuration, whose first listener has this address.
    ///
    /// # Errors
    /// Envoy does not start.
    pub fn start(
        name: &str,
        address: SocketAddr,
        config: &Value,
        placement: Placement<'_>,
    ) -> Result<Self> {
        let binary = xtask::envoy::binary(xtask::envoy::NEWEST)?;
        let file = placement.folder.join(format!("{name}.json"));
        std::fs::write(&file, config.to_string())
            .with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(binary);
        command
            .args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--log-level",
                "warning",
            ])
            .arg("-c")
            .arg(&file);
        let mut process = Process::start(name, &mut command, placement)?;
        process.wait_until(|| TcpStream::connect(address).is_ok())?;
        Ok(Self {
            address,
            process,
            invoker: None,
        })
    }

    /// Returns the CPU time of Envoy and of the invoker behind it.
    ///
    /// # Errors
    /// A process has ended.
    pub fn cpu(&self) -> Result<Cpu> {
        let invoker = self.invoker.as_ref().map(Process::usage).transpose()?;
        Ok(Cpu {
            envoy: self.process.usage()?.cpu,
            invoker: invoker.map(|usage| usage.cpu),
        })
    }
}

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
pub struct Config {
    /// The contestant.
    pub contestant: Contestant,
    /// The files of the filter.
    pub filter: Filter,
    /// The destination of requests.
    pub upstream: SocketAddr,
    /// The value of the filter's key `invocation`.
    pub invocation: &'static str,
}

impl Config {
    /// Returns the configuration with a listener at a free address.
    ///
    /// # Errors
    /// The system has no port left.
    pub fn listen(&self) -> Result<(SocketAddr, Value)> {
        let address = free_address()?;
        Ok((address, self.at(address)))
    }

    fn at(&self, address: SocketAddr) -> Value {
        let keys = json!({ "function": "bench", "invocation": self.invocation });
        let mut route = json!({
            "match": { "prefix": "/" },
            "route": { "cluster": "upstream", "timeout": "60s" },
        });
        if let Some(route) = route.as_object_mut() {
            route.extend(self.filter.in_route(self.contestant, &keys));
        }
        let host = json!({ "name": "all", "domains": ["*"], "routes": [route] });
        let filters = self.filter.chain(self.contestant);
        let mut cluster = cluster("upstream", self.upstream, &filters);
        if let (Contestant::AwsLambda, Some(cluster)) = (self.contestant, cluster.as_object_mut()) {
            let aws = json!({ "com.amazonaws.lambda": { "egress_gateway": true } });
            cluster.insert("metadata".to_owned(), json!({ "filter_metadata": aws }));
        }
        bootstrap(address, &[host], &self.listener_filters(), &[cluster])
    }

    fn listener_filters(&self) -> Vec<Value> {
        if self.contestant.is_module() {
            return vec![self.filter.restore_headers()];
        }
        if self.contestant != Contestant::AwsLambda {
            return Vec::new();
        }
        vec![json!({
            "name": "envoy.filters.http.aws_lambda",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.aws_lambda.v3.Config",
                "arn": format!("arn:aws:lambda:{REGION}:123456789012:function:bench"),
                "payload_passthrough": false,
                "credentials": credentials(),
            },
        })]
    }
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
            "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions".into(),
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
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options },
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
