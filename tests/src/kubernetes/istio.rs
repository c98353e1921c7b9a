//! The Envoy configurations that istiod and Istio's agent make of `envoy/istio`.
//!
//! Sources of the rules: the reference of `EnvoyFilter`, and istiod's own `merge.go`,
//! `cluster_patch.go`, `rc_patch.go` (an entry of a map is replaced, a list grows, a message is
//! merged field by field) and the agent's `convert.go` (a remote module becomes a local file).

mod agent;

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::{documents, files, items, of_kind, only, text};
use crate::mesh::Config;

/// The fields of Envoy that are maps. A patch replaces whole entries of a map.
const MAPS: [&str; 2] = ["typed_extension_protocol_options", "filter_metadata"];

/// A proxy of Istio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Proxy {
    /// The sidecar of a pod, for outgoing calls.
    Sidecar,
    /// The ingress gateway.
    Gateway,
    /// The sidecar of the invoker's pods, for incoming calls.
    Invoker,
}

impl Proxy {
    fn context(self) -> &'static str {
        match self {
            Self::Sidecar => "SIDECAR_OUTBOUND",
            Self::Gateway => "GATEWAY",
            Self::Invoker => "SIDECAR_INBOUND",
        }
    }

    /// Returns whether an `EnvoyFilter` selects the pods of this proxy.
    fn is_selected(self, filter: &Value) -> bool {
        let Some(selector) = filter["spec"].get("workloadSelector") else {
            return true;
        };
        let pods = files("kubernetes/invoker");
        let pods: Vec<_> = pods.iter().flat_map(|path| documents(path)).collect();
        let mut labels = pods
            .iter()
            .filter_map(|pod| pod.pointer("/spec/template/metadata/labels"));
        self == Self::Invoker && labels.any(|labels| *labels == selector["labels"])
    }
}

/// A proxy's configuration, and the patches without an effect on it.
#[derive(Debug)]
pub struct Patched {
    /// The configuration with all patches.
    pub config: Config,
    /// `NAME/NUMBER`: the name of the `EnvoyFilter`, and the number of the patch, from 0.
    pub unused: Vec<String>,
}

/// Returns the configuration of `proxy` in a mesh to which `envoy/istio` was applied, with the invoker at
/// `invoker`. Writes the configurations that the proxy receives through ECDS to `folder`.
///
/// # Panics
/// The resources do not fit together, or have an unknown field.
pub fn configure(proxy: Proxy, invoker: SocketAddr, folder: &Path) -> Patched {
    let resources: Vec<_> = files("istio")
        .iter()
        .flat_map(|path| documents(path))
        .collect();
    let mut envoy = generate(proxy, &resources, invoker);
    let mut unused = Vec::new();
    let filters = of_kind(&resources, "EnvoyFilter");
    for filter in filters.filter(|filter| proxy.is_selected(filter)) {
        for (number, patch) in items(&filter["spec"]["configPatches"]).iter().enumerate() {
            if !apply(&mut envoy, patch, proxy, folder) {
                unused.push(format!("{}/{number}", text(&filter["metadata"]["name"])));
            }
        }
    }
    Patched {
        config: Config(envoy),
        unused,
    }
}

/// Returns the configuration before the patches.
fn generate(proxy: Proxy, resources: &[Value], invoker: SocketAddr) -> Value {
    if proxy == Proxy::Invoker {
        return inbound(resources, invoker);
    }
    let mut hosts: Vec<_> = of_kind(resources, "VirtualService")
        .flat_map(|service| virtual_hosts(proxy, resources, service))
        .collect();
    let service = "invoker.lambda-mesh.svc.cluster.local";
    let direct = format!("outbound|9090||{service}");
    let mut clusters = vec![cluster(&direct, invoker)];
    if proxy == Proxy::Sidecar {
        // The route for a pod that calls the invoker itself. In Istio, it has a listener of its own.
        hosts.push(json!({
            "name": format!("{service}:9090"),
            "domains": [service],
            "routes": [{ "name": "default", "match": { "prefix": "/" }, "route": { "cluster": direct } }],
        }));
    }
    for rule in of_kind(resources, "DestinationRule") {
        only(&rule["spec"], &["host", "subsets"]);
        for subset in items(&rule["spec"]["subsets"]) {
            assert_eq!(subset.get("labels"), None, "a subset with labels");
            let (host, subset) = (text(&rule["spec"]["host"]), text(&subset["name"]));
            clusters.push(cluster(&format!("outbound|9090|{subset}|{host}"), invoker));
        }
    }
    let port = if proxy == Proxy::Sidecar { 80 } else { 8080 };
    let mut envoy = envoy(resources, port, &hosts, &clusters);
    let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    manager["typed_config"]["use_remote_address"] = json!(proxy == Proxy::Gateway);
    envoy
}

