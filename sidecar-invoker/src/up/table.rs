//! The table of URLs that `up` prints.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use hyper::Method;

use super::mesh::Addresses;
use crate::config::yaml::scalar::printable;
use crate::config::{Host, Listen, Route};
use crate::envoy_config::Gateway;

/// Returns a row for each route with its function, method and URL.
#[must_use]
pub fn urls(gateway: &Gateway, address: SocketAddr) -> String {
    let rows = gateway.routes.iter().map(|route| {
        let method = route
            .method
            .as_ref()
            .map_or("ANY", |method| method.as_str());
        let url = url(gateway, route, address);
        (route.function.to_string(), method.to_owned(), url)
    });
    let rows: Vec<_> = rows.collect();
    let width = |head: &str, text: fn(&(String, String, String)) -> &str| {
        let widths = rows.iter().map(|row| text(row).chars().count());
        widths.chain([head.len()]).max().unwrap_or_default()
    };
    let one = width("FUNCTION", |row| &row.0);
    let two = width("METHOD", |row| &row.1);
    let mut out = format!("{:one$}  {:two$}  URL\n", "FUNCTION", "METHOD");
    for (function, method, url) in &rows {
        // Writing to a String never fails.
        let _ = writeln!(out, "{function:one$}  {method:two$}  {url}");
    }
    out
}

/// Returns the URL of a route. That of a wildcard ends in a slash.
fn url(gateway: &Gateway, route: &Route, address: SocketAddr) -> String {
    let scheme = match gateway.tls {
        Some(_) => "https",
        None => "http",
    };
    let port = match (scheme, address.port()) {
        ("http", 80) | ("https", 443) => String::new(),
        (_, port) => format!(":{port}"),
    };
    let host = match route.host == Host::any() {
        true => name_of(address.ip()),
        false => route.host.as_str().to_owned(),
    };
    let path = route.path.as_str();
    let path = path.strip_suffix('*').unwrap_or(path);
    printable(&format!("{scheme}://{host}{port}{path}"))
}

/// Returns the name by which this machine reaches an address.
fn name_of(ip: IpAddr) -> String {
    match ip {
        ip if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Returns the URL of the first route that a request without a body may match.
#[must_use]
pub fn example(gateway: &Gateway, address: SocketAddr) -> Option<String> {
    let is_plain = |route: &&Route| {
        let method = route.method.as_ref();
        method.is_none_or(|method| method == Method::GET) && !route.path.as_str().contains('{')
    };
    let mut routes = gateway.routes.iter();
    routes
        .find(is_plain)
        .map(|route| url(gateway, route, address))
}

/// Returns the lines below the table: the other addresses.
#[must_use]
pub fn other_addresses(addresses: &Addresses) -> String {
    let invoker = match &addresses.invoker {
        Listen::Tcp(address) => format!("http://{address}"),
        Listen::Unix(path) => format!("unix://{}", path.display()),
    };
    let console = match addresses.has_console {
        true => format!(
            "console (each request with its event, response and log): http://{}/console/\n",
            addresses.admin
        ),
        false => String::new(),
    };
    format!(
        "{console}Lambda API of AWS SDKs and CLI (--endpoint-url): {invoker}\n\
         health and metrics: http://{}/readyz, /metrics\n",
        addresses.admin
    )
}
