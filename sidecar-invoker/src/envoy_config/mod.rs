//! Writes Envoy configurations: complete, with comments, and the same bytes for the same input.
//!
//! A template and a writer for YAML's flow style are enough for that, and keep the comments and the line
//! breaks, which a serializer would lose.

mod address;
mod conditions;
mod cors;
mod envoy;
mod error;
mod filter;
mod installed;
mod jwt;
mod parts;
mod remote;
mod routes;
mod template;
mod tls;
mod tracing;
pub(crate) mod yaml;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use lambda_api::headers::SECRET;
use serde_json::{Map, Value, json};

use self::address::{address, cluster_type, reachable, socket_address};
use self::jwt::Authorizers;
use self::parts::{Parts, resource};
use self::routes::default_timeout;
use self::template::fill_in;
use crate::config::{CallersConfig, Config, HostPort, Listen, Route, SecretSource};

pub use envoy::Envoy;
pub use error::EnvoyConfigError;
pub use filter::{Filter, Host};
pub(crate) use installed::file as installed_file;
pub use routes::Health;
pub(crate) use routes::keys as route_keys;
pub use tls::Tls;
pub use tracing::Tracing;

/// The template of a configuration, with placeholders such as `${NAME}`.
const TEMPLATE: &str = include_str!("envoy.yaml.template");

/// The files of a configuration that Envoy reads again, see [`Gateway::files`].
const BOOTSTRAP: &str = "envoy.yaml";
pub(crate) const CLUSTERS: &str = "clusters.yaml";
pub(crate) const LISTENERS: &str = "listeners.yaml";
pub(crate) const ROUTES: &str = "routes.yaml";

/// The name of a file and its text.
pub type ConfigFile = (&'static str, String);

/// An Envoy in front of the invoker.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The name of the source file, for the heading.
    pub source: String,
    /// Comment lines below the heading, without their `# `.
    pub notes: Vec<String>,
    /// The address at which Envoy listens.
    pub listen: SocketAddr,
    /// The address of Envoy's admin interface.
    pub admin: Listen,
    /// The address at which the invoker listens.
    pub invoker: Listen,
    /// The filter.
    pub filter: Filter,
    /// The filter's defaults for all routes.
    pub plugin: Map<String, Value>,
    /// The routes from requests to functions.
    pub routes: Vec<Route>,
    /// The health endpoints, to which Envoy itself responds.
    pub health: Health,
    /// The body of the 404 for requests without a route.
    pub not_found: NotFound,
    /// The limit of request heads, if it is not Envoy's default.
    pub head_limit: Option<HeadLimit>,
    /// The variable of Envoy's environment with the secret that proves to the invoker that the filter
    /// makes a call.
    pub secret_variable: Option<String>,
    /// The certificate for HTTPS. Without one, Envoy serves HTTP.
    pub tls: Option<Tls>,
    /// Envoy's own spans, if it has a tracer.
    pub tracing: Option<Tracing>,
    /// No other program may listen on the same port. Otherwise a second Envoy could share it.
    pub is_exclusive: bool,
    /// Accepts HTTP/1.0, with or without a `Host`. By default, Envoy responds with 426.
    pub http_10: bool,
}

/// The body of a 404 by Envoy itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// The content type.
    pub content_type: &'static str,
    /// The body, as a format string of Envoy.
    pub format: &'static str,
}

/// The limit of request heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimit {
    /// The size of all headers in KiB. Envoy's default is 60.
    pub kib: u32,
    /// The number of headers. Envoy's default is 100.
    pub headers: u32,
}

