//! The Envoy configuration that Envoy Gateway makes of `envoy/envoy-gateway`.
//!
//! Sources of the rules: the output of `egctl x translate` of Envoy Gateway 1.9 for resources of these
//! kinds (the golden files of its own tests), and the reference of `EnvoyPatchPolicy`.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::{documents, files, items, of_kind, only, text};
use crate::mesh::Config;

/// Returns the configuration of the Gateway's Envoys in a cluster to which `envoy/envoy-gateway` was
/// applied, with the invoker at `invoker`.
///
/// # Panics
/// A patch has nothing to change, or the resources have an unknown field.
pub fn configure(invoker: SocketAddr) -> Config {
    let files = files("envoy-gateway")
        .into_iter()
        .chain(files("kubernetes/invoker"));
    let resources: Vec<_> = files.flat_map(|path| documents(&path)).collect();
    let mut envoy = generate(&resources, invoker);
    for proxy in of_kind(&resources, "EnvoyProxy") {
        let bootstrap = &proxy["spec"]["bootstrap"];
        assert_eq!(bootstrap["type"], "Merge");
        let added: Map<String, Value> =
            serde_saphyr::from_str(text(&bootstrap["value"])).expect("YAML");
        // Envoy Gateway's own bootstrap has none of these.
        envoy.as_object_mut().expect("an object").extend(added);
    }
    for policy in of_kind(&resources, "EnvoyPatchPolicy") {
        for patch in items(&policy["spec"]["jsonPatches"]) {
            apply(&mut envoy, patch);
        }
    }
    Config(envoy)
}

/// Returns the configuration before the patches.
fn generate(resources: &[Value], invoker: SocketAddr) -> Value {
    let one = |kind: &'static str| {
        let mut found = of_kind(resources, kind);
        let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
        assert_eq!(found.next(), None, "one {kind}");
        first
    };
    let gateway = one("Gateway");
    let [listener] = items(&gateway["spec"]["listeners"]) else {
        panic!("one listener, not {}", gateway["spec"]["listeners"]);
    };
    let name = format!(
        "{}/{}/{}",
        text(&gateway["metadata"]["namespace"]),
        text(&gateway["metadata"]["name"]),
        text(&listener["name"]),
    );
    let client = &one("ClientTrafficPolicy")["spec"];
    let known = [
        "targetRefs",
        "connection",
        "timeout",
        "path",
        "headers",
        "http1",
    ];
    only(client, &known);
    let backend = &one("BackendTrafficPolicy")["spec"];
    only(
        backend,
        &["targetRefs", "connection", "circuitBreaker", "retry"],
    );
    for policy in [
        client,
        backend,
        &json!({ "targetRefs": [one("EnvoyPatchPolicy")["spec"]["targetRef"]] }),
    ] {
        let target = &items(&policy["targetRefs"])[0];
        assert_eq!(target["kind"], "Gateway");
        assert_eq!(target["name"], gateway["metadata"]["name"]);
    }
    let routes: Vec<_> = of_kind(resources, "HTTPRoute").collect();
    let hosts = routes
        .iter()
        .map(|route| virtual_host(&name, route, backend));
    let clusters = routes
        .iter()
        .map(|route| cluster(route, resources, backend, invoker));
    let mut envoy = json!({
        "admin": { "address": {} },
        "static_resources": {
            "listeners": [{
                "name": name,
                "address": {},
                "per_connection_buffer_limit_bytes": bytes(&client["connection"]["bufferLimit"]),
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        "stat_prefix": "http-10080",
                        "access_log": [],
                        "use_remote_address": true,
                        "normalize_path": true,
                        "merge_slashes": true,
                        "server_header_transformation": "PASS_THROUGH",
                        "http_filters": [{
                            "name": "envoy.filters.http.router",
                            "typed_config": {
                                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                                "suppress_envoy_headers": true,
                            },
                        }],
                        "route_config": {
                            "name": name,
                            "ignore_port_in_host_matching": true,
                            "virtual_hosts": hosts.collect::<Vec<_>>(),
                        },
                    },
                }] }],
            }],
            "clusters": clusters.collect::<Vec<_>>(),
        },
    });
    let manager = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    apply_client_policy(&mut manager["typed_config"], client);
    envoy
}

/// Applies a `ClientTrafficPolicy` to a connection manager.
fn apply_client_policy(manager: &mut Value, policy: &Value) {
    only(&policy["timeout"], &["http"]);
    only(&policy["timeout"]["http"], &["requestReceivedTimeout"]);
    manager["request_timeout"] = policy["timeout"]["http"]["requestReceivedTimeout"].clone();
    only(&policy["path"], &["escapedSlashesAction"]);
    manager["path_with_escaped_slashes_action"] =
        json!(match text(&policy["path"]["escapedSlashesAction"]) {
            "UnescapeAndForward" => "UNESCAPE_AND_FORWARD",
            other => panic!("unknown action {other}"),
        });
    let headers = &policy["headers"];
    only(headers, &["withUnderscoresAction", "earlyRequestHeaders"]);
    let action = match text(&headers["withUnderscoresAction"]) {
        "DropHeader" => "DROP_HEADER",
        other => panic!("unknown action {other}"),
    };
    manager["common_http_protocol_options"] = json!({ "headers_with_underscores_action": action });
    only(&headers["earlyRequestHeaders"], &["remove"]);
    let removed = items(&headers["earlyRequestHeaders"]["remove"]).iter();
    let removed: Vec<_> = removed.map(|name| json!({ "remove": name })).collect();
    manager["early_header_mutation_extensions"] = json!([{
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": removed,
        },
    }]);
    only(&policy["http1"], &["ignoredUpgradeTypes"]);
    let ignored = items(&policy["http1"]["ignoredUpgradeTypes"]).iter();
    let ignored: Vec<_> = ignored
        .map(|matcher| {
            assert_eq!(matcher["type"], "Prefix");
            json!({ "prefix": matcher["value"] })
        })
        .collect();
    manager["http_protocol_options"] = json!({ "ignore_http_11_upgrade": ignored });
}

