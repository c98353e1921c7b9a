//! The table of URLs that `up` prints.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use super::mesh::Addresses;
use crate::config::yaml::scalar::printable;
use crate::config::{Host, Listen};
use crate::envoy_config::Gateway;

/// Returns a row for each route with its function, method and URL.
#[must_use]
pub fn urls(gateway: &Gateway, address: SocketAddr) -> String {
    let scheme = if gateway.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let is_default = matches!((scheme, address.port()), ("http", 80) | ("https", 443));
    let port = match is_default {
        true => String::new(),
        false => format!(":{}", address.port()),
    };
    let rows = gateway.routes.iter().map(|route| {
        let method = route
            .method
            .as_ref()
            .map_or("ANY", |method| method.as_str());
        let host = match route.host == Host::any() {
            true => name_of(address.ip()),
            false => route.host.as_str().to_owned(),
        };
        let path = route.path.as_str();
        let path = path.strip_suffix('*').unwrap_or(path);
        let url = printable(&format!("{scheme}://{host}{port}{path}"));
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

/// Returns the name by which this machine reaches an address.
fn name_of(ip: IpAddr) -> String {
    match ip {
        ip if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Returns the lines below the table: the other addresses.
#[must_use]
pub fn other_addresses(addresses: &Addresses) -> String {
    let invoker = match &addresses.invoker {
        Listen::Tcp(address) => format!("http://{address}"),
        Listen::Unix(path) => format!("unix://{}", path.display()),
    };
    format!(
        "Lambda API of AWS SDKs and CLI (--endpoint-url): {invoker}\n\
         health and metrics: http://{}/readyz, /metrics\n",
        addresses.admin
    )
}
