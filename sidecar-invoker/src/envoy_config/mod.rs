//! Writes Envoy configurations: complete, commented, and the same bytes for the same input.

mod envoy;
mod error;
mod routes;
pub(crate) mod yaml;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::Method;
use serde_json::{Map, Value, json};

use self::routes::longest_wait;
use crate::config::{Config, Host, HostPort, Listen, Route};

pub use envoy::{Envoy, find_filter};
pub use error::EnvoyConfigError;
pub use routes::Health;

/// The text around the routes. `${NAME}` is filled in.
const TEMPLATE: &str = include_str!("envoy.yaml.template");
/// An Envoy in front of the invoker.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The name of the file that it is made from, for the heading.
    pub source: String,
    /// Comment lines below the heading, without their `# `.
    pub notes: Vec<String>,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where Envoy's admin interface listens.
    pub admin: Listen,
    /// Where the invoker listens.
    pub invoker: Listen,
    /// The filter's file, `lambda_filter.wasm`, as Envoy finds it.
    pub filter: String,
    /// The filter's defaults for every route.
    pub plugin: Map<String, Value>,
    /// Which requests go to which function.
    pub routes: Vec<Route>,
    /// Where Envoy itself answers `/ping` and `/healthz`.
    pub health: Health,
    /// What a request gets that no route takes, besides its status 404.
    pub not_found: NotFound,
    /// The largest head of a request; Envoy's own limits if `None`.
    pub head_limit: Option<HeadLimit>,
    /// Whether clients of HTTP/1.0 are served too, with or without a `Host`. Envoy's default is 426.
    pub http_10: bool,
}

/// The body of a 404 of Envoy's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// The content type.
    pub content_type: &'static str,
    /// The body, a format string of Envoy's.
    pub format: &'static str,
}

/// The largest head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimit {
    /// All of it, in KiB; Envoy's own limit is 60.
    pub kib: u32,
    /// Most headers; Envoy's own limit is 100.
    pub headers: u32,
}

impl Gateway {
    /// In front of the functions of an invoker's configuration: Envoy on `127.0.0.1:8080`, its admin
    /// interface on `127.0.0.1:9901`, and the health endpoints under `*`.
    ///
    /// # Errors
    /// The file has no routes, or does not say where the invoker listens.
    pub fn of_config(config: &Config, filter: String) -> Result<Self, EnvoyConfigError> {
        let file = &config.file;
        if config.routes.is_empty() {
            return Err(EnvoyConfigError::NoRoutes { file: file.clone() });
        }
        let with_timeout = |route: &Route| Route {
            timeout: route.timeout.or_else(|| {
                let function = config.functions.get(&route.function);
                Some(longest_wait(function))
            }),
            ..route.clone()
        };
        Ok(Self {
            source: file_name(file),
            notes: Vec::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin: Listen::Tcp(HostPort {
                host: Ipv4Addr::LOCALHOST.to_string(),
                port: 9901,
            }),
            invoker: config.listen.clone(),
            filter,
            plugin: Map::from_iter([("payload".to_owned(), json!("apigateway-v2"))]),
            routes: config.routes.iter().map(with_timeout).collect(),
            health: Health {
                prefix: String::new(),
                every_host: false,
            },
            // As API Gateway's HTTP APIs answer.
            not_found: NotFound {
                content_type: "application/json",
                format: r#"{"message":"Not Found"}"#,
            },
            head_limit: None,
            http_10: false,
        })
    }

    /// The configuration's text.
    ///
    /// # Errors
    /// The invoker's port is 0: nobody can know where it listens. Or a route is for one of the health
    /// endpoints.
    pub fn render(&self) -> Result<String, EnvoyConfigError> {
        let paths = self.health_paths_in_routes();
        if !paths.is_empty() {
            return Err(EnvoyConfigError::HealthPaths {
                source_file: self.source.clone(),
                paths,
            });
        }
        let invoker = reachable(&self.invoker)?;
        let fill = |name: &str| match name {
            "source" => self.source.clone(),
            "notes" => self.notes(),
            "listen_shown" => self.listen.to_string(),
            "invoker_shown" => self.invoker.to_string(),
            "admin" => yaml::flow(&address(&self.admin)),
            "listen" => yaml::flow(&socket_address(
                &self.listen.ip().to_string(),
                self.listen.port(),
            )),
            "clients" => self.clients(),
            "not_found" => yaml::flow(&json!({
                "text_format_source": { "inline_string": self.not_found.format },
                "content_type": self.not_found.content_type,
            })),
            "virtual_hosts" => routes::virtual_hosts(&self.routes, &self.health),
            "cluster_type" => cluster_type(&invoker).to_owned(),
            "invoker" => yaml::flow(&address(&invoker)),
            "filter" => yaml::text(&self.filter),
            "room" => self.room().to_owned(),
            "plugin" => yaml::flow(&Value::from(self.plugin())),
            _ => String::new(),
        };
        Ok(filled(TEMPLATE, fill))
    }

