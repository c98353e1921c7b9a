//! A real Envoy with the real filter, in front of whatever speaks the Invoke API.

mod config;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::workspace_root;

pub use config::{Config, Endpoint, metadata, route};

use crate::client::{Answer, Request};
use crate::process::{Prepared, Process};
use crate::shared::Part;
use crate::upstream::Upstream;

/// The filter, built once per test process.
pub(crate) static FILTER: Prepared = Prepared::new(xtask::wasm::build);

/// Loopback and any free port: Envoy says later which one it got.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An Envoy in the making.
#[derive(Debug)]
pub struct Builder {
    config: Config,
    endpoints: Vec<Endpoint>,
    version: &'static str,
    workers: u8,
    admin: SocketAddr,
    environment: Vec<(&'static str, &'static str)>,
}

/// A running Envoy.
#[derive(Debug)]
pub struct Mesh {
    /// Where its listener listens.
    pub address: SocketAddr,
    /// Where its admin interface listens.
    pub admin: SocketAddr,
    envoy: Process,
    folder: TempDir,
}

impl Mesh {
    /// The shipped `envoy/local.yaml` with `endpoint` in the invoker's place, and the function
    /// `probe` for every host and path.
    pub fn to(endpoint: impl Into<Endpoint>) -> Builder {
        Self::shipped("local.yaml", endpoint).routes(&[route(
            &json!({ "prefix": "/" }),
            &json!({ "function": "probe" }),
        )])
    }

    /// The shipped `envoy/NAME` with `endpoint` in the invoker's place, and nothing else
    /// changed.
    pub fn shipped(name: &str, endpoint: impl Into<Endpoint>) -> Builder {
        Self::of(Config::shipped(name)).endpoint(endpoint)
    }

    /// This configuration, with the endpoints that it has.
    pub fn of(config: Config) -> Builder {
        Builder {
            config,
            endpoints: vec![],
            version: xtask::envoy::NEWEST,
            // One worker has one instance of the filter: if a test kills it, the next request
            // shows it.
            workers: 1,
            admin: ANY_PORT,
            environment: Vec::new(),
        }
    }

    /// A request to the listener.
    pub fn request(&self, method: &str, target: impl Into<String>) -> Request {
        Request::new(self.address, method, target)
    }

    /// A GET request to the listener.
    pub fn get(&self, target: impl Into<String>) -> Request {
        self.request("GET", target)
    }

    /// A POST request to the listener with `body`.
    pub fn post(&self, target: impl Into<String>, body: impl Into<bytes::Bytes>) -> Request {
        self.request("POST", target).body(body)
    }

    /// The most memory that Envoy has ever had in use, in KiB. On Linux only.
    pub fn peak_memory_kib(&self) -> u64 {
        self.envoy.peak_memory_kib()
    }

    /// The access log's entry of the request that `answer` answers: `method`, `path`, `status`,
    /// `attempts`, `request_id`, and from the filter's state `original`, `function`,
    /// `lambda_request_id` and `error_type`. Waits for it, because Envoy writes it after the answer.
    pub fn access_log(&self, answer: &Answer) -> Value {
        let id = answer.header("x-request-id");
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

impl Part for Mesh {
    fn log(&self) -> String {
        self.envoy.log()
    }

    /// Whether Envoy still answers, and its filter never had to be loaded anew: with the shipped
    /// `failure_policy` a filter that died comes back for the next request.
    fn alive(&self) -> bool {
        let stats = Request::new(self.admin, "GET", "/stats?filter=vm_reload").try_send();
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
    /// One more endpoint in the functions' cluster.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<Endpoint>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// These routes, for every host, instead of those before.
    #[must_use]
    pub fn routes(self, routes: &[Value]) -> Self {
        self.virtual_hosts(&[json!({ "name": "all", "domains": ["*"], "routes": routes })])
    }

    /// These virtual hosts instead of those before.
    #[must_use]
    pub fn virtual_hosts(mut self, hosts: &[Value]) -> Self {
        *self.config.virtual_hosts() = json!(hosts);
        self
    }

    /// This configuration of the filter, and where it has room for events.
    #[must_use]
    pub fn plugin(mut self, configuration: &Value) -> Self {
        let settings = &mut self.config.plugin()["configuration"]["value"];
        let room = settings["bodyless_event"].take();
        *settings = configuration.clone();
        if !room.is_null() {
            settings["bodyless_event"] = room;
        }
        self
    }

    /// Events are in bodies, as all upstreams but the invoker need them.
    #[must_use]
    pub fn with_room(self) -> Self {
        let shim = Config::shipped("aws-direct.yaml").filters()[0].clone();
        assert_eq!(shim["name"], "lambda.body");
        self.edit(|config| {
            config.plugin()["configuration"]["value"]["bodyless_event"] = json!("body");
            config.filters().insert(0, shim);
        })
    }

    /// HTTP/2 without TLS towards the endpoints.
    #[must_use]
    pub fn http2(mut self) -> Self {
        let protocol = json!({ "http2_protocol_options": {} });
        self.config.protocol_options()["explicit_http_config"] = protocol;
        self
    }

    /// This version of Envoy: [`xtask::envoy::NEWEST`] unless said.
    #[must_use]
    pub fn envoy(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// This many worker threads: one unless said.
    #[must_use]
    pub fn workers(mut self, workers: u8) -> Self {
        self.workers = workers;
        self
    }

    /// The admin interface at this address, for a configuration that names it: any free port
    /// unless said.
    #[must_use]
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = address;
        self
    }

    /// With this variable in Envoy's environment.
    #[must_use]
    pub fn environment(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Any other change.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Traces every request to `collector`, which receives Zipkin's JSON, one span a call.
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
        // Each span is sent as it ends, not in batches or after seconds.
        self.config.0["layered_runtime"] = json!({ "layers": [{
            "name": "test",
            "static_layer": { "tracing.zipkin.min_flush_spans": 1 },
        }] });
        self
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// Envoy refuses the configuration.
    pub fn start(self) -> Mesh {
        self.try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// What Envoy says when it refuses the configuration.
    pub fn try_start(mut self) -> Result<Mesh, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if !self.endpoints.is_empty() {
            self.config.set_endpoints(&self.endpoints);
        }
        self.place(&folder);
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
            .args(["--log-level", "warning", "--disable-hot-restart"]);
        let envoy = Process::start("Envoy", &envoy);
        let (envoy, (admin, address)) = envoy.until(|_| {
            let admin = fs::read_to_string(folder.path().join("admin")).ok()?;
            let admin = admin.parse().ok()?;
            Some((admin, listener_address(admin)?))
        })?;
        Ok(Mesh {
            address,
            admin,
            envoy,
            folder,
        })
    }

    /// What depends on this run alone: ports, the filter's file, and an access log in `folder`
    /// beside the shipped one.
    fn place(&mut self, folder: &TempDir) {
        let config = &mut self.config;
        *config.at("/admin/address") = config::socket_address(self.admin);
        config.listener()["address"] = config::socket_address(ANY_PORT);
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

/// Runs `test` with each supported Envoy: the newest and the oldest.
pub fn on_each_envoy(test: impl Fn(&'static str)) {
    for version in [xtask::envoy::NEWEST, xtask::envoy::OLDEST] {
        // Shown only if the test fails.
        println!("--- on Envoy {version}");
        test(version);
    }
}

/// The address of the listener, once Envoy serves.
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
