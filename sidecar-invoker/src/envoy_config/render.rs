//! The text of an Envoy's configuration, as one file or as several.

use std::path::Path;

use lambda_api::headers::SECRET;
use serde_json::{Map, Value, json};

use super::address::{address, cluster_type, reachable, socket_address};
use super::error::EnvoyConfigError;
use super::gateway::{Gateway, HeadLimit};
use super::jwt::Authorizers;
use super::parts::{Parts, resource};
use super::template::fill_in;
use super::tls::Tls;
use super::tracing::Tracing;
use super::{conditions, cors, routes, yaml};

/// The template of a configuration, with placeholders such as `${NAME}`.
const TEMPLATE: &str = include_str!("envoy.yaml.template");

/// The files of a configuration that Envoy reads again, see [`Gateway::files`].
const BOOTSTRAP: &str = "envoy.yaml";
pub(crate) const CLUSTERS: &str = "clusters.yaml";
pub(crate) const LISTENERS: &str = "listeners.yaml";
pub(crate) const ROUTES: &str = "routes.yaml";

/// The name of a file and its text.
pub type ConfigFile = (&'static str, String);

impl Gateway {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::envoy_config::Filter;

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
