//! Envoy's configuration. A test makes a small change to a shipped file, so that each test also tests the
//! files that users copy.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use xtask::workspace_root;

use super::native;
use crate::endpoint::Endpoint;

/// An Envoy configuration in Envoy's own JSON form, with methods for the parts that tests change.
#[derive(Clone, Debug)]
pub struct Config(pub Value);

impl Config {
    /// Reads `envoy/NAME` of this workspace, with the proxy-wasm module in the place of the native one.
    ///
    /// # Panics
    /// The file is missing, or not YAML.
    pub fn shipped(name: impl AsRef<Path>) -> Self {
        let mut config = Self::as_shipped(name);
        native::revert(&mut config.0, &Self::as_shipped("local.yaml").0);
        config
    }

    /// Returns whether `envoy/NAME` has the native module.
    pub fn is_native(name: impl AsRef<Path>) -> bool {
        native::revert(
            &mut Self::as_shipped(name).0,
            &Self::as_shipped("local.yaml").0,
        )
    }

    /// Reads `envoy/NAME` of this workspace as it is.
    pub(super) fn as_shipped(name: impl AsRef<Path>) -> Self {
        let path = workspace_root().join("envoy").join(name);
        let yaml =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let value = serde_saphyr::from_str(&yaml)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(value)
    }

    /// Returns the value at a JSON pointer.
    ///
    /// # Panics
    /// There is no such value.
    #[track_caller]
    pub fn at(&mut self, pointer: &str) -> &mut Value {
        self.0
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("the shipped configuration has no {pointer}"))
    }

    /// Returns the listener.
    pub fn listener(&mut self) -> &mut Value {
        self.at("/static_resources/listeners/0")
    }

    /// Returns the HTTP connection manager of the listener.
    pub fn connection_manager(&mut self) -> &mut Value {
        self.at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
    }

    /// Returns the virtual hosts.
    pub fn virtual_hosts(&mut self) -> &mut Value {
        at(self.connection_manager(), "/route_config/virtual_hosts")
    }

    /// Returns all clusters.
    pub fn clusters(&mut self) -> &mut Vec<Value> {
        array(self.at("/static_resources/clusters"))
    }

    /// Has Envoy pass paths on as they are, for tests of what a format makes of them.
    pub fn keep_paths(&mut self) {
        let manager = self.connection_manager();
        manager["normalize_path"] = json!(false);
        manager["path_with_escaped_slashes_action"] = json!("KEEP_UNCHANGED");
    }

    /// Returns the first cluster, which is that of the functions.
    pub fn cluster(&mut self) -> &mut Value {
        self.at("/static_resources/clusters/0")
    }

    /// Returns the HTTP protocol options of the functions' cluster.
    pub fn protocol_options(&mut self) -> &mut Value {
        let options = at(self.cluster(), "/typed_extension_protocol_options");
        &mut options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    }

    /// Returns the HTTP filters of the functions' cluster.
    pub fn filters(&mut self) -> &mut Vec<Value> {
        array(at(self.protocol_options(), "/http_filters"))
    }

    /// Returns the configuration of the Lambda filter in the functions' cluster. The filter reads its member
    /// `configuration`.
    pub fn plugin(&mut self) -> &mut Value {
        plugin(self.cluster()).expect("a filter with the name lambda")
    }

    /// Sets the endpoints of each cluster of functions.
    pub(super) fn set_endpoints(&mut self, endpoints: &[Endpoint]) {
        for cluster in self.clusters() {
            if plugin(cluster).is_some() {
                set_endpoints(cluster, endpoints);
            }
        }
    }

    /// Sets the file of the filter in each cluster of functions.
    pub(super) fn set_filter(&mut self, path: &Path) {
        for plugin in self.clusters().iter_mut().filter_map(plugin) {
            plugin["vm_config"]["code"] = json!({ "local": { "filename": path } });
        }
    }

    /// Sets the address of the cluster `name`, which is not one of functions.
    ///
    /// # Panics
    /// There is no such cluster.
    pub fn set_address(&mut self, name: &str, address: SocketAddr) {
        let cluster = self
            .clusters()
            .iter_mut()
            .find(|cluster| cluster["name"] == name);
        let cluster = cluster.unwrap_or_else(|| panic!("no cluster {name}"));
        set_endpoints(cluster, &[Endpoint::Tcp(address)]);
    }

    /// Adds a cluster that is not one of functions.
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

/// Returns the `metadata` of a route, a virtual host or a cluster with these keys of the filter.
pub fn metadata(lambda: &Value) -> Value {
    json!({ "filter_metadata": { "lambda": lambda } })
}

/// Returns a route to the functions' cluster.
pub fn route(route_match: &Value, lambda: &Value) -> Value {
    json!({
        "match": route_match,
        "route": { "cluster": "invoker", "timeout": "30s" },
        "metadata": metadata(lambda),
    })
}

/// Returns the configuration of the Lambda filter in `cluster`, if it is a cluster of functions.
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
        .unwrap_or_else(|| panic!("this part of the shipped configuration has no {pointer}"))
}

#[track_caller]
fn array(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().expect("a list")
}
