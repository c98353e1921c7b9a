//! A real Envoy with the real filter, in front of an Invoke API.

mod config;
pub(crate) mod native;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::workspace_root;

pub use config::{Config, metadata, route};
use native::Host;

use crate::client::{Request, Response};
use crate::endpoint::{Endpoint, socket_address};
use crate::process::{Prepared, Process};
use crate::shared::Component;
use crate::upstream::Upstream;

/// The filter, built once per test process.
pub(crate) static FILTER: Prepared = Prepared::new(xtask::wasm::build);

/// Loopback with any free port. Envoy reports the port later.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A builder of a [`Mesh`].
#[derive(Debug)]
pub struct Builder {
    config: Config,
    endpoints: Vec<Endpoint>,
    version: &'static str,
    workers: u8,
    admin: SocketAddr,
    environment: Vec<(&'static str, &'static str)>,
    log_level: &'static str,
    host: Option<Host>,
    is_native: bool,
    last: Option<fn(&mut Value)>,
}

/// A running Envoy.
#[derive(Debug)]
pub struct Mesh {
    /// The address of the listener.
    pub address: SocketAddr,
    /// The address of the admin interface.
    pub admin: SocketAddr,
    envoy: Process,
    folder: TempDir,
    is_native: bool,
}

impl Mesh {
    /// Returns the shipped `envoy/local.yaml` with `endpoint` in place of the invoker, and the function `probe`
    /// for every host and path.
    pub fn to(endpoint: impl Into<Endpoint>) -> Builder {
        Self::shipped("local.yaml", endpoint).routes(&[route(
            &json!({ "prefix": "/" }),
            &json!({ "function": "probe" }),
        )])
    }

    /// Returns the shipped `envoy/NAME` with `endpoint` in place of the invoker, and no other change. A file with
    /// the native module gets the proxy-wasm module in an older Envoy.
    pub fn shipped(name: &str, endpoint: impl Into<Endpoint>) -> Builder {
        let mut builder = Self::from_config(Config::shipped(name)).endpoint(endpoint);
        builder.is_native = Config::is_native(name);
        builder
    }

    /// Returns a builder for this configuration, with its own endpoints.
    pub fn from_config(config: Config) -> Builder {
        Builder {
            config,
            endpoints: vec![],
            version: xtask::envoy::NEWEST,
            // One worker has one instance of the filter. If a test kills it, the next request fails.
            workers: 1,
            admin: ANY_PORT,
            environment: Vec::new(),
            log_level: "warning",
            host: None,
            is_native: false,
            last: None,
        }
    }

    /// Returns a request to the listener.
    pub fn request(&self, method: &str, target: impl Into<String>) -> Request {
        Request::new(self.address, method, target)
    }

    /// Returns a GET request to the listener.
    pub fn get(&self, target: impl Into<String>) -> Request {
        self.request("GET", target)
    }

    /// Returns a POST request to the listener with `body`.
    pub fn post(&self, target: impl Into<String>, body: impl Into<bytes::Bytes>) -> Request {
        self.request("POST", target).body(body)
    }

    /// Returns the peak of Envoy's resident memory in KiB. Linux only.
    pub fn peak_memory_kib(&self) -> u64 {
        self.envoy.peak_memory_kib()
    }

    /// Returns Envoy's statistics in Prometheus's text format.
    pub fn statistics(&self) -> String {
        let response = Request::new(self.admin, "GET", "/stats/prometheus").send();
        response.text().to_owned()
    }

    /// Waits for the entry of the access log for the request of `response`, and returns it: `method`, `path`,
    /// `status`, `attempts`, `request_id`, and from the filter state `original`, `function`,
    /// `lambda_request_id` and `error_type`. Envoy writes it after the response.
    pub fn access_log(&self, response: &Response) -> Value {
        let id = response.header("x-request-id");
        let path = self.folder.path().join("access.jsonl");
        crate::eventually("the access log has the request", || {
            let text = fs::read_to_string(&path).ok()?;
            let mut entries = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            entries.find(|entry: &Value| entry["request_id"] == id)
        })
    }
}

impl Component for Mesh {
    fn log(&self) -> String {
        self.envoy.log()
    }

