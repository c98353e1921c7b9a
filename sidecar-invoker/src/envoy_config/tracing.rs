//! Envoy's own spans, by its tracer for OpenTelemetry.

use serde_json::json;

use super::remote::Remote;
use super::yaml;
use crate::config::TracesConfig;
use crate::traces::Settings;

/// The name of the collector's cluster.
const CLUSTER: &str = "collector";
/// The name of Envoy in traces.
const SERVICE_NAME: &str = "envoy";

/// The settings of Envoy's tracer, which are those of the invoker's.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing(Settings);

impl Tracing {
    /// Returns the settings of a configuration file.
    pub(super) fn of_file(config: Option<&TracesConfig>) -> Option<Self> {
        Settings::read(config, &|_| None).0.map(Self)
    }

    /// Returns the settings of a configuration file and of the environment.
    pub(crate) fn of_file_and_environment(config: Option<&TracesConfig>) -> Option<Self> {
        Settings::of_environment(config).0.map(Self)
    }

    /// Returns the keys of the connection manager.
    pub(super) fn in_listener(&self) -> String {
        let Settings {
            endpoint,
            headers,
            timeout,
            sampler,
            ..
        } = &self.0;
        let headers = headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            json!({ "header": { "key": name.as_str(), "value": value } })
        });
        let service = json!({
            "http_uri": {
                "uri": endpoint.0.to_string(),
                "cluster": CLUSTER,
                "timeout": format!("{}s", timeout.as_secs_f64()),
            },
            "request_headers_to_add": headers.collect::<Vec<_>>(),
        });
        let percent = json!({ "value": sampler.ratio() * 100.0 });
        format!(
            "          # Envoy writes its span to the request. The filter and the invoker continue that trace.\n          \
             tracing:\n            \
             # Of traces for which no client has decided, in percent. A client's own decision counts.\n            \
             random_sampling: {}\n            spawn_upstream_span: true\n            provider:\n              \
             name: envoy.tracers.opentelemetry\n              typed_config:\n                \
             \"@type\": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig\n                \
             service_name: {SERVICE_NAME}\n                http_service: {}\n",
            yaml::flow(&percent),
            yaml::flow(&service),
        )
    }

    /// Returns the collector's cluster: its name, and the text below it.
    pub(super) fn cluster(&self) -> (String, String) {
        let endpoint = &self.0.endpoint;
        let is_encrypted = endpoint.is_encrypted();
        let host = endpoint.0.host().unwrap_or_default();
        let remote = Remote {
            name: CLUSTER,
            comment: "The OpenTelemetry collector, which gets the spans.",
            host: host.trim_start_matches('[').trim_end_matches(']'),
            port: endpoint
                .0
                .port_u16()
                .unwrap_or(if is_encrypted { 443 } else { 80 }),
            is_encrypted,
        };
        (CLUSTER.to_owned(), remote.cluster())
    }
}