impl Gateway {
    /// Returns an Envoy in front of the functions of `config`. Envoy listens on `127.0.0.1:8080`, its
    /// admin interface on `127.0.0.1:9901`, and the health endpoints are under `*`.
    ///
    /// # Errors
    /// Returns an error if the configuration has no routes.
    pub fn of_config(config: &Config, filter: Filter) -> Result<Self, EnvoyConfigError> {
        let file = &config.file;
        if config.routes.is_empty() {
            return Err(EnvoyConfigError::NoRoutes { file: file.clone() });
        }
        let with_timeout = |route: &Route| Route {
            timeout: route.timeout.or_else(|| {
                let function = config.functions.get(&route.function);
                Some(default_timeout(function))
            }),
            ..route.clone()
        };
        let mut gateway = Self {
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
            // The body of API Gateway's HTTP APIs.
            not_found: NotFound {
                content_type: "application/json",
                format: r#"{"message":"Not Found"}"#,
            },
            head_limit: None,
            secret_variable: secret_variable(config),
            tls: None,
            tracing: Tracing::of_file(config.traces.as_ref()),
            is_exclusive: false,
            http_10: false,
        };
        gateway.report_requests(config.has_console());
        Ok(gateway)
    }

    /// Lets the filter report the clients' requests to the invoker, for its console.
    pub(crate) fn report_requests(&mut self, is_on: bool) {
        const KEY: &str = "report_request";
        match is_on {
            true => self.plugin.insert(KEY.to_owned(), json!(true)),
            false => self.plugin.remove(KEY),
        };
    }

    /// Returns the text of the configuration, as one file.
    ///
    /// # Errors
    /// Returns an error if the port of the invoker is 0, and thus unknown.
    pub fn render(&self) -> Result<String, EnvoyConfigError> {
        let parts = self.parts()?;
        Ok(fill_in(TEMPLATE, |name| match name {
            "listener" => parts.listener.clone(),
            "route_config" => parts.route_config.clone(),
            "cluster" => parts.cluster.clone(),
            "remote_clusters" => parts.remote_clusters_of_file(),
            name => self.heading(name),
        }))
    }

    /// Returns the configuration as files in `folder`. Envoy takes over each of them when it is replaced, but
    /// for the first, with which it is started.
    ///
    /// # Errors
    /// Returns an error if the port of the invoker is 0, and thus unknown.
    pub fn files(&self, folder: &Path) -> Result<[ConfigFile; 4], EnvoyConfigError> {
        let parts = self.parts()?;
        let file = |name| yaml::text(&folder.join(name).to_string_lossy());
        let source = |name| {
            let file = file(name);
            format!("{{ resource_api_version: V3, path_config_source: {{ path: {file} }} }}")
        };
        let bootstrap = fill_in(include_str!("bootstrap.yaml.template"), |name| match name {
            "lds" => file(LISTENERS),
            "cds" => file(CLUSTERS),
            name => self.heading(name),
        });
        let routes = source(ROUTES);
        let listener = format!(
            "{}          rds: {{ route_config_name: http, config_source: {routes} }}\n",
            parts.listener
        );
        Ok([
            (BOOTSTRAP, bootstrap),
            (CLUSTERS, parts.clusters()),
            (
                LISTENERS,
                resource("listener.v3.Listener", "  ", "http", &listener),
            ),
            (
                ROUTES,
                resource(
                    "route.v3.RouteConfiguration",
                    "          ",
                    "http",
                    &parts.route_config,
                ),
            ),
        ])
    }

    /// Returns a value for the part of a configuration around its resources.
    fn heading(&self, name: &str) -> String {
        match name {
            "source" => self.source.clone(),
            "notes" => self.notes(),
            "listen_shown" => self.listen.to_string(),
            "invoker_shown" => self.invoker.to_string(),
            "admin" => yaml::flow(&address(&self.admin)),
            "statistics" => self.filter.statistics().to_owned(),
            "overload" => include_str!("overload.yaml.template").to_owned(),
            _ => String::new(),
        }
    }