/// Returns the name of the cluster of a route's only rule.
fn cluster_name(route: &Value) -> String {
    let metadata = &route["metadata"];
    format!(
        "httproute/{}/{}/rule/0",
        text(&metadata["namespace"]),
        text(&metadata["name"])
    )
}

fn rule(route: &Value) -> &Value {
    only(&route["spec"], &["parentRefs", "hostnames", "rules"]);
    let [rule] = items(&route["spec"]["rules"]) else {
        panic!("one rule, not {}", route["spec"]["rules"]);
    };
    only(rule, &["backendRefs", "timeouts"]);
    rule
}

fn virtual_host(listener: &str, route: &Value, policy: &Value) -> Value {
    let [host] = items(&route["spec"]["hostnames"]) else {
        panic!("one hostname, not {}", route["spec"]["hostnames"]);
    };
    let plain = text(host).replace('.', "_");
    let triggers: Vec<_> = items(&policy["retry"]["retryOn"]["triggers"])
        .iter()
        .map(text)
        .collect();
    json!({
        "name": format!("{listener}/{plain}"),
        "domains": [host],
        "routes": [{
            "name": format!("{}/match/0/{plain}", cluster_name(route)),
            "match": { "prefix": "/" },
            "route": {
                "cluster": cluster_name(route),
                "timeout": rule(route)["timeouts"]["request"],
                "retry_policy": {
                    "num_retries": policy["retry"]["numRetries"],
                    "retry_on": triggers.join(","),
                },
                "upgrade_configs": [{ "upgrade_type": "websocket" }],
            },
            "metadata": resource(route),
        }],
    })
}

fn cluster(route: &Value, resources: &[Value], policy: &Value, invoker: SocketAddr) -> Value {
    let [backend] = items(&rule(route)["backendRefs"]) else {
        panic!("one backend");
    };
    let service = of_kind(resources, "Service")
        .find(|service| service["metadata"]["name"] == backend["name"]);
    let ports = &service.expect("the backend's service")["spec"]["ports"];
    let port = items(ports)
        .iter()
        .find(|port| port["port"] == backend["port"]);
    assert_eq!(
        port.expect("the backend's port")["appProtocol"],
        "kubernetes.io/h2c"
    );
    let breaker = &policy["circuitBreaker"];
    json!({
        "name": cluster_name(route),
        "type": "STATIC",
        "connect_timeout": "10s",
        "per_connection_buffer_limit_bytes": bytes(&policy["connection"]["bufferLimit"]),
        "circuit_breakers": { "thresholds": [{
            "max_pending_requests": breaker["maxPendingRequests"],
            "max_requests": breaker["maxParallelRequests"],
        }] },
        "load_assignment": { "cluster_name": cluster_name(route), "endpoints": [{ "lb_endpoints": [{
            "endpoint": { "address": { "socket_address": {
                "address": invoker.ip(), "port_value": invoker.port(),
            } } },
        }] }] },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        },
        "metadata": resource(route),
    })
}

/// Returns Envoy Gateway's own metadata.
fn resource(route: &Value) -> Value {
    let resource = json!({ "kind": "HTTPRoute", "name": route["metadata"]["name"] });
    json!({ "filter_metadata": { "envoy-gateway": { "resources": [resource] } } })
}

/// Returns the bytes of a quantity such as `16Mi`.
fn bytes(quantity: &Value) -> u64 {
    let mebibytes = text(quantity)
        .strip_suffix("Mi")
        .and_then(|number| number.parse::<u64>().ok());
    mebibytes.expect("a number of Mi") << 20
}

/// Applies a JSON patch (RFC 6902) that adds a member to an object of the named resource.
fn apply(envoy: &mut Value, patch: &Value) {
    assert_eq!(
        patch["type"],
        "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    );
    only(&patch["operation"], &["op", "path", "value"]);
    assert_eq!(patch["operation"]["op"], "add");
    let clusters = envoy["static_resources"]["clusters"].as_array_mut();
    let mut clusters = clusters.expect("the clusters").iter_mut();
    let cluster = clusters.find(|cluster| cluster["name"] == patch["name"]);
    let path = text(&patch["operation"]["path"]);
    let (parent, member) = path.rsplit_once('/').expect("a JSON pointer");
    let parent = cluster.and_then(|cluster| cluster.pointer_mut(parent));
    let parent = parent.and_then(Value::as_object_mut);
    let parent = parent.unwrap_or_else(|| panic!("nothing at {path} of {}", patch["name"]));
    let old = parent.insert(member.to_owned(), patch["operation"]["value"].clone());
    assert_eq!(old, None, "{path} of {}", patch["name"]);
}
