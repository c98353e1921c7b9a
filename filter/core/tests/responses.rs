//! For any payload of a function, the response is well-formed or one of the filter's own errors.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's `allow-unwrap-in-tests` does not know helpers outside `#[test]` functions"
)]

use lambda_filter_core::config::{Config, Settings};
use lambda_filter_core::response::{self, HttpResponse, InvokeResponse, error_response};
use proptest::prelude::*;
use serde_json::{Value, json};

const PAYLOADS: [&str; 9] = [
    "apigateway-v1",
    "apigateway-v2",
    "function-url",
    "alb",
    "alb-multi-value",
    "vpc-lattice-v1",
    "vpc-lattice-v2",
    "envoy",
    "raw",
];

fn config(payload: &str) -> Config {
    let settings = format!(r#"{{"function":"f","payload":"{payload}"}}"#);
    Settings::from_plugin(settings.as_bytes())
        .unwrap()
        .into_config()
        .unwrap()
}

fn response(payload: &str, upstream: &[(&str, &str)], body: &[u8]) -> HttpResponse {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    let headers = upstream.iter().map(pair).collect();
    let invoked = InvokeResponse {
        headers: &headers,
        body,
    };
    let config = config(payload);
    response::decode(&invoked, &config)
        .unwrap_or_else(|error| error_response(&error, Some(&config)))
}

fn well_formed(response: &HttpResponse) -> Result<(), TestCaseError> {
    prop_assert!((200..600).contains(&response.status));
    for (name, value) in &response.headers {
        prop_assert!(
            http::HeaderName::from_bytes(name.as_bytes()).is_ok(),
            "{:?}",
            name
        );
        prop_assert_eq!(name, &name.to_lowercase());
        prop_assert!(
            http::HeaderValue::from_bytes(value.as_bytes()).is_ok(),
            "{:?}",
            value
        );
        let owned = [
            "content-length",
            "transfer-encoding",
            "connection",
            "upgrade",
        ];
        prop_assert!(!owned.contains(&name.as_str()) && !name.starts_with("x-envoy-"));
    }
    Ok(())
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof!["\\PC{0,8}", "[\\x00-\\x7f]{0,8}"].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any_name(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "Content-Type",
            "Transfer-Encoding",
            "content-length",
            ":status",
            "x-envoy-x",
            "a b",
            "Set-Cookie",
            "X-A\r\nX-B",
        ])
        .prop_map(str::to_owned),
        "[A-Za-z-]{1,8}",
        "\\PC{0,6}",
    ]
}

prop_compose! {
    fn any_response()(
        members in prop::collection::vec((prop::sample::select(vec![
            "statusCode", "status_code", "headers", "multiValueHeaders", "cookies", "body",
            "isBase64Encoded", "is_base64_encoded", "base64Encoded", "statusDescription", "other",
        ]), any_json()), 0..6),
        status in prop::option::of(100..700_i64),
    ) -> Value {
        let mut response: serde_json::Map<String, Value> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if let Some(status) = status {
            response.insert("statusCode".to_owned(), json!(status));
        }
        Value::Object(response)
    }
}

/// Hundreds of thousands of items, which no response needs, are refused, also spread over members and levels. As data, which is
/// the body as it stands, they are none of the filter's concern.
#[test]
fn a_response_has_a_limited_number_of_items() {
    let ones = |bytes: usize| format!("[{}1]", "1,".repeat(bytes / 2));
    let cookies = format!(r#"{{"statusCode":200,"cookies":{}}}"#, ones(600_000));
    let lists: Vec<_> = (0..60)
        .map(|n| format!(r#""x-{n}":{}"#, ones(10_000)))
        .collect();
    let lists = lists.join(",");
    let multi = format!(r#"{{"statusCode":200,"multiValueHeaders":{{{lists}}}}}"#);
    let headers = format!(r#"{{"statusCode":200,"headers":{{{lists}}}}}"#);
    let upstream = [(":status", "200"), ("x-amzn-requestid", "r")];
    for payload in PAYLOADS.into_iter().filter(|payload| *payload != "raw") {
        for body in [&cookies, &multi, &headers] {
            let response = response(payload, &upstream, body.as_bytes());
            // Not every format reads every member.
            assert!(response.headers.len() <= 2, "{payload}");
            assert!(response.body.len() < 1000, "{payload}");
        }
    }
    let data = format!(r#"{{"cookies":{}}}"#, ones(600_000));
    let response = response("apigateway-v2", &upstream, data.as_bytes());
    assert_eq!((response.status, response.body), (200, data.into_bytes()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(body in prop::collection::vec(any::<u8>(), 0..256), status in 100..600_u16) {
        let status = status.to_string();
        for payload in PAYLOADS {
            well_formed(&response(payload, &[(":status", &status)], &body))?;
            well_formed(&response(payload, &[(":status", "200"), ("x-amzn-requestid", "r")], &body))?;
        }
    }

    #[test]
    fn any_members(payload in any_response()) {
        let body = payload.to_string();
        for format in PAYLOADS {
            let upstream = [(":status", "200"), ("x-amzn-requestid", "r")];
            well_formed(&response(format, &upstream, body.as_bytes()))?;
        }
    }
}