    fn parts(&self) -> Result<Parts, EnvoyConfigError> {
        let invoker = reachable(&self.invoker)?;
        let fill = |name: &str| match name {
            "listen" => yaml::flow(&socket_address(
                &self.listen.ip().to_string(),
                self.listen.port(),
            )),
            "exclusive" if self.is_exclusive => "    enable_reuse_port: false\n".to_owned(),
            "tls" => self.tls.as_ref().map(Tls::in_listener).unwrap_or_default(),
            "network_filters" => conditions::network_filters(&self.routes),
            "paths" => self.paths(),
            "clients" => self.clients(),
            "tracing" => {
                let tracing = self.tracing.as_ref().map(Tracing::in_listener);
                tracing.unwrap_or_default()
            }
            "not_found" => yaml::flow(&json!({
                "text_format_source": { "inline_string": self.not_found.format },
                "content_type": self.not_found.content_type,
            })),
            "virtual_hosts" => routes::virtual_hosts(&self.routes, &self.health, &self.filter),
            "cluster_type" => cluster_type(&invoker).to_owned(),
            "invoker" => yaml::flow(&address(&invoker)),
            "filter" => self.filter.in_cluster(self.plugin()),
            "http_filters" => self.http_filters() + &self.filter.in_listener(),
            "function" => self.filter.function_in_log().to_owned(),
            "body_filter" => self.body_filter().to_owned(),
            "secret_filter" => self.secret_filter(),
            _ => String::new(),
        };
        let mut remote_clusters = Authorizers::of(&self.routes).clusters();
        remote_clusters.extend(self.tracing.as_ref().map(Tracing::cluster));
        Ok(Parts {
            listener: fill_in(include_str!("listener.yaml.template"), fill),
            route_config: fill_in(include_str!("route_config.yaml.template"), fill),
            cluster: fill_in(include_str!("cluster.yaml.template"), fill),
            remote_clusters,
        })
    }

    /// Returns the paths of health endpoints that routes of `*` take instead.
    #[must_use]
    pub fn health_paths_of_routes(&self) -> Vec<String> {
        let taken = self.health.taken(&self.routes);
        let paths = taken.map(|name| format!("{}/{name}", self.health.prefix));
        paths.collect()
    }

    fn notes(&self) -> String {
        let lines = self.notes.iter().map(|line| match line.as_str() {
            "" => "#\n".to_owned(),
            line => format!("# {line}\n"),
        });
        lines.collect()
    }

    /// Returns the configuration of the filter. The event of a request without a body goes into a header,
    /// unless the head limit allows heads that are too large for that.
    fn plugin(&self) -> Map<String, Value> {
        let mut plugin = self.plugin.clone();
        if self.head_limit.is_none() {
            plugin.insert("bodyless_event".to_owned(), json!("header"));
        }
        plugin
    }

