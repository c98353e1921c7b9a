//! The settings of the export: those of `invoker.yaml`, then those of OpenTelemetry's environment variables.
//!
//! Source: "Environment Variable Specification" and "OpenTelemetry Protocol Exporter" of OpenTelemetry. As there, a
//! variable that is not valid is left out with a warning, and an empty one counts as missing.

use std::time::Duration;

use hyper::header::HeaderMap;
use lambda_api::trace::TraceContext;
use percent_encoding::percent_decode_str;

use crate::config::traces::header;
use crate::config::{SampleRatio, TracesConfig, TracesEndpoint};

const TIMEOUT: Duration = Duration::from_secs(10);
const SERVICE_NAME: &str = "sidecar-invoker";
/// The attribute of a resource that names its service.
pub(super) const SERVICE_NAME_KEY: &str = "service.name";

/// The settings of an export.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The address of the collector.
    pub(crate) endpoint: TracesEndpoint,
    /// The headers of a request to the collector.
    pub(crate) headers: HeaderMap,
    /// The time limit of a request.
    pub(crate) timeout: Duration,
    /// The attributes of the resource that the spans belong to: the invoker.
    pub(crate) resource: Vec<(String, String)>,
    /// The decision about traces.
    pub(crate) sampler: Sampler,
}

/// Decides which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampler {
    /// The caller's decision counts, if there is one.
    is_parent_based: bool,
    /// The share of the other traces that is recorded.
    ratio: SampleRatio,
}

impl Sampler {
    const fn new(is_parent_based: bool, ratio: SampleRatio) -> Self {
        Self {
            is_parent_based,
            ratio,
        }
    }

    /// Returns the share of undecided traces that is recorded.
    pub(crate) fn ratio(&self) -> f64 {
        self.ratio.0
    }

    /// Returns whether a trace is recorded. The decision is the same wherever it is made by the same ratio.
    pub(crate) fn is_sampled(&self, context: &TraceContext) -> bool {
        match context.is_sampled {
            Some(is_sampled) if self.is_parent_based => is_sampled,
            _ => {
                let random = context.trace_id as u64 >> 1;
                random < (self.ratio.0 * (1_u64 << 63) as f64) as u64
            }
        }
    }
}

/// The variables of the environment.
struct Variables<'e> {
    variable: &'e dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Variables<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|text| !text.trim().is_empty())
    }

    /// Reads the first of these variables that is set.
    fn read<T>(
        &mut self,
        names: &[&str],
        expected: &str,
        parse: impl Fn(&str, &str) -> Option<T>,
    ) -> Option<T> {
        let set = |name: &&str| Some((name.to_owned().to_owned(), self.text(name)?));
        let (name, text) = names.iter().find_map(set)?;
        let value = parse(&name, text.trim());
        if value.is_none() {
            // The values of headers are secrets.
            let message = format!("{name} is left out: expected {expected}");
            self.warnings.push(message);
        }
        value
    }
}

impl Settings {
    /// Returns the settings with those of this process's environment, as [`read`](Self::read) does.
    pub(crate) fn of_environment(config: Option<&TracesConfig>) -> (Option<Self>, Vec<String>) {
        Self::read(config, &|name| std::env::var(name).ok())
    }