    /// The paths of routes whose requests the health endpoints would take.
    fn health_paths_in_routes(&self) -> Vec<String> {
        let Health { prefix, .. } = &self.health;
        let own = ["ping", "healthz"].map(|name| format!("{prefix}/{name}"));
        let is_taken = |route: &&Route| {
            let methods = [None, Some(Method::GET), Some(Method::HEAD)];
            route.host == Host::any()
                && own.iter().any(|path| path == route.path.as_str())
                && methods.contains(&route.method)
        };
        let taken = self.routes.iter().filter(is_taken);
        taken.map(|route| route.path.to_string()).collect()
    }

    fn notes(&self) -> String {
        let lines = self.notes.iter().map(|line| match line.as_str() {
            "" => "#\n".to_owned(),
            line => format!("# {line}\n"),
        });
        lines.collect()
    }

    /// What the filter is told. The event of a request without a body goes into a header, unless
    /// clients may send more than a header has room for.
    fn plugin(&self) -> Map<String, Value> {
        let mut plugin = self.plugin.clone();
        if self.head_limit.is_none() {
            plugin.insert("bodyless_event".to_owned(), json!("header"));
        }
        plugin
    }

    fn room(&self) -> &'static str {
        match self.head_limit {
            None => "",
            Some(_) => ROOM,
        }
    }

    /// What clients may send besides what Envoy takes by default.
    fn clients(&self) -> String {
        let mut lines = String::new();
        if let Some(HeadLimit { kib, headers }) = self.head_limit {
            lines = format!(
                "          max_request_headers_kb: {kib}\n          \
                 common_http_protocol_options: {{ max_headers_count: {headers} }}\n"
            );
        }
        if self.http_10 {
            lines.push_str(
                "          http_protocol_options: \
                 { accept_http_10: true, default_host_for_http_10: localhost }\n",
            );
        }
        lines
    }
}

/// The Lua filter that makes room for an event.
const ROOM: &str = r#"        # A request without a body (GET) gives a filter no place to put one. This makes one.
        - name: lambda.body
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
            default_source_code:
              inline_string: |
                function envoy_on_request(handle)
                  handle:body(true)
                end
"#;

/// `template` with each `${NAME}` replaced by what `fill` gives for it. What is filled in is not
/// looked through again, so no value can name another.
fn filled(template: &str, fill: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut parts = template.split("${");
    out.extend(parts.next());
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        out.push_str(&fill(name));
        out.push_str(rest);
    }
    out
}

/// The address by which a process on the same machine reaches what listens on `listen`.
fn reachable(listen: &Listen) -> Result<Listen, EnvoyConfigError> {
    let Listen::Tcp(HostPort { host, port }) = listen else {
        return Ok(listen.clone());
    };
    if *port == 0 {
        return Err(EnvoyConfigError::NoFixedPort(listen.clone()));
    }
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv6Addr::LOCALHOST.to_string(),
        _ => host.clone(),
    };
    Ok(Listen::Tcp(HostPort { host, port: *port }))
}

fn cluster_type(invoker: &Listen) -> &'static str {
    match invoker {
        Listen::Tcp(address) if address.host.parse::<IpAddr>().is_err() => "STRICT_DNS",
        _ => "STATIC",
    }
}

fn address(listen: &Listen) -> Value {
    match listen {
        Listen::Tcp(HostPort { host, port }) => socket_address(host, *port),
        Listen::Unix(path) => json!({ "pipe": { "path": path } }),
    }
}

fn socket_address(host: &str, port: u16) -> Value {
    let address = match host {
        // IPv4 too.
        "::" => json!({ "address": host, "port_value": port, "ipv4_compat": true }),
        _ => json!({ "address": host, "port_value": port }),
    };
    json!({ "socket_address": address })
}

/// The last part of a path, so that the same file gives the same heading from everywhere.
pub(crate) fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let fill = |name: &str| format!("<{name} ${{b}}>");
        assert_eq!(filled("1 ${a} 2 ${b}", fill), "1 <a ${b}> 2 <b ${b}>");
    }

    #[test]
    fn where_an_invoker_that_listens_everywhere_is_reached() {
        let reached =
            |text: &str| reachable(&text.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(reached("0.0.0.0:9090").unwrap(), "127.0.0.1:9090");
        assert_eq!(reached("[::]:9090").unwrap(), "[::1]:9090");
        assert_eq!(reached("invoker:9090").unwrap(), "invoker:9090");
        assert_eq!(reached("unix:///run/i.sock").unwrap(), "unix:///run/i.sock");
        assert!(
            reached("127.0.0.1:0")
                .unwrap_err()
                .to_string()
                .contains("--invoker")
        );
    }
}
