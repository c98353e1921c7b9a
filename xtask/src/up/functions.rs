//! Compares the functions that Envoy's routes name with the functions of the invoker. A name that the
//! invoker does not know would be a 502 at the first call.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::say;
use crate::up::config::{Invoker, socket};

/// Checks that the invoker has each function that Envoy calls through it by name.
///
/// # Errors
/// The invoker lacks a function. The error names the function, its place and both files.
pub(crate) fn check(
    envoy: &Value,
    envoy_file: &Path,
    invoker: &Invoker,
    invoker_file: &Path,
) -> Result<()> {
    let (Some(listen), Some(known)) = (invoker.listen, &invoker.functions) else {
        return Ok(());
    };
    let clusters = clusters_at(envoy, listen);
    if clusters.is_empty() {
        say(format_args!(
            "note: no cluster of {} has the address {listen}, on which the invoker listens according to {}",
            crate::display(envoy_file),
            crate::display(invoker_file)
        ));
    }
    let mut called = Vec::new();
    collect(envoy, "", &clusters, &mut called);
    let is_known = |function: &str| known.iter().any(|known| known == name(function));
    if let Some((place, function)) = called.into_iter().find(|(_, f)| !is_known(f)) {
        bail!(
            "{}: {place}: metadata.filter_metadata.lambda.function: `{function}` is not in {}, \
             which has {}; add it there, correct the name, or give both --envoy-config and \
             --invoker-config",
            crate::display(envoy_file),
            crate::display(invoker_file),
            known.join(", ")
        );
    }
    Ok(())
}

/// Returns the names of the clusters with an endpoint at this address.
fn clusters_at(envoy: &Value, address: SocketAddr) -> Vec<&str> {
    let clusters = envoy.pointer("/static_resources/clusters");
    let clusters = clusters.and_then(Value::as_array).into_iter().flatten();
    let at_address = clusters.filter(|cluster| has_address(cluster, address));
    at_address
        .filter_map(|cluster| cluster.get("name")?.as_str())
        .collect()
}

fn has_address(value: &Value, address: SocketAddr) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_address(item, address)),
        Value::Object(fields) => {
            fields.get("socket_address").and_then(socket) == Some(address)
                || fields.values().any(|field| has_address(field, address))
        }
        _ => false,
    }
}

/// Collects the functions in the metadata of these clusters, of the routes to them and of the virtual
/// hosts of such routes, each with the name of its virtual host or cluster.
fn collect<'a>(
    value: &'a Value,
    place: &'a str,
    clusters: &[&str],
    called: &mut Vec<(&'a str, &'a str)>,
) {
    let children: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => return,
    };
    let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
    let is_one = |name: Option<&str>| name.is_some_and(|name| clusters.contains(&name));
    let leads_there =
        |route: &Value| is_one(route.pointer("/route/cluster").and_then(Value::as_str));
    let routes = value.get("routes").and_then(Value::as_array);
    let is_called = leads_there(value)
        || routes.is_some_and(|routes| routes.iter().any(leads_there))
        || (value.get("load_assignment").is_some() && is_one(text("/name")));
    let place = if routes.is_some() || is_called {
        text("/name").unwrap_or(place)
    } else {
        place
    };
    if is_called && let Some(function) = text("/metadata/filter_metadata/lambda/function") {
        called.push((place, function));
    }
    for child in children {
        collect(child, place, clusters, called);
    }
}

/// Returns the function name in a name, partial ARN or full ARN, with or without a qualifier.
fn name(function: &str) -> &str {
    let after_type = function.rsplit_once(":function:").map(|(_, name)| name);
    let name = after_type.unwrap_or(function);
    name.split(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(function: &str) -> Value {
        json!({ "filter_metadata": { "lambda": { "function": function } } })
    }

    /// Checks an Envoy configuration with these functions in the metadata of a route, its virtual host and
    /// its cluster.
    fn checked(route: &str, host: &str, cluster: &str) -> Result<()> {
        let endpoint = json!({ "address": { "socket_address": {
            "address": "127.0.0.1", "port_value": 9090,
        } } });
        let envoy = json!({ "static_resources": {
            "listeners": [{ "virtual_hosts": [
                {
                    "name": "shop",
                    "metadata": metadata(host),
                    "routes": [{ "route": { "cluster": "invoker" }, "metadata": metadata(route) }],
                },
                {
                    "name": "other",
                    "metadata": metadata("elsewhere"),
                    "routes": [{ "route": { "cluster": "aws" }, "metadata": metadata("there") }],
                },
            ] }],
            "clusters": [
                {
                    "name": "invoker",
                    "metadata": metadata(cluster),
                    "load_assignment": { "endpoints": [endpoint] },
                },
                { "name": "aws", "metadata": metadata("remote"), "load_assignment": {} },
            ],
        } });
        let invoker = Invoker {
            listen: "127.0.0.1:9090".parse().ok(),
            admin: "127.0.0.1:9091".parse()?,
            functions: Some(vec!["hello".to_owned(), "py".to_owned()]),
            runs_awslambdaric: false,
            has_routes: false,
        };
        check(
            &envoy,
            Path::new("envoy.yaml"),
            &invoker,
            Path::new("invoker.yaml"),
        )
    }

    #[test]
    fn a_function_that_the_invoker_lacks_is_named_with_its_place() {
        for (route, host, cluster, place) in [
            ("helo", "hello", "py", "shop"),
            ("hello", "helo", "py", "shop"),
            ("hello", "py", "helo", "invoker"),
        ] {
            let error = checked(route, host, cluster).unwrap_err().to_string();
            let expected = format!(
                "envoy.yaml: {place}: metadata.filter_metadata.lambda.function: `helo` is not in \
                 invoker.yaml, which has hello, py; "
            );
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_function_is_found_by_its_name_without_arn_and_qualifier() {
        for function in [
            "hello",
            "hello:live",
            "123456789012:function:hello",
            "arn:aws:lambda:eu-west-1:123456789012:function:hello:2",
        ] {
            assert!(checked(function, "py", "py").is_ok(), "{function}");
        }
    }
}
