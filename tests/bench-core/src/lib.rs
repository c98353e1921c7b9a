//! The cases of the micro-benchmarks, which are like the scenarios of the benchmark in `tests/bench`.
#![expect(clippy::unwrap_used, reason = "a failed benchmark panics")]

pub mod data;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_api::event_stream::{invoke_complete, payload_chunk};
use lambda_filter_core::config::{Config, Settings};
use lambda_filter_core::event;
use lambda_filter_core::request::{HeaderMap, Request, RequestAttributes};
use lambda_filter_core::response::{self, HttpResponse, InvokeResponse, StreamedResponse};
use serde_json::{Value, json};

use crate::data::{json_text, noise};

/// A request, with the format of its event.
#[derive(Debug)]
pub struct RequestCase {
    headers: HeaderMap,
    body: Vec<u8>,
    attributes: RequestAttributes,
    config: Config,
}

/// Returns a GET with 12 headers, 3 cookies and 2 query keys.
pub fn get(payload: &str) -> RequestCase {
    request("GET", None, Vec::new(), payload)
}

/// Returns a POST of 10 KB of JSON.
pub fn post_json(payload: &str) -> RequestCase {
    request("POST", Some("application/json"), json_text(10_000), payload)
}

/// Returns a POST of 1 MB of binary data.
pub fn post_binary(payload: &str) -> RequestCase {
    request("POST", Some("image/png"), noise(1_000_000), payload)
}

impl RequestCase {
    /// Returns the event.
    pub fn encode(&self) -> Vec<u8> {
        let request = Request::new(&self.headers, None, &self.attributes, &self.body).unwrap();
        event::encode(&request, &self.config).unwrap()
    }
}

/// A function's response, with its format.
#[derive(Debug)]
pub struct ResponseCase {
    headers: HeaderMap,
    body: Vec<u8>,
    config: Config,
}

/// Returns a response with 1 KB of JSON.
pub fn small(payload: &str) -> ResponseCase {
    response(&json_text(1_000), "application/json", payload)
}

/// Returns a response with 5 MB of binary data.
pub fn binary(payload: &str) -> ResponseCase {
    response(&noise(5_000_000), "image/png", payload)
}

impl ResponseCase {
    /// Returns the decoded response.
    pub fn decode(&self) -> HttpResponse {
        let invoked = InvokeResponse {
            headers: &self.headers,
            body: &self.body,
        };
        response::decode(&invoked, &self.config).unwrap()
    }
}

/// A streamed response, in the pieces in which Envoy passes it on.
#[derive(Debug)]
pub struct Stream {
    headers: HeaderMap,
    pieces: Vec<Vec<u8>>,
    config: Config,
}

/// Returns a response of 1 MB with chunks of 1 KB, in pieces of 16 KiB.
pub fn stream(payload: &str) -> Stream {
    const CHUNK_BYTES: usize = 1_000;
    let prelude = json!({ "statusCode": 200, "headers": { "content-type": "image/png" } });
    let mut first = prelude.to_string().into_bytes();
    first.extend_from_slice(&[0; 8]);
    let mut stream = payload_chunk(&first).to_vec();
    for piece in noise(1_000_000).chunks(CHUNK_BYTES) {
        stream.extend(payload_chunk(piece).to_vec());
    }
    stream.extend(invoke_complete(b"{}").to_vec());
    Stream {
        headers: map(&[
            (":status", "200"),
            ("content-type", "application/vnd.amazon.eventstream"),
        ]),
        pieces: stream.chunks(16 * 1024).map(<[u8]>::to_vec).collect(),
        config: config(payload, "response-stream"),
    }
}

impl Stream {
    /// Returns the length of the body that the client gets.
    pub fn decode(self) -> usize {
        let mut streamed = StreamedResponse::new(&self.headers, &self.config);
        let mut started = false;
        let mut length = 0;
        for mut piece in self.pieces {
            if started {
                streamed.next(&mut piece).unwrap();
                length += piece.len();
            } else if let Some(response) = streamed.start(piece).unwrap() {
                started = true;
                length += response.body.len();
            }
        }
        streamed.complete().unwrap();
        length
    }
}

fn config(payload: &str, invocation: &str) -> Config {
    let settings = match payload {
        "template" => json!({ "function": "f", "payload": payload, "template": {
            "method": "${method}", "path": "${path}", "page": "${query.page}",
            "agent": "${header.user-agent}", "session": "${cookie.session}", "body": "${body_base64}",
        } }),
        _ => json!({ "function": "f", "payload": payload, "invocation": invocation }),
    };
    let settings = Settings::from_plugin(settings.to_string().as_bytes()).unwrap();
    settings.into_config().unwrap()
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    headers.iter().map(pair).collect()
}

fn request(method: &str, content_type: Option<&str>, body: Vec<u8>, payload: &str) -> RequestCase {
    let mut headers = map(&[
        (":method", method),
        (":path", "/orders/2024/items?page=2&sort=price"),
        (":authority", "shop.example.com"),
        (":scheme", "http"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        ),
        (
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        (
            "referer",
            "https://shop.example.com/categories/shoes?page=3",
        ),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
        ("upgrade-insecure-requests", "1"),
        ("priority", "u=0, i"),
        (
            "cookie",
            "session=2f1c9a0e7b5d4c3f8a6e; theme=dark; consent=analytics%3Dno",
        ),
        ("x-forwarded-for", "198.51.100.23"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "5f2b4c1e-0000-4000-8000-000000000000"),
        ("x-envoy-expected-rq-timeout-ms", "15000"),
    ]);
    if let Some(content_type) = content_type {
        headers.extend(map(&[
            ("content-type", content_type),
            ("content-length", &body.len().to_string()),
        ]));
    }
    RequestCase {
        headers,
        body,
        attributes: RequestAttributes {
            source_ip: "198.51.100.23".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            request_id: "5f2b4c1e-0000-4000-8000-000000000000".to_owned(),
            time_ns: 1_584_039_838_390_000_000,
            ..RequestAttributes::default()
        },
        config: config(payload, "request-response"),
    }
}

fn response(body: &[u8], content_type: &str, payload: &str) -> ResponseCase {
    let headers = json!({ "content-type": content_type, "cache-control": "no-store" });
    let (text, is_base64): (Value, bool) = match std::str::from_utf8(body) {
        Ok(text) => (text.into(), false),
        Err(_) => (STANDARD.encode(body).into(), true),
    };
    let body = match payload {
        "envoy" => {
            json!({ "status_code": 200, "headers": headers, "body": text, "is_base64_encoded": is_base64 })
        }
        _ => {
            json!({ "statusCode": 200, "headers": headers, "body": text, "isBase64Encoded": is_base64 })
        }
    };
    ResponseCase {
        headers: map(&[
            (":status", "200"),
            ("content-type", "application/json"),
            ("x-amzn-requestid", "5f2b4c1e-0000-4000-8000-000000000000"),
            ("x-amz-executed-version", "$LATEST"),
        ]),
        body: body.to_string().into_bytes(),
        config: config(payload, "request-response"),
    }
}
