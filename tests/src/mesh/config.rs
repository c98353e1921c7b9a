//! Envoy's configuration, made from a shipped file: what a test changes is small, so each test
//! also tests what users paste.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xtask::workspace_root;

use crate::emulator::Emulator;
use crate::invoker::Invoker;
use crate::upstream::Upstream;

/// Where an Invoke API listens.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Upstream> for Endpoint {
    fn from(upstream: &Upstream) -> Self {
        Self::Tcp(upstream.address)
    }
}

impl From<&Emulator> for Endpoint {
    fn from(emulator: &Emulator) -> Self {
        Self::Tcp(emulator.address)
    }
}

impl From<&Invoker> for Endpoint {
    fn from(invoker: &Invoker) -> Self {
        invoker.endpoint.clone()
    }
}

impl Endpoint {
    fn lb_endpoint(&self) -> Value {
        json!({ "endpoint": { "address": match self {
            Self::Tcp(address) => socket_address(*address),
            Self::Unix(path) => json!({ "pipe": { "path": path } }),
        } } })
    }
}

/// An Envoy configuration that can be changed at named places. In all of them Envoy's own JSON
/// form is what a value has.
#[derive(Clone, Debug)]
pub struct Config(pub Value);

impl Config {
    /// `envoy/NAME` of this workspace.
    ///
    /// # Panics
    /// It is not there, or not YAML.
    pub fn shipped(name: impl AsRef<Path>) -> Self {
        let path = workspace_root().join("envoy").join(name);
        let yaml =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let value = serde_saphyr::from_str(&yaml)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(value)
    }

    /// What stands at a JSON pointer.
    ///
    /// # Panics
    /// Nothing stands there.
    #[track_caller]
    pub fn at(&mut self, pointer: &str) -> &mut Value {
        self.0
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("the shipped configuration has no {pointer}"))
    }

    /// The listener.
    pub fn listener(&mut self) -> &mut Value {
        self.at("/static_resources/listeners/0")
    }

    /// The HTTP connection manager of the listener.
    pub fn connection_manager(&mut self) -> &mut Value {
        self.at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
    }

    /// The virtual hosts.
    pub fn virtual_hosts(&mut self) -> &mut Value {
        at(self.connection_manager(), "/route_config/virtual_hosts")
    }

    /// All clusters.
    pub fn clusters(&mut self) -> &mut Vec<Value> {
        array(self.at("/static_resources/clusters"))
    }

    /// The cluster that stands for the functions: the first.
    pub fn cluster(&mut self) -> &mut Value {
        self.at("/static_resources/clusters/0")
    }

    /// The HTTP protocol options of that cluster.
    pub fn protocol_options(&mut self) -> &mut Value {
        let options = at(self.cluster(), "/typed_extension_protocol_options");
        &mut options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    }

    /// The chain of HTTP filters of that cluster.
    pub fn filters(&mut self) -> &mut Vec<Value> {
        array(at(self.protocol_options(), "/http_filters"))
    }

    /// That cluster's own configuration of the Lambda filter, of which `configuration` is what
    /// the filter reads.
    pub fn plugin(&mut self) -> &mut Value {
        plugin(self.cluster()).expect("a filter called lambda")
    }

    /// Sends each cluster of functions to `endpoints`.
    pub(super) fn set_endpoints(&mut self, endpoints: &[Endpoint]) {
        for cluster in self.clusters() {
            if plugin(cluster).is_some() {
                set_endpoints(cluster, endpoints);
            }
        }
    }

    /// Has each cluster of functions load the filter from `path`.
    pub(super) fn set_filter(&mut self, path: &Path) {
        for plugin in self.clusters().iter_mut().filter_map(plugin) {
            plugin["vm_config"]["code"] = json!({ "local": { "filename": path } });
        }
    }

    /// Sends the cluster `name`, which is no function, to `address`.
    ///
    /// # Panics
    /// There is no such cluster.
    pub fn send(&mut self, name: &str, address: SocketAddr) {
        let cluster = self
            .clusters()
            .iter_mut()
            .find(|cluster| cluster["name"] == name);
        let cluster = cluster.unwrap_or_else(|| panic!("no cluster {name}"));
        set_endpoints(cluster, &[Endpoint::Tcp(address)]);
    }

    /// One more cluster, which is no function.
    pub(super) fn add_cluster(&mut self, name: &str, address: SocketAddr) {
        let endpoint = Endpoint::Tcp(address).lb_endpoint();
        self.clusters().push(json!({
            "name": name,
            "type": "STATIC",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{ "lb_endpoints": [endpoint] }],
            },
        }));
    }
}

/// What a route with this metadata calls: for use as `metadata` of a route, a virtual host or
/// a cluster.
pub fn metadata(lambda: &Value) -> Value {
    json!({ "filter_metadata": { "lambda": lambda } })
}

/// A route to the functions' cluster.
pub fn route(route_match: &Value, lambda: &Value) -> Value {
    json!({
        "match": route_match,
        "route": { "cluster": "invoker", "timeout": "30s" },
        "metadata": metadata(lambda),
    })
}

pub(super) fn socket_address(address: SocketAddr) -> Value {
    json!({ "socket_address": {
        "address": address.ip(),
        "port_value": address.port(),
    } })
}

/// The configuration of the Lambda filter in `cluster`, if that is one of functions.
fn plugin(cluster: &mut Value) -> Option<&mut Value> {
    let filters = cluster.pointer_mut(
        "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\
         /http_filters",
    )?;
    let mut filters = filters.as_array_mut()?.iter_mut();
    let filter = filters.find(|filter| filter["name"] == "lambda")?;
    filter.pointer_mut("/typed_config/config")
}

fn set_endpoints(cluster: &mut Value, endpoints: &[Endpoint]) {
    let all: Vec<_> = endpoints.iter().map(Endpoint::lb_endpoint).collect();
    *at(cluster, "/load_assignment/endpoints/0/lb_endpoints") = json!(all);
}

#[track_caller]
fn at<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Value {
    value
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("the shipped configuration has no {pointer} there"))
}

#[track_caller]
fn array(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().expect("a list")
}
