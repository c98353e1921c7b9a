//! Any request becomes an event from which the types of AWS's own crate read the request back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy's `allow-unwrap-in-tests` does not know helpers outside `#[test]` functions"
)]

use std::collections::BTreeMap;

use aws_lambda_events::alb::AlbTargetGroupRequest;
use aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest};
use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use aws_lambda_events::query_map::QueryMap;
use aws_lambda_events::vpc_lattice::{VpcLatticeRequestV1, VpcLatticeRequestV2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use lambda_filter_core::config::Settings;
use lambda_filter_core::event;
use lambda_filter_core::request::{Request, RequestAttributes};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use proptest::prelude::*;
use serde::de::DeserializeOwned;

/// A request of a client.
#[derive(Debug, Clone)]
struct Sent {
    method: &'static str,
    /// Decoded segments.
    path: Vec<String>,
    /// Decoded pairs.
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    cookies: Vec<String>,
    content_type: Option<&'static str>,
    body: Vec<u8>,
}

prop_compose! {
    fn any_request()(
        method in prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
        path in prop::collection::vec("[^/\u{0}]{1,8}", 0..4),
        query in prop::collection::vec(("\\PC{1,6}", "\\PC{0,8}"), 0..5),
        headers in prop::collection::vec(
            (prop::sample::select(vec!["x-one", "x-two", "accept"]), "[!-~]([ -~]{0,10}[!-~])?"), 0..6),
        cookies in prop::collection::vec("[a-z]{1,4}=[!#-+\\--:<-~]{0,6}", 0..3),
        content_type in prop::option::of(prop::sample::select(
            vec!["text/plain", "application/json; charset=utf-8", "image/png", "multipart/form-data; boundary=x"])),
        body in prop_oneof![
            Just(Vec::new()),
            prop::collection::vec(any::<u8>(), 0..64),
            "\\PC{0,64}".prop_map(String::into_bytes),
        ],
    ) -> Sent {
        Sent { method, path, query, headers, cookies, content_type, body }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Sent {
    fn raw_path(&self) -> String {
        format!(
            "/{}",
            self.path
                .iter()
                .map(|s| encoded(s))
                .collect::<Vec<_>>()
                .join("/")
        )
    }

    fn decoded_path(&self) -> String {
        percent_decode_str(&self.raw_path())
            .decode_utf8()
            .unwrap()
            .into_owned()
    }

    fn target(&self) -> String {
        let pairs = self
            .query
            .iter()
            .map(|(k, v)| format!("{}={}", encoded(k), encoded(v)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let separator = if query.is_empty() { "" } else { "?" };
        format!("{}{separator}{query}", self.raw_path())
    }

    fn map(&self) -> Vec<(String, Vec<u8>)> {
        let mut map = vec![
            (":method", self.method.to_owned()),
            (":path", self.target()),
            (":authority", "api.example.com".to_owned()),
            ("x-forwarded-proto", "https".to_owned()),
        ];
        map.extend(
            self.headers
                .iter()
                .map(|(name, value)| (*name, value.clone())),
        );
        map.extend(self.cookies.iter().map(|cookie| ("cookie", cookie.clone())));
        map.extend(
            self.content_type
                .map(|value| ("content-type", value.to_owned())),
        );
        map.into_iter()
            .map(|(name, value)| (name.to_owned(), value.into_bytes()))
            .collect()
    }

    /// Decoded values by key, in the order in which they were sent.
    fn values(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, value) in &self.query {
            values.entry(key).or_default().push(value);
        }
        values
    }

    fn header(&self, name: &str) -> Vec<&str> {
        let headers = self.headers.iter().filter(|(key, _)| *key == name);
        headers.map(|(_, value)| value.as_str()).collect()
    }

    fn event<T: DeserializeOwned>(&self, payload: &str) -> T {
        let settings = format!(r#"{{"function":"f","payload":"{payload}"}}"#);
        let settings = Settings::from_plugin(settings.as_bytes()).unwrap();
        let config = settings.into_config().unwrap();
        let attributes = RequestAttributes {
            source_ip: "198.51.100.23".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            request_id: "id".to_owned(),
            time_ns: 1_584_039_838_390_000_000,
            ..RequestAttributes::default()
        };
        let map = self.map();
        let request = Request::new(&map, None, &attributes, &self.body).unwrap();
        let event = event::encode(&request, &config).unwrap();
        serde_json::from_slice(&event)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&event)))
    }
}

/// Returns the bytes of a body.
fn bytes(body: Option<impl AsRef<str>>, is_base64: bool) -> Vec<u8> {
    match body {
        None => Vec::new(),
        Some(body) if is_base64 => STANDARD.decode(body.as_ref()).unwrap(),
        Some(body) => body.as_ref().as_bytes().to_vec(),
    }
}

fn all<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect()
}

/// Checks the keys, and for each the values that `expected` makes of those that were sent.
fn same_query(
    map: &QueryMap,
    sent: &Sent,
    key_in_event: impl Fn(&str) -> String,
    expected: impl Fn(&[&str]) -> Vec<String>,
) -> Result<(), TestCaseError> {
    for (key, values) in sent.values() {
        let found: Vec<&str> = map.all(&key_in_event(key)).unwrap_or_default();
        prop_assert_eq!(found, expected(&values), "key {}", key);
    }
    Ok(())
}

fn every(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn every_encoded(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| encoded(value)).collect()
}

fn last_encoded(values: &[&str]) -> Vec<String> {
    values
        .last()
        .map(|value| encoded(value))
        .into_iter()
        .collect()
}

fn joined(values: &[&str]) -> Vec<String> {
    // `QueryMap` reads a comma in a value as a separator.
    values.join(",").split(',').map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn apigateway_v1(sent in any_request()) {
        let event: ApiGatewayProxyRequest = sent.event("apigateway-v1");
        prop_assert_eq!(event.http_method.as_str(), sent.method);
        prop_assert_eq!(event.request_context.http_method.as_str(), sent.method);
        prop_assert_eq!(event.path.unwrap(), sent.raw_path());
        same_query(&event.multi_value_query_string_parameters, &sent, str::to_owned, every)?;
        for name in ["x-one", "x-two", "accept"] {
            prop_assert_eq!(all(&event.multi_value_headers, name), sent.header(name));
            let last: Vec<&str> = sent.header(name).last().copied().into_iter().collect();
            prop_assert_eq!(all(&event.headers, name), last);
        }
        prop_assert_eq!(all(&event.multi_value_headers, "cookie"), sent.cookies.clone());
        prop_assert_eq!(bytes(event.body, event.is_base64_encoded), sent.body);
    }

    #[test]
    fn apigateway_v2(sent in any_request()) {
        let event: ApiGatewayV2httpRequest = sent.event("apigateway-v2");
        prop_assert_eq!(event.request_context.http.method.as_str(), sent.method);
        prop_assert_eq!(event.raw_path.unwrap(), sent.decoded_path());
        let raw_query = sent.target().split_once('?').map_or(String::new(), |(_, q)| q.to_owned());
        prop_assert_eq!(event.raw_query_string.unwrap_or_default(), raw_query);
        same_query(&event.query_string_parameters, &sent, str::to_owned, joined)?;
        for name in ["x-one", "x-two", "accept"] {
            let values = sent.header(name);
            let expected: Vec<String> = if values.is_empty() { Vec::new() } else { vec![values.join(",")] };
            prop_assert_eq!(all(&event.headers, name), expected);
        }
        prop_assert_eq!(event.cookies.unwrap_or_default(), sent.cookies.clone());
        prop_assert!(all(&event.headers, "cookie").is_empty());
        prop_assert_eq!(bytes(event.body, event.is_base64_encoded), sent.body);
    }

    #[test]
    fn function_url(sent in any_request()) {
        let event: LambdaFunctionUrlRequest = sent.event("function-url");
        prop_assert_eq!(event.request_context.http.method.as_deref(), Some(sent.method));
        prop_assert_eq!(event.raw_path.unwrap(), sent.raw_path());
        prop_assert_eq!(event.request_context.http.path.unwrap(), sent.decoded_path());
        prop_assert_eq!(event.cookies.unwrap_or_default(), sent.cookies.clone());
        prop_assert_eq!(all(&event.headers, "cookie").is_empty(), sent.cookies.is_empty());
        prop_assert_eq!(bytes(event.body, event.is_base64_encoded), sent.body);
    }

    #[test]
    fn alb(sent in any_request()) {
        let event: AlbTargetGroupRequest = sent.event("alb");
        prop_assert_eq!(event.http_method.as_str(), sent.method);
        prop_assert_eq!(event.path.unwrap(), sent.raw_path());
        same_query(&event.query_string_parameters, &sent, encoded, last_encoded)?;
        prop_assert!(event.multi_value_headers.is_empty());
        prop_assert_eq!(bytes(event.body, event.is_base64_encoded), sent.body);
    }

    #[test]
    fn alb_multi_value(sent in any_request()) {
        let event: AlbTargetGroupRequest = sent.event("alb-multi-value");
        same_query(&event.multi_value_query_string_parameters, &sent, encoded, every_encoded)?;
        for name in ["x-one", "x-two", "accept"] {
            prop_assert_eq!(all(&event.multi_value_headers, name), sent.header(name));
        }
        prop_assert!(event.headers.is_empty());
        prop_assert_eq!(bytes(event.body, event.is_base64_encoded), sent.body);
    }

    #[test]
    fn vpc_lattice_v1(sent in any_request()) {
        let event: VpcLatticeRequestV1 = sent.event("vpc-lattice-v1");
        prop_assert_eq!(event.method.unwrap().to_string(), sent.method);
        prop_assert_eq!(event.raw_path, Some(sent.target()));
        same_query(&event.query_string_parameters, &sent, encoded, last_encoded)?;
        let body = event.body.map(|body| match body {
            aws_lambda_events::encodings::Body::Text(text) => text,
            other => panic!("the crate reads {other:?} from a string"),
        });
        prop_assert_eq!(bytes(body, event.is_base64_encoded), sent.body);
    }

    #[test]
    fn vpc_lattice_v2(sent in any_request()) {
        let event: VpcLatticeRequestV2 = sent.event("vpc-lattice-v2");
        prop_assert_eq!(event.method.unwrap().to_string(), sent.method);
        prop_assert_eq!(event.path, Some(sent.target()));
        same_query(&event.query_string_parameters, &sent, encoded, every_encoded)?;
        for name in ["x-one", "x-two", "accept"] {
            prop_assert_eq!(all(&event.headers, name), sent.header(name));
        }
        prop_assert_eq!(bytes(event.body, event.is_base64_encoded), sent.body);
    }
}

#[test]
fn arns_in_an_event_are_in_the_partition_of_the_function() {
    let arn = "arn:aws-cn:lambda:cn-north-1:111122223333:function:f";
    for (payload, pointer, expected) in [
        (
            "alb",
            "/requestContext/elb/targetGroupArn",
            "arn:aws-cn:elasticloadbalancing:cn-north-1:",
        ),
        (
            "vpc-lattice-v2",
            "/requestContext/serviceArn",
            "arn:aws-cn:vpc-lattice:cn-north-1:",
        ),
        (
            "vpc-lattice-v2",
            "/requestContext/identity/sourceVpcArn",
            "arn:aws-cn:ec2:cn-north-1:",
        ),
    ] {
        let settings = format!(r#"{{"function":"{arn}","payload":"{payload}"}}"#);
        let settings = Settings::from_plugin(settings.as_bytes()).unwrap();
        let config = settings.into_config().unwrap();
        let map = [(":method", "GET"), (":path", "/")];
        let map = map.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let attributes = RequestAttributes::default();
        let map: lambda_filter_core::request::HeaderMap = map.into();
        let request = Request::new(&map, None, &attributes, b"").unwrap();
        let event = event::encode(&request, &config).unwrap();
        let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
        let found = event.pointer(pointer).unwrap().as_str().unwrap();
        assert!(found.starts_with(expected), "{found}");
    }
}
