//! The block `traces`.

use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;

/// The block `traces`: what the file says of the export of spans. The standard environment variables of
/// OpenTelemetry say the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TracesConfig {
    /// `endpoint`: the address of the collector.
    pub endpoint: Option<TracesEndpoint>,
    /// `headers` of each request to the collector.
    pub headers: HeaderMap,
    /// `timeout` of a request to the collector.
    pub timeout: Option<Duration>,
    /// `service_name` of the invoker's spans.
    pub service_name: Option<String>,
    /// `sample_ratio`: the share of traces that are recorded if nobody in front has decided.
    pub sample_ratio: Option<SampleRatio>,
}

/// The address to which spans go, over OTLP/HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesEndpoint(pub(crate) Uri);

impl TracesEndpoint {
    /// The path of traces in OTLP/HTTP.
    const PATH: &'static str = "/v1/traces";

    /// Reads a URL. [`PATH`](Self::PATH) is added to one without a path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let uri = Self::parse_exact(text)?.0;
        match uri.path() {
            "/" => Self(uri).with_path(Self::PATH),
            _ => Some(Self(uri)),
        }
    }

    /// Reads a URL, and adds [`PATH`](Self::PATH) in any case.
    ///
    /// Source: "OpenTelemetry Protocol Exporter", *Endpoint URLs for OTLP/HTTP*.
    pub(crate) fn parse_base(text: &str) -> Option<Self> {
        let base = Self::parse_exact(text)?;
        let path = format!("{}{}", base.0.path().trim_end_matches('/'), Self::PATH);
        base.with_path(&path)
    }

    /// Reads a URL as it is.
    pub(crate) fn parse_exact(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority()?;
        let is_host = !authority.host().is_empty() && !authority.as_str().contains('@');
        let has_port = authority.as_str() == authority.host() || authority.port_u16().is_some();
        (is_http && is_host && has_port).then_some(Self(uri))
    }

    fn with_path(self, path: &str) -> Option<Self> {
        let mut parts = self.0.into_parts();
        parts.path_and_query = Some(path.parse::<PathAndQuery>().ok()?);
        Uri::from_parts(parts).ok().map(Self)
    }

    /// Returns whether the connection is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl Default for TracesEndpoint {
    /// Returns the default of OpenTelemetry.
    fn default() -> Self {
        Self(Uri::from_static("http://localhost:4318/v1/traces"))
    }
}

/// A share of traces, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio(pub(crate) f64);

impl SampleRatio {
    /// Records all traces.
    pub(crate) const ALL: Self = Self(1.0);
    /// Records no trace.
    pub(crate) const NONE: Self = Self(0.0);

    /// Reads a number from 0 to 1.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let ratio: f64 = text.parse().ok()?;
        (0.0..=1.0).contains(&ratio).then_some(Self(ratio))
    }
}

/// Reads a header. Its value does not appear in debug output.
pub(crate) fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((name.parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_has_a_url() {
        let read = |text| TracesEndpoint::parse(text).map(|endpoint| endpoint.0.to_string());
        let found = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("http://localhost:4318"),
            found("http://localhost:4318/v1/traces")
        );
        assert_eq!(
            read("https://otlp.example.com/"),
            found("https://otlp.example.com/v1/traces")
        );
        assert_eq!(read("http://[::1]:1/own"), found("http://[::1]:1/own"));
        for wrong in [
            "",
            "localhost:4318",
            "grpc://localhost:4317",
            "http://",
            "http://:4318",
            "http://u:p@h",
            "http://h:99999",
            "/v1",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let base = |text| TracesEndpoint::parse_base(text).map(|endpoint| endpoint.0.to_string());
        assert_eq!(base("http://h:1/otlp/"), found("http://h:1/otlp/v1/traces"));
        assert_eq!(base("http://h:1"), found("http://h:1/v1/traces"));
        let exact = TracesEndpoint::parse_exact("http://h:1").unwrap();
        assert_eq!(exact.0.to_string(), "http://h:1/");
    }

    #[test]
    fn a_ratio_is_from_zero_to_one() {
        assert_eq!(SampleRatio::parse("0.25"), Some(SampleRatio(0.25)));
        for wrong in ["", "-0.1", "1.01", "NaN", "inf", "50%"] {
            assert_eq!(SampleRatio::parse(wrong), None, "{wrong}");
        }
    }
}