/// Adds what the settings of the installation (`install/istiod.yaml`) make of a connection manager.
fn install(resources: &[Value], manager: &mut Value) {
    let mut settings = resources
        .iter()
        .filter(|values| values["pilot"].is_object());
    let settings = settings.next().expect("the settings of the installation");
    let answers = &settings["pilot"]["env"]["ENABLE_100_CONTINUE_HEADERS"];
    manager["proxy_100_continue"] = json!(answers != "false");
    let paths = &settings["meshConfig"]["pathNormalization"]["normalization"];
    assert_eq!(paths, "DECODE_AND_MERGE_SLASHES");
    manager["normalize_path"] = json!(true);
    manager["merge_slashes"] = json!(true);
    manager["path_with_escaped_slashes_action"] = json!("UNESCAPE_AND_FORWARD");
}

/// Returns the configuration for port 9090 in the sidecar of the invoker's pods.
fn inbound(resources: &[Value], invoker: SocketAddr) -> Value {
    let name = "inbound|9090||";
    let host = json!({
        "name": "inbound|http|9090",
        "domains": ["*"],
        "routes": [{ "name": "default", "match": { "prefix": "/" }, "route": { "cluster": name } }],
    });
    envoy(resources, 15006, &[host], &[cluster(name, invoker)])
}

fn envoy(resources: &[Value], port: u16, hosts: &[Value], clusters: &[Value]) -> Value {
    let mut envoy = json!({
        "node": { "id": "test", "cluster": "test" },
        "admin": { "address": {} },
        "static_resources": {
            "listeners": [{
                "name": format!("0.0.0.0_{port}"),
                "address": { "socket_address": { "address": "0.0.0.0", "port_value": port } },
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        "stat_prefix": "http",
                        "stream_idle_timeout": "0s",
                        "access_log": [],
                        "http_filters": [{
                            "name": "envoy.filters.http.router",
                            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
                        }],
                        "route_config": { "name": "http", "virtual_hosts": hosts },
                    },
                }] }],
            }],
            "clusters": clusters,
        },
    });
    let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    install(resources, &mut manager["typed_config"]);
    envoy
}

/// Returns a virtual host for each host of a `VirtualService` that `proxy` serves.
fn virtual_hosts(proxy: Proxy, resources: &[Value], service: &Value) -> Vec<Value> {
    let spec = &service["spec"];
    only(spec, &["hosts", "gateways", "http"]);
    let gateways = items(&spec["gateways"]).iter().map(text);
    let gateways: Vec<_> = if spec.get("gateways").is_none() {
        vec!["mesh"]
    } else {
        gateways.collect()
    };
    let known: Vec<_> = match proxy {
        // Hosts that no ServiceEntry knows have port 80.
        Proxy::Sidecar if gateways.contains(&"mesh") => items(&spec["hosts"]).iter().collect(),
        Proxy::Sidecar | Proxy::Invoker => vec![],
        Proxy::Gateway => of_kind(resources, "Gateway")
            .filter(|gateway| {
                let metadata = &gateway["metadata"];
                let name = format!(
                    "{}/{}",
                    text(&metadata["namespace"]),
                    text(&metadata["name"])
                );
                gateways.contains(&name.as_str())
            })
            .flat_map(|gateway| items(&gateway["spec"]["servers"]))
            .flat_map(|server| items(&server["hosts"]))
            .collect(),
    };
    let hosts = items(&spec["hosts"])
        .iter()
        .filter(|host| known.contains(host));
    hosts
        .map(|host| {
            let routes: Vec<_> = items(&spec["http"]).iter().map(route).collect();
            json!({
                "name": format!("{}:80", text(host)),
                "domains": [host, format!("{}:*", text(host))],
                "routes": routes,
            })
        })
        .collect()
}

fn route(http: &Value) -> Value {
    only(http, &["name", "timeout", "retries", "headers", "route"]);
    only(&http["headers"], &["request"]);
    only(&http["headers"]["request"], &["remove"]);
    let [route] = items(&http["route"]) else {
        panic!("one destination, not {}", http["route"]);
    };
    let destination = &route["destination"];
    let (host, subset) = (text(&destination["host"]), text(&destination["subset"]));
    json!({
        "name": http["name"],
        "match": { "prefix": "/" },
        "route": {
            "cluster": format!("outbound|{}|{subset}|{host}", destination["port"]["number"]),
            "timeout": http["timeout"],
            "retry_policy": {
                "retry_on": http["retries"]["retryOn"],
                "num_retries": http["retries"]["attempts"],
            },
        },
        "request_headers_to_remove": http["headers"]["request"]["remove"],
        "metadata": { "filter_metadata": { "istio": { "config": "of the VirtualService" } } },
    })
}