    /// Returns whether Envoy responds, and has never reloaded the filter. With the shipped `failure_policy`,
    /// Envoy reloads a filter that has died for the next request.
    fn alive(&self) -> bool {
        let stats = Request::new(self.admin, "GET", "/stats?filter=vm_reload").try_send();
        if self.is_native {
            // A module that dies takes Envoy with it.
            return stats.is_ok() && self.envoy.alive();
        }
        stats.is_ok_and(|stats| {
            let stats = stats.text().lines();
            let counts: Vec<_> = stats.filter_map(|line| line.rsplit(": ").next()).collect();
            !counts.is_empty() && counts.iter().all(|count| *count == "0")
        })
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        assert!(
            std::thread::panicking() || self.alive(),
            "Envoy or its filter died:\n{}",
            self.log()
        );
    }
}

impl Builder {
    /// Adds an endpoint to the functions' cluster.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<Endpoint>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// Replaces all routes by these, for every host.
    #[must_use]
    pub fn routes(self, routes: &[Value]) -> Self {
        self.virtual_hosts(&[json!({ "name": "all", "domains": ["*"], "routes": routes })])
    }

    /// Replaces all virtual hosts.
    #[must_use]
    pub fn virtual_hosts(mut self, hosts: &[Value]) -> Self {
        *self.config.virtual_hosts() = json!(hosts);
        self
    }

    /// Replaces the configuration of the filter, except for `bodyless_event`.
    #[must_use]
    pub fn plugin(mut self, configuration: &Value) -> Self {
        let settings = &mut self.config.plugin()["configuration"]["value"];
        let bodyless_event = settings["bodyless_event"].take();
        *settings = configuration.clone();
        if !bodyless_event.is_null() {
            settings["bodyless_event"] = bodyless_event;
        }
        self
    }

    /// Sends all events in bodies, as upstreams other than the invoker need them.
    #[must_use]
    pub fn events_in_bodies(self) -> Self {
        let shim = Config::shipped("aws-direct.yaml").filters()[0].clone();
        assert_eq!(shim["name"], "lambda.body");
        self.edit(|config| {
            config.plugin()["configuration"]["value"]["bodyless_event"] = json!("body");
            config.filters().insert(0, shim);
        })
    }

    /// Selects HTTP/2 without TLS towards the endpoints.
    #[must_use]
    pub fn http2(mut self) -> Self {
        let protocol = json!({ "http2_protocol_options": {} });
        self.config.protocol_options()["explicit_http_config"] = protocol;
        self
    }

    /// Sets the version of Envoy, by default [`xtask::envoy::NEWEST`].
    #[must_use]
    pub fn envoy(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// Sets the number of worker threads, by default 1.
    #[must_use]
    pub fn workers(mut self, workers: u8) -> Self {
        self.workers = workers;
        self
    }

    /// Sets the address of the admin interface, by default a free port, for a configuration that refers to it.
    #[must_use]
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = address;
        self
    }

    /// Sets an environment variable of Envoy.
    #[must_use]
    pub fn environment(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Sets the level of Envoy's log, by default `warning`.
    #[must_use]
    pub fn log_level(mut self, level: &'static str) -> Self {
        self.log_level = level;
        self
    }

    /// Keeps the proxy-wasm module, for a test of what only that host does.
    #[must_use]
    pub fn keep_wasm(mut self) -> Self {
        self.host = Some(Host::Wasm);
        self
    }

    /// Uses the native module, for a test of what only that host does.
    #[must_use]
    pub fn native(self) -> Self {
        let module = native::MODULE.path().to_owned();
        self.module(module)
    }

    /// Uses another native module.
    #[must_use]
    pub fn module(mut self, module: impl Into<PathBuf>) -> Self {
        self.host = Some(Host::Native(module.into()));
        self
    }

    /// Makes any other change.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Makes a change of the configuration that Envoy gets, with the module of its host.
    #[must_use]
    pub fn edit_last(mut self, change: fn(&mut Value)) -> Self {
        self.last = Some(change);
        self
    }

    /// Traces every request to `collector`, which receives Zipkin's JSON, one span per call.
    #[must_use]
    pub fn tracing(mut self, collector: &Upstream) -> Self {
        self.config.add_cluster("zipkin", collector.address);
        self.config.connection_manager()["tracing"] = json!({ "provider": {
            "name": "envoy.tracers.zipkin",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
                "collector_cluster": "zipkin",
                "collector_endpoint": "/api/v2/spans",
                "collector_endpoint_version": "HTTP_JSON",
            },
        } });
        // Envoy sends each span when it ends, not in batches or after seconds.
        self.config.0["layered_runtime"] = json!({ "layers": [{
            "name": "test",
            "static_layer": { "tracing.zipkin.min_flush_spans": 1 },
        }] });
        self
    }

