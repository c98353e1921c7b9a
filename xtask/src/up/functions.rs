//! The functions that Envoy's routes name, held against those that the invoker has: a name that
//! only one of them knows would be a 502 at the first call.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::up::config::{Invoker, socket};

/// Checks that the invoker has each function that is called through it by name.
///
/// # Errors
/// One that it has not, with the two files.
pub(crate) fn check(
    envoy: &Value,
    envoy_file: &Path,
    invoker: &Invoker,
    invoker_file: &Path,
) -> Result<()> {
    let Some(listen) = invoker.listen else {
        return Ok(());
    };
    let clusters = clusters_at(envoy, listen);
    let mut called = Vec::new();
    collect(envoy, &clusters, &mut called);
    let unknown = called.into_iter().find(|function| {
        !invoker
            .functions
            .iter()
            .any(|known| known == name(function))
    });
    if let Some(function) = unknown {
        bail!(
            "{}: metadata.filter_metadata.lambda.function: `{function}` is not in {}, which has \
             {}; add it there or correct the name",
            crate::display(envoy_file),
            crate::display(invoker_file),
            invoker.functions.join(", ")
        );
    }
    Ok(())
}

/// The names of the clusters with an endpoint at this address.
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

/// The functions of all routes to these clusters.
fn collect<'a>(value: &'a Value, clusters: &[&str], called: &mut Vec<&'a str>) {
    let children: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => return,
    };
    let cluster = value.pointer("/route/cluster").and_then(Value::as_str);
    if cluster.is_some_and(|cluster| clusters.contains(&cluster)) {
        let function = value.pointer("/metadata/filter_metadata/lambda/function");
        called.extend(function.and_then(Value::as_str));
    }
    for child in children {
        collect(child, clusters, called);
    }
}

/// The bare name in a name, partial ARN or full ARN, with or without a qualifier.
fn name(function: &str) -> &str {
    let after_type = function.rsplit_once(":function:").map(|(_, name)| name);
    let name = after_type.unwrap_or(function);
    name.split(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(function: &str) -> Result<()> {
        let route = |cluster: &str, function: &str| {
            json!({
                "route": { "cluster": cluster },
                "metadata": { "filter_metadata": { "lambda": { "function": function } } },
            })
        };
        let endpoint = json!({ "address": { "socket_address": {
            "address": "127.0.0.1", "port_value": 9090,
        } } });
        let envoy = json!({ "static_resources": {
            "listeners": [{ "routes": [route("invoker", function), route("aws", "elsewhere")] }],
            "clusters": [{ "name": "invoker", "endpoints": [endpoint] }, { "name": "aws" }],
        } });
        let invoker = Invoker {
            listen: "127.0.0.1:9090".parse().ok(),
            admin: "127.0.0.1:9091".parse().unwrap(),
            functions: vec!["hello".to_owned(), "py".to_owned()],
        };
        check(
            &envoy,
            Path::new("envoy.yaml"),
            &invoker,
            Path::new("invoker.yaml"),
        )
    }

    #[test]
    fn a_function_that_the_invoker_has_not_is_named_with_the_files() {
        let error = checked("helo").unwrap_err().to_string();
        assert_eq!(
            error,
            "envoy.yaml: metadata.filter_metadata.lambda.function: `helo` is not in \
             invoker.yaml, which has hello, py; add it there or correct the name"
        );
    }

    #[test]
    fn a_function_is_known_by_its_bare_name() {
        for function in [
            "hello",
            "hello:live",
            "123456789012:function:hello",
            "arn:aws:lambda:eu-west-1:123456789012:function:hello:2",
        ] {
            assert!(checked(function).is_ok(), "{function}");
        }
    }
}