/// Returns the cluster of a port with a name that begins with `http2-`.
fn cluster(name: &str, invoker: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [{
            "endpoint": { "address": { "socket_address": {
                "address": invoker.ip(), "port_value": invoker.port(),
            } } },
        }] }] },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": { "max_concurrent_streams": 1024 } },
            },
        },
        "metadata": { "filter_metadata": { "istio": { "services": [] } } },
    })
}

/// Applies a patch. Returns whether it had an effect.
fn apply(envoy: &mut Value, patch: &Value, proxy: Proxy, folder: &Path) -> bool {
    let (wanted, what) = (&patch["match"], &patch["patch"]);
    let context = wanted["context"].as_str().unwrap_or("ANY");
    if context != "ANY" && context != proxy.context() {
        return false;
    }
    let resources = &mut envoy["static_resources"];
    let mut value = what["value"].clone();
    let operation = (text(&patch["applyTo"]), text(&what["operation"]));
    let objects: Vec<&mut Value> = match operation {
        ("EXTENSION_CONFIG", "ADD") => {
            only(wanted, &["context"]);
            agent::provide(&what["value"], folder);
            return true;
        }
        ("CLUSTER", "MERGE") => {
            only(wanted, &["context", "cluster"]);
            let clusters = list(&mut resources["clusters"]);
            clusters
                .filter(|cluster| is_cluster(cluster, &wanted["cluster"]))
                .collect()
        }
        ("LISTENER", "MERGE") => {
            only(wanted, &["context", "listener"]);
            only(&wanted["listener"], &["portNumber"]);
            list(&mut resources["listeners"])
                .filter(|listener| has_port(listener, &wanted["listener"]))
                .collect()
        }
        ("HTTP_ROUTE", "MERGE") => {
            only(wanted, &["context", "routeConfiguration"]);
            only(&wanted["routeConfiguration"], &["vhost"]);
            only(&wanted["routeConfiguration"]["vhost"], &["route"]);
            let route = &wanted["routeConfiguration"]["vhost"]["route"];
            only(route, &["name"]);
            let manager = &mut resources["listeners"][0]["filter_chains"][0]["filters"][0];
            list(&mut manager["typed_config"]["route_config"]["virtual_hosts"])
                .flat_map(|host| list(&mut host["routes"]))
                .filter(|own| own["name"] == route["name"])
                .collect()
        }
        ("NETWORK_FILTER", "MERGE") => {
            only(wanted, &["context", "listener"]);
            only(&wanted["listener"], &["portNumber", "filterChain"]);
            only(&wanted["listener"]["filterChain"], &["filter"]);
            let filter = &wanted["listener"]["filterChain"]["filter"];
            only(filter, &["name"]);
            // Istio merges the configuration if the types are the same.
            let config = value["typed_config"].as_object_mut();
            let kind = config.and_then(|config| config.remove("@type"));
            list(&mut resources["listeners"])
                .filter(|listener| has_port(listener, &wanted["listener"]))
                .flat_map(|listener| list(&mut listener["filter_chains"]))
                .flat_map(|chain| list(&mut chain["filters"]))
                .filter(|own| own["name"] == filter["name"])
                .inspect(|own| assert_eq!(own["typed_config"].get("@type"), kind.as_ref()))
                .collect()
        }
        other => panic!("unknown operation: {other:?}"),
    };
    agent::subscribe(&mut value, folder);
    let used = !objects.is_empty();
    objects.into_iter().for_each(|object| merge(object, &value));
    used
}

fn list(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_array_mut().expect("a list").iter_mut()
}

/// Returns whether the port of a `ListenerMatch` is that of the listener.
fn has_port(listener: &Value, wanted: &Value) -> bool {
    let own = &listener["address"]["socket_address"]["port_value"];
    wanted.get("portNumber").is_none_or(|port| port == own)
}

/// Returns whether a `ClusterMatch` matches the cluster, whose name is `outbound|PORT|SUBSET|SERVICE`.
fn is_cluster(cluster: &Value, wanted: &Value) -> bool {
    only(wanted, &["service", "subset"]);
    let parts: Vec<_> = text(&cluster["name"]).split('|').collect();
    let is = |key: &str, part: usize| wanted[key].as_str().is_none_or(|own| own == parts[part]);
    is("service", 3) && is("subset", 2)
}

/// Merges like istiod's `merge.Merge`.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) if !patch.contains_key("@type") => {
            for (key, value) in patch {
                match (into.get_mut(key), value) {
                    (Some(Value::Object(old)), Value::Object(new))
                        if MAPS.contains(&key.as_str()) =>
                    {
                        old.extend(new.clone());
                    }
                    (Some(old), new) => merge(old, new),
                    (None, new) => {
                        into.insert(key.clone(), new.clone());
                    }
                }
            }
        }
        (Value::Array(into), Value::Array(patch)) => into.extend(patch.iter().cloned()),
        (into, patch) => *into = patch.clone(),
    }
}