    /// Returns the settings, or `None` if nothing asks for spans. A warning is a sentence for the log.
    pub(crate) fn read(
        config: Option<&TracesConfig>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> (Option<Self>, Vec<String>) {
        let mut variables = Variables {
            variable,
            warnings: Vec::new(),
        };
        let settings = Self::merged(config, &mut variables);
        (settings, variables.warnings)
    }

    fn merged(config: Option<&TracesConfig>, variables: &mut Variables<'_>) -> Option<Self> {
        let is_off = |name, word: &str| {
            let text = variables.text(name);
            text.is_some_and(|text| text.trim().eq_ignore_ascii_case(word))
        };
        if is_off("OTEL_SDK_DISABLED", "true") || is_off("OTEL_TRACES_EXPORTER", "none") {
            return None;
        }
        let endpoint = match config.and_then(|config| config.endpoint.clone()) {
            Some(endpoint) => endpoint,
            None => match variable_endpoint(variables) {
                Some(endpoint) => endpoint,
                None if config.is_some() => TracesEndpoint::default(),
                None => return None,
            },
        };
        let none = TracesConfig::default();
        let config = config.unwrap_or(&none);
        let mut headers: HeaderMap = variables
            .read(
                &[
                    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                    "OTEL_EXPORTER_OTLP_HEADERS",
                ],
                "NAME=VALUE,NAME=VALUE with names and values of headers",
                |_, text| {
                    pairs(text)?
                        .iter()
                        .map(|(name, value)| header(name, value))
                        .collect()
                },
            )
            .unwrap_or_default();
        headers.extend(config.headers.clone());
        let timeout = variables.read(
            &[
                "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                "OTEL_EXPORTER_OTLP_TIMEOUT",
            ],
            "a number of milliseconds",
            |_, text| {
                text.parse()
                    .ok()
                    .filter(|&number| number > 0)
                    .map(Duration::from_millis)
            },
        );
        Some(Self {
            endpoint,
            headers,
            timeout: config.timeout.or(timeout).unwrap_or(TIMEOUT),
            resource: resource(config, variables),
            sampler: sampler(config, variables),
        })
    }
}

/// Returns the address that the variables name, if the invoker speaks the protocol that they name.
fn variable_endpoint(variables: &mut Variables<'_>) -> Option<TracesEndpoint> {
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    let endpoint = variables.read(
        &[TRACES, "OTEL_EXPORTER_OTLP_ENDPOINT"],
        "a URL such as http://localhost:4318; no spans are exported",
        |name, text| match name == TRACES {
            true => TracesEndpoint::parse_exact(text),
            false => TracesEndpoint::parse_base(text),
        },
    )?;
    let protocols = [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ];
    let protocol = protocols.iter().find_map(|name| variables.text(name));
    match protocol.as_deref().map(str::trim) {
        None | Some("http/protobuf") => Some(endpoint),
        Some(other) => {
            let message = format!(
                "no spans are exported: OTEL_EXPORTER_OTLP_PROTOCOL is {other:?}, and the invoker speaks http/protobuf; \
                 name a collector's OTLP/HTTP port in `traces.endpoint`"
            );
            variables.warnings.push(message);
            None
        }
    }
}

fn resource(config: &TracesConfig, variables: &mut Variables<'_>) -> Vec<(String, String)> {
    let given = variables.read(
        &["OTEL_RESOURCE_ATTRIBUTES"],
        "NAME=VALUE,NAME=VALUE",
        |_, text| pairs(text),
    );
    let mut given = given.unwrap_or_default();
    let named = given.iter().rposition(|(name, _)| name == SERVICE_NAME_KEY);
    let named = named.map(|at| given.remove(at).1);
    given.retain(|(name, _)| name != SERVICE_NAME_KEY);
    let name = config.service_name.clone();
    let name = name
        .or_else(|| variables.text("OTEL_SERVICE_NAME"))
        .or(named);
    let mut resource = vec![
        (
            SERVICE_NAME_KEY.to_owned(),
            name.unwrap_or_else(|| SERVICE_NAME.to_owned()),
        ),
        (
            "service.version".to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
    ];
    resource.retain(|(name, _)| given.iter().all(|(other, _)| other != name));
    resource.extend(given);
    resource
}

fn sampler(config: &TracesConfig, variables: &mut Variables<'_>) -> Sampler {
    const ALL: Sampler = Sampler::new(true, SampleRatio::ALL);
    if let Some(ratio) = config.sample_ratio {
        return Sampler::new(true, ratio);
    }
    let ratio = variables.read(
        &["OTEL_TRACES_SAMPLER_ARG"],
        "a number from 0 to 1",
        |_, text| SampleRatio::parse(text),
    );
    let ratio = ratio.unwrap_or(SampleRatio::ALL);
    let sampler = variables.read(
        &["OTEL_TRACES_SAMPLER"],
        "always_on, always_off, traceidratio, or one of them behind parentbased_",
        |_, text| {
            let (is_parent_based, name) = match text.strip_prefix("parentbased_") {
                Some(name) => (true, name),
                None => (false, text),
            };
            let ratio = match name {
                "always_on" => SampleRatio::ALL,
                "always_off" => SampleRatio::NONE,
                "traceidratio" => ratio,
                _ => return None,
            };
            Some(Sampler::new(is_parent_based, ratio))
        },
    );
    sampler.unwrap_or(ALL)
}

/// Reads `NAME=VALUE,NAME=VALUE` with percent-encoded values.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
    };
    pairs.map(pair).collect()
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