    fn body_filter(&self) -> &'static str {
        if self.head_limit.is_some() && !self.filter.makes_bodies() {
            BODY_FILTER
        } else {
            ""
        }
    }

    /// Returns the settings of paths. Envoy chooses a route by the path that the function sees.
    fn paths(&self) -> String {
        let default = self.plugin.get("payload");
        let formats = self.routes.iter();
        let formats = formats.map(|route| route.lambda.get("payload").or(default));
        let formats: Vec<_> = formats.flatten().filter_map(Value::as_str).collect();
        let merge = if formats.contains(&"apigateway-v1") {
            "          # A REST API takes //pets for /pets.\n          merge_slashes: true\n"
        } else {
            ""
        };
        let escaped = if formats.contains(&"apigateway-v2") {
            "          # The events have escaped slashes decoded.\n          \
             path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD\n"
        } else {
            "          # The events have escaped slashes as they are.\n          \
             path_with_escaped_slashes_action: KEEP_UNCHANGED\n"
        };
        format!(
            "          # A route is chosen by the path that the function sees: /%61 is /a, and /a/../b is /b.\n          \
             normalize_path: true\n{merge}{escaped}"
        )
    }

    /// Returns the filters of Envoy that routes need.
    fn http_filters(&self) -> String {
        let mut filters = String::new();
        if cors::is_needed(&self.routes) {
            filters.push_str(CORS_FILTER);
        }
        let authorizers = Authorizers::of(&self.routes);
        if !authorizers.is_empty() {
            filters.push_str(&fill_in(JWT_FILTER, |name| match name {
                "providers" => yaml::flow(&authorizers.providers()),
                _ => yaml::flow(&authorizers.requirements()),
            }));
            filters.push_str(self.filter.claims());
        }
        filters
    }

    /// Returns the filter that adds the secret. Its place behind the Lambda filter lets it replace what a
    /// client sent. Envoy shows neither the variable's value in a log nor in `/config_dump`.
    fn secret_filter(&self) -> String {
        let Some(variable) = &self.secret_variable else {
            return String::new();
        };
        let header = json!({
            "header": { "key": SECRET, "value": format!("%ENVIRONMENT({variable})%") },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        });
        format!(
            "        # Proves to the invoker that the filter makes a call. The secret is in Envoy's environment.\n        \
             - name: lambda.secret\n          typed_config:\n            \
             \"@type\": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation\n            \
             mutations:\n              request_mutations:\n              \
             - append: {}\n",
            yaml::flow(&header)
        )
    }

    /// Returns the settings for requests that Envoy refuses by default.
    fn clients(&self) -> String {
        let mut lines = String::new();
        if let Some(HeadLimit { kib, headers }) = self.head_limit {
            lines = format!(
                "          max_request_headers_kb: {kib}\n          \
                 common_http_protocol_options: {{ max_headers_count: {headers} }}\n"
            );
        }
        let http_10 = if self.http_10 {
            "accept_http_10: true, default_host_for_http_10: localhost, "
        } else {
            ""
        };
        lines.push_str("          # Apache HttpClient 5.4 offers to change to TLS, for which Envoy has a 403.\n");
        lines.push_str(&format!(
            "          http_protocol_options: {{ {http_10}ignore_http_11_upgrade: [{{ prefix: TLS/ }}] }}\n"
        ));
        lines.push_str(
            "          # A full name may end in a dot, as that of a Service in Kubernetes does.\n",
        );
        lines.push_str("          strip_trailing_host_dot: true\n");
        lines
    }
}

/// The variable of a secret that the invoker reads from a file.
const SECRET_VARIABLE: &str = "LAMBDA_MESH_SECRET";

/// Returns the variable of Envoy's environment that has to hold the secret, if the invoker demands one.
fn secret_variable(config: &Config) -> Option<String> {
    let Some(CallersConfig::Known(known)) = &config.callers else {
        return None;
    };
    let secret = known.filters.first()?.secrets.first()?;
    Some(match secret {
        SecretSource::Env(name) => name.clone(),
        SecretSource::File(_) => SECRET_VARIABLE.to_owned(),
    })
}

/// The Lua filter that gives requests without a body an empty body.
const BODY_FILTER: &str = r#"        # A request without a body (GET) has no place for the event. This filter makes an empty body.
        - name: lambda.body
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
            default_source_code:
              inline_string: |
                function envoy_on_request(handle)
                  handle:body(true)
                end
"#;

/// The filter that answers preflight requests, by the rules of each route.
const CORS_FILTER: &str =
    "          # Answers preflight requests, and completes responses, by the rules of each route.
          - name: envoy.filters.http.cors
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors
";

/// The filter that checks tokens on the routes that ask for them.
const JWT_FILTER: &str = "          # Checks tokens on the routes that ask for them.
          - name: envoy.filters.http.jwt_authn
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers: ${providers}
              requirement_map: ${requirements}
";

/// Returns the last part of a path, so that the heading does not depend on the current folder.
pub(crate) fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_up_make_labels_of_statistics_too() {
        let text = "{ functions: { f: { rie: http://f } }, routes: [{ function: f }] }";
        let config = Config::parse("invoker.yaml", text, Path::new("/")).unwrap();
        let filter = Filter::of_file("lambda_filter.wasm".to_owned());
        let gateway = Gateway::of_config(&config, filter).unwrap();
        let [(_, bootstrap), ..] = gateway.files(Path::new("/")).unwrap();
        let rules = include_str!("statistics.yaml.template");
        assert!(bootstrap.contains(rules) && gateway.render().unwrap().contains(rules));
    }
}
