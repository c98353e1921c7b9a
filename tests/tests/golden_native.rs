//! Every golden case, in the filter's core without Envoy. `e2e/golden.rs` runs the same cases through Envoy;
//! these take a second and can be debugged.
#![expect(clippy::expect_used, reason = "a failed test panics")]

use lambda_filter_core::config::{Config, Settings};
use lambda_filter_core::event;
use lambda_filter_core::request::{HeaderMap, Request, RequestAttributes};
use lambda_filter_core::response::{self, InvokeResponse, StreamedResponse, error_response};
use lambda_mesh_tests::client::Response;
use lambda_mesh_tests::event_stream::{chunk, complete};
use lambda_mesh_tests::golden::{self, Report, RequestCase};
use serde_json::{Map, Value, json};

fn config(format: &str, configuration: &Map<String, Value>) -> Config {
    let mut fields = configuration.clone();
    fields.insert("function".to_owned(), json!("probe"));
    fields.insert("payload".to_owned(), json!(format));
    let settings = Settings::parse(&fields).and_then(Settings::into_config);
    settings.expect("the configuration of a case")
}

fn map<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let lower = |(name, value): (&str, &str)| (name.to_ascii_lowercase(), value.into());
    headers.into_iter().map(lower).collect()
}

fn event(case: &RequestCase) -> Value {
    let sent = &case.request;
    let mut headers = vec![
        (":method", sent.method.as_str()),
        (":path", &sent.path_and_query),
        (":authority", &sent.authority),
        ("x-forwarded-proto", &sent.scheme),
    ];
    let client = sent.headers.iter();
    headers.extend(client.map(|(name, value)| (name.as_str(), value.as_str())));
    let headers = map(headers);
    let attributes = RequestAttributes {
        source_ip: case.source_ip.clone(),
        protocol: "HTTP/1.1".to_owned(),
        request_id: "request-1".to_owned(),
        time_ns: 1_584_039_838_390_123_000,
        ..RequestAttributes::default()
    };
    let body = sent.body().unwrap_or_default();
    let request = Request::new(&headers, None, &attributes, &body).expect("a method and a path");
    let event = event::encode(&request, &config(&case.format, &case.config));
    serde_json::from_slice(&event.expect("an event")).expect("an event is JSON")
}

/// Returns what the client gets, except for the rules of HTTP itself, such as those of HEAD and of lengths.
fn respond(config: &Config, function_error: Option<&str>, payload: &str) -> Response {
    let mut headers = vec![(":status", "200"), ("x-amzn-requestid", "request-1")];
    headers.extend(function_error.map(|error| ("x-amz-function-error", error)));
    let invoked = InvokeResponse {
        headers: &map(headers),
        body: payload.as_bytes(),
    };
    let response = response::decode(&invoked, config);
    let response = response.unwrap_or_else(|error| error_response(&error, Some(config)));
    Response::new(response.status, &response.headers, response.body)
}

#[test]
fn requests_become_the_events_that_aws_sends() {
    let mut report = Report::default();
    for case in golden::requests().values().flatten() {
        report.add(&case.id, &case.differences(&event(case)));
    }
    report.assert_empty();
}

#[test]
fn payloads_become_the_responses_that_aws_gives() {
    let mut report = Report::default();
    let cases = golden::responses();
    for case in cases
        .values()
        .flatten()
        .filter(|case| case.request.method != "HEAD")
    {
        let config = config(&case.format, &case.config);
        let response = respond(&config, case.function_error.as_deref(), &case.payload());
        report.add(&case.id, &case.differences(&response));
    }
    report.assert_empty();
}

/// A function that does not stream has the same responses if it is invoked with a response stream. The
/// emulator's own text is left out, because the emulator does not stream. So is no payload at all, which
/// no runtime sends for a function that does not stream.
#[test]
fn payloads_in_a_stream_become_the_same_responses() {
    let mut report = Report::default();
    let cases = golden::responses();
    for case in cases
        .values()
        .flatten()
        .filter(|case| case.request.method != "HEAD" && !case.payload().is_empty())
        .filter(|case| !case.id.ends_with("rie-timeout-text"))
    {
        let mut configuration = case.config.clone();
        configuration.insert("invocation".to_owned(), json!("response-stream"));
        let config = config(&case.format, &configuration);
        let headers = map([
            (":status", "200"),
            ("x-amzn-requestid", "request-1"),
            ("content-type", "application/json"),
        ]);
        let payload = case.payload();
        let mut stream = Vec::new();
        if let Some(code) = &case.function_error {
            let failed = json!({ "ErrorCode": code, "ErrorDetails": payload });
            stream.extend_from_slice(&complete(&failed));
        } else {
            for part in payload.as_bytes().chunks(7) {
                stream.extend_from_slice(&chunk(part));
            }
            stream.extend_from_slice(&complete(&json!({})));
        }
        let mut streamed = StreamedResponse::new(&headers, &config);
        assert_eq!(streamed.is_framed(&stream), Some(true));
        let response = streamed.finish(stream, &headers, &config);
        let response = response.unwrap_or_else(|error| error_response(&error, Some(&config)));
        let response = Response::new(response.status, &response.headers, response.body);
        report.add(&case.id, &case.differences(&response));
    }
    report.assert_empty();
}

#[test]
fn payloads_of_adapters_become_the_responses_of_the_applications() {
    let mut report = Report::default();
    for (format, cases) in golden::adapter_responses() {
        let config = config(&format, &Map::new());
        for case in cases {
            let response = respond(&config, None, &case.lambda_payload);
            report.add(&case.id, &case.differences(&response));
        }
    }
    report.assert_empty();
}
