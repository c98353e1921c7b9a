//! The description of an Envoy in front of the invoker.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Map, Value, json};

use super::error::EnvoyConfigError;
use super::filter::Filter;
use super::routes::{Health, default_timeout};
use super::tls::Tls;
use super::tracing::Tracing;
use crate::config::{CallersConfig, Config, HostPort, Listen, Route, SecretSource};

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

    /// Returns the paths of health endpoints that routes of `*` take instead.
    #[must_use]
    pub fn health_paths_of_routes(&self) -> Vec<String> {
        let taken = self.health.taken(&self.routes);
        let paths = taken.map(|name| format!("{}/{name}", self.health.prefix));
        paths.collect()
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

/// Returns the last part of a path, so that the heading does not depend on the current folder.
pub(crate) fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
