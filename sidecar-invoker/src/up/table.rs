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

/// Returns a `curl` command for the route that is the likeliest to answer it: one that takes GET, at a path that is
/// written out, under a name that leads to this machine.
#[must_use]
pub fn example(gateway: &Gateway, address: SocketAddr) -> Option<String> {
    let route = gateway.routes.iter().min_by_key(|route| {
        let path = route.path.as_str();
        (
            !takes_get(route),
            !leads_here(&route.host),
            route.authorizer.is_some() || !route.conditions.is_empty(),
            path.contains('{'),
            path.ends_with('*'),
        )
    })?;
    let mut command = "curl -i".to_owned();
    match route.method.as_ref().map(Method::as_str) {
        None | Some("GET") => {}
        Some("HEAD") => command += " --head",
        Some(method @ ("POST" | "PUT" | "PATCH")) => command += &format!(" -X {method} -d '{{}}'"),
        Some(method) => command += &format!(" -X {method}"),
    }
    let mut route = route.clone();
    if !leads_here(&route.host) {
        let host = route.host.as_str().replace('*', "www");
        command += &format!(" -H 'Host: {host}'");
        route.host = Host::any();
    }
    let url = url(gateway, &route, address);
    // A placeholder such as `{id}` takes any text.
    let placeholder = |part: &str| match part.starts_with('{') && part.ends_with('}') {
        true => "1".to_owned(),
        false => part.to_owned(),
    };
    let parts: Vec<_> = url.split('/').map(placeholder).collect();
    Some(format!("{command} {}", quoted(&parts.join("/"))))
}

/// Returns a URL as a shell reads it: within quotes if it has a character that may mean something to a shell.
fn quoted(url: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/:._~%-".contains(c);
    match url.chars().all(is_plain) {
        true => url.to_owned(),
        false => format!("'{}'", url.replace('\'', r"'\''")),
    }
}

fn takes_get(route: &Route) -> bool {
    route
        .method
        .as_ref()
        .is_none_or(|method| method == Method::GET)
}

/// Returns whether a name leads to this machine without an entry in DNS.
fn leads_here(host: &Host) -> bool {
    let name = host.as_str();
    *host == Host::any()
        || name == "localhost"
        || name.ends_with(".localhost") && !name.starts_with('*')
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::envoy_config::Filter;

    #[test]
    fn the_example_is_the_request_that_is_the_likeliest_to_be_answered() {
        let cases = [
            ("{ function: f }", "curl -i http://localhost:8080/"),
            (
                "{ path: /a/*, function: f }, { path: /b, function: f }",
                "curl -i http://localhost:8080/b",
            ),
            (
                "{ path: /a, method: POST, function: f }, { path: '/pets/{id}', function: f }",
                "curl -i http://localhost:8080/pets/1",
            ),
            (
                "{ host: api.internal, function: f }, { host: f.localhost, path: /a/*, function: f }",
                "curl -i http://f.localhost:8080/a/",
            ),
            (
                "{ host: '*.internal', method: POST, path: '/room/{name}', function: f }",
                "curl -i -X POST -d '{}' -H 'Host: www.internal' http://localhost:8080/room/1",
            ),
            (
                "{ method: HEAD, function: f }",
                "curl -i --head http://localhost:8080/",
            ),
            (
                "{ path: /a;b, function: f }",
                "curl -i 'http://localhost:8080/a;b'",
            ),
            (
                r#"{ path: "/it's", function: f }"#,
                r"curl -i 'http://localhost:8080/it'\''s'",
            ),
        ];
        for (routes, expected) in cases {
            let yaml = format!("functions: {{ f: {{ aws: {{}} }} }}\nroutes: [{routes}]\n");
            let config = Config::parse("invoker.yaml", &yaml, Path::new("/")).unwrap();
            let filter = Filter::Wasm("filter.wasm".to_owned());
            let gateway = Gateway::of_config(&config, filter).unwrap();
            let command = example(&gateway, gateway.listen);
            assert_eq!(command.as_deref(), Some(expected), "{routes}");
        }
    }
}
