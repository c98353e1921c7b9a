//! The contestants: Envoys that differ in what they do between the client and the upstream.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::lab::Lab;
use crate::process::{Process, free_address};

const REGION: &str = "eu-central-1";

/// What an Envoy does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// Passes it through untouched: the limit.
    PassThrough,
    /// Envoy's own `aws_lambda` filter, which signs.
    Native,
    /// Our filter, unsigned, with events in headers where there is no body: as towards the invoker.
    Ours,
    /// Our filter behind the Lua filter that makes a body, unsigned: as towards an emulator.
    OursShim,
    /// Our filter, then Envoy's `aws_request_signing`.
    OursSigned,
    /// Our filter, then the invoker, which signs.
    OursInvoker,
}

impl Contestant {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 6] = [
        Self::PassThrough,
        Self::Native,
        Self::Ours,
        Self::OursShim,
        Self::OursSigned,
        Self::OursInvoker,
    ];

    /// Its name in the report's files.
    pub fn name(self) -> &'static str {
        match self {
            Self::PassThrough => "pass-through",
            Self::Native => "native",
            Self::Ours => "ours",
            Self::OursShim => "ours-shim",
            Self::OursSigned => "ours-signed",
            Self::OursInvoker => "ours-invoker",
        }
    }

    /// What it is, in the report.
    pub fn title(self) -> &'static str {
        match self {
            Self::PassThrough => "Envoy, passed through untouched",
            Self::Native => "Envoy's `aws_lambda` (signs)",
            Self::Ours => "lambda-mesh, unsigned",
            Self::OursShim => "lambda-mesh, unsigned, with the Lua filter",
            Self::OursSigned => "lambda-mesh, signed by Envoy",
            Self::OursInvoker => "lambda-mesh, signed by the invoker",
        }
    }
}

/// A running Envoy with one worker.
#[derive(Debug)]
pub struct Envoy {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub process: Process,
    /// The invoker behind it, if any.
    pub invoker: Option<Process>,
}

/// CPU time used so far.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// By Envoy.
    pub envoy: Duration,
    /// By the invoker behind it.
    pub invoker: Option<Duration>,
}

impl Envoy {
    /// Starts an Envoy with this configuration, whose first listener listens at `address`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(name: &str, address: SocketAddr, config: &Value, lab: &Lab) -> Result<Self> {
        let binary = xtask::envoy::binary(xtask::envoy::NEWEST)?;
        let file = lab.folder().join(format!("{name}.json"));
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
        let mut process = Process::start(name, &mut command, lab.cores.proxy, lab.folder())?;
        process.wait_until(|| TcpStream::connect(address).is_ok())?;
        Ok(Self {
            address,
            process,
            invoker: None,
        })
    }

    /// What it and the invoker behind it have used so far.
    ///
    /// # Errors
    /// One of them has ended.
    pub fn cpu(&self) -> Result<Cpu> {
        let invoker = self.invoker.as_ref().map(Process::usage).transpose()?;
        Ok(Cpu {
            envoy: self.process.usage()?.cpu,
            invoker: invoker.map(|usage| usage.cpu),
        })
    }
}

/// An Envoy's configuration.
#[derive(Debug)]
pub struct Config {
    /// Who it is.
    pub contestant: Contestant,
    /// The filter as WebAssembly.
    pub wasm: PathBuf,
    /// Where requests go.
    pub upstream: SocketAddr,
    /// How functions are invoked: the filter's key `invocation`.
    pub invocation: &'static str,
}

impl Config {
    /// The configuration, listening at a free address.
    ///
    /// # Errors
    /// There is no free port.
    pub fn listen(&self) -> Result<(SocketAddr, Value)> {
        let address = free_address()?;
        Ok((address, self.at(address)))
    }

    fn at(&self, address: SocketAddr) -> Value {
        let route = json!({
            "match": { "prefix": "/" },
            "route": { "cluster": "upstream", "timeout": "60s" },
            "metadata": { "filter_metadata": { "lambda": {
                "function": "bench",
                "invocation": self.invocation,
            } } },
        });
        let host = json!({ "name": "all", "domains": ["*"], "routes": [route] });
        let filters = chain(self.contestant, &self.wasm);
        let mut cluster = cluster("upstream", self.upstream, &filters);
        if let (Contestant::Native, Some(cluster)) = (self.contestant, cluster.as_object_mut()) {
            let aws = json!({ "com.amazonaws.lambda": { "egress_gateway": true } });
            cluster.insert("metadata".to_owned(), json!({ "filter_metadata": aws }));
        }
        bootstrap(address, &[host], &self.listener_filters(), &[cluster])
    }

    fn listener_filters(&self) -> Vec<Value> {
        if self.contestant != Contestant::Native {
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

/// The upstream filters of a contestant's cluster; empty if it needs none.
pub fn chain(contestant: Contestant, wasm: &Path) -> Vec<Value> {
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
        Contestant::PassThrough | Contestant::Native => Vec::new(),
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

/// Not secret: AWS's own examples have them.
fn credentials() -> Value {
    json!({
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    })
}

/// A cluster with these upstream filters.
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

/// One listener that routes to the clusters; no access log.
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