    /// Starts Envoy and waits until it is ready.
    ///
    /// # Panics
    /// Envoy refuses the configuration.
    pub fn start(self) -> Mesh {
        self.try_start().unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Starts Envoy and waits until it is ready.
    ///
    /// # Errors
    /// Envoy refuses the configuration. The error has Envoy's output.
    pub fn try_start(mut self) -> Result<Mesh> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if !self.endpoints.is_empty() {
            self.config.set_endpoints(&self.endpoints);
        }
        self.set_paths_and_ports(&folder);
        let host = self
            .host
            .unwrap_or_else(|| native::host(self.version, self.is_native));
        let is_native = match host {
            Host::Wasm => false,
            Host::Native(module) => native::convert(&mut self.config.0, &module),
        };
        if let Some(change) = self.last {
            change(&mut self.config.0);
        }
        let path = folder.path().join("envoy.json");
        fs::write(&path, self.config.0.to_string()).expect("a file in a temporary folder");

        let binary = xtask::envoy::binary(self.version);
        let mut envoy = Command::new(binary.unwrap_or_else(|error| panic!("{error:#}")));
        envoy
            .current_dir(workspace_root())
            .envs(self.environment)
            .arg("--config-path")
            .arg(path)
            .arg("--admin-address-path")
            .arg(folder.path().join("admin"))
            .args(["--concurrency", &self.workers.to_string()])
            .args(["--file-flush-interval-msec", "5"])
            .args(["--log-level", self.log_level, "--disable-hot-restart"]);
        let envoy = Process::start("Envoy", &envoy);
        let (envoy, (admin, address)) = envoy.wait_until(|_| {
            let admin = fs::read_to_string(folder.path().join("admin")).ok()?;
            let admin = admin.parse().ok()?;
            Some((admin, listener_address(admin)?))
        })?;
        Ok(Mesh {
            address,
            admin,
            envoy,
            folder,
            is_native,
        })
    }

    /// Sets the values of this run: ports, the file of the filter, and an additional access log in `folder`.
    fn set_paths_and_ports(&mut self, folder: &TempDir) {
        let config = &mut self.config;
        *config.at("/admin/address") = socket_address(self.admin);
        config.listener()["address"] = socket_address(ANY_PORT);
        config.set_filter(FILTER.path());
        let log = config.connection_manager()["access_log"].as_array_mut();
        log.expect("the shipped listener has an access log").push(json!({
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": folder.path().join("access.jsonl"),
                "log_format": { "json_format": {
                    "method": "%REQ(:METHOD)%",
                    "path": "%REQ(:PATH)%",
                    "original": "%FILTER_STATE(wasm.lambda.original:PLAIN)%",
                    "function": "%FILTER_STATE(wasm.lambda.function:PLAIN)%",
                    "lambda_request_id": "%FILTER_STATE(wasm.lambda.request_id:PLAIN)%",
                    "error_type": "%FILTER_STATE(wasm.lambda.error_type:PLAIN)%",
                    "status": "%RESPONSE_CODE%",
                    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                    "request_id": "%REQ(X-REQUEST-ID)%",
                } },
            },
        }));
    }
}

/// Runs `test` with the newest and the oldest supported Envoy.
pub fn on_each_envoy(test: impl Fn(&'static str)) {
    for version in [xtask::envoy::NEWEST, xtask::envoy::OLDEST] {
        // The output of a test is only shown if it fails.
        println!("--- on Envoy {version}");
        test(version);
    }
}

/// Returns the address of the listener once Envoy is ready.
fn listener_address(admin: SocketAddr) -> Option<SocketAddr> {
    let ask = |path| Request::new(admin, "GET", path).try_send().ok();
    if ask("/ready")?.status != 200 {
        return None;
    }
    let listeners = ask("/listeners?format=json")?.json();
    let address = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
    let ip = address["address"].as_str()?.parse().ok()?;
    let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
    Some(SocketAddr::new(ip, port))
}
