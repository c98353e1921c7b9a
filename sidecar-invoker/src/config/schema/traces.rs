//! The keys of the block `traces`.

use std::time::Duration;

use hyper::header::HeaderMap;
use lambda_filter_core::config::reference::Values;
use serde_json::json;

use crate::config::keys::keys;
use crate::config::keys::kind::{Custom, DURATION, Form, Types};
use crate::config::traces::{self, SampleRatio, TracesConfig, TracesEndpoint};
use crate::config::yaml::decode::Value;

keys! {
    /// The keys of the block.
    pub(in crate::config) struct TracesKeys;

    /// URL of an OpenTelemetry collector that speaks OTLP/HTTP. `/v1/traces` is added to a URL without a path.
    endpoint: TracesEndpoint = ENDPOINT, "by `OTEL_EXPORTER_OTLP_ENDPOINT`, or `http://localhost:4318`";
    /// Headers of the requests to the collector. A secret belongs into the environment variable instead.
    headers: HeaderMap = HEADERS, "by `OTEL_EXPORTER_OTLP_HEADERS`";
    /// Time limit of a request to the collector.
    timeout: Duration = DURATION, "by `OTEL_EXPORTER_OTLP_TIMEOUT`, or `10s`";
    /// Name of the invoker in traces.
    service_name: String = SERVICE_NAME, "by `OTEL_SERVICE_NAME`, or `sidecar-invoker`";
    /// Share of the traces that are recorded if no caller has decided.
    sample_ratio: SampleRatio = SAMPLE_RATIO, "by `OTEL_TRACES_SAMPLER`, or `1`";
}

const ENDPOINT: Form<TracesEndpoint> = Form {
    expected: "a URL such as http://localhost:4318",
    parse: TracesEndpoint::parse,
    text: "URL",
    types: Types::Text,
    pattern: "^https?://[^/@]+(/|$)",
};

const HEADERS: Custom<HeaderMap> = Custom {
    read: |value| {
        let headers = value.mapping("headers such as { x-api-key: KEY }")?;
        let header = |(name, value): (&str, Value<'_>)| {
            const EXPECTED: &str = "a header with a valid name and a value in ASCII";
            let header = traces::header(name, value.text(EXPECTED)?);
            if header.is_none() {
                // The value may be a secret.
                value.problem(format!("expected {EXPECTED}"));
            }
            header
        };
        let headers: Vec<_> = headers.entries().map(header).collect();
        headers.into_iter().collect()
    },
    values: || Values {
        text: "mapping of texts".to_owned(),
        schema: json!({ "type": "object", "additionalProperties": Types::Any.schema() }),
    },
};

const SERVICE_NAME: Form<String> = Form {
    expected: "a name such as orders-invoker",
    parse: |text| (!text.trim().is_empty()).then(|| text.to_owned()),
    text: "name",
    types: Types::Any,
    pattern: "[^ ]",
};

const SAMPLE_RATIO: Form<SampleRatio> = Form {
    expected: "a number from 0 to 1 such as 0.1",
    parse: SampleRatio::parse,
    text: "0 to 1",
    types: Types::Any,
    pattern: "^(0|1|0?[.][0-9]+|1[.]0+)$",
};

/// Reads the block.
pub(super) fn traces(value: &Value<'_>) -> Option<TracesConfig> {
    let mut mapping = value.mapping(
        "the keys endpoint, headers, timeout, service_name and sample_ratio ({} for defaults)",
    )?;
    let keys = TracesKeys::of(&mut mapping);
    mapping.finish();
    let (endpoint, headers) = (
        keys.endpoint.optional(),
        keys.headers.or_else(HeaderMap::new),
    );
    let (timeout, service_name) = (keys.timeout.optional(), keys.service_name.optional());
    let sample_ratio = keys.sample_ratio.optional();
    Some(TracesConfig {
        endpoint: endpoint?,
        headers: headers?,
        timeout: timeout?,
        service_name: service_name?,
        sample_ratio: sample_ratio?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn parse(block: &str) -> Result<Config, String> {
        let text = format!("functions: {{ f: {{ rie: 'http://f' }} }}\ntraces: {block}");
        Config::parse("invoker.yaml", &text, Path::new("/")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_block_may_be_empty() {
        assert_eq!(parse("{}").unwrap().traces, Some(Default::default()));
    }

    #[test]
    fn every_mistake_of_the_block_is_reported() {
        let block = "{ endpoint: 'localhost:4317', headers: { 'a b': 1, c: \"\\u00e9\\n\" }, timeout: 1h, service_name: ' ', sample_ratio: 2, sampler: x }";
        let expected = "\
invoker.yaml:2: traces.sampler: unknown key; the keys here are endpoint, headers, timeout, service_name, sample_ratio
invoker.yaml:2: traces.endpoint: expected a URL such as http://localhost:4318, found \"localhost:4317\"
invoker.yaml:2: traces.headers.a b: expected a header with a valid name and a value in ASCII
invoker.yaml:2: traces.headers.c: expected a header with a valid name and a value in ASCII
invoker.yaml:2: traces.timeout: expected a duration from 1ms to 15m such as 30s, found \"1h\"
invoker.yaml:2: traces.service_name: expected a name such as orders-invoker, found \" \"
invoker.yaml:2: traces.sample_ratio: expected a number from 0 to 1 such as 0.1, found \"2\"";
        assert_eq!(parse(block).unwrap_err(), expected);
    }
}
