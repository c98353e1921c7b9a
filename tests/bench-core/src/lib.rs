//! What the micro-benchmarks encode and decode: the exchanges of the benchmark in `tests/bench`.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails ends by a panic")]

pub mod data;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_filter::config::{Config, Settings};
use lambda_filter::event;
use lambda_filter::reply::{self, Invoked, Reply, Streamed};
use lambda_filter::request::{Facts, HeaderMap, Request};
use serde_json::{Value, json};

use crate::data::{json_text, noise};

/// A request, and the format of the event that it is to become.
#[derive(Debug)]
pub struct Asked {
    headers: HeaderMap,
    body: Vec<u8>,
    facts: Facts,
    config: Config,
}

/// A GET with 12 headers, 3 cookies and 2 query keys.
pub fn get(payload: &str) -> Asked {
    asked("GET", None, Vec::new(), payload)
}

/// A POST of 10 KB of JSON.
pub fn post_json(payload: &str) -> Asked {
    asked("POST", Some("application/json"), json_text(10_000), payload)
}

/// A POST of 1 MB that is no text.
pub fn post_binary(payload: &str) -> Asked {
    asked("POST", Some("image/png"), noise(1_000_000), payload)
}

impl Asked {
    /// The event.
    pub fn encode(&self) -> Vec<u8> {
        let request = Request::new(&self.headers, None, &self.facts, &self.body).unwrap();
        event::encode(&request, &self.config).unwrap()
    }
}

/// A function's answer, and the format whose contract it follows.
#[derive(Debug)]
pub struct Answered {
    headers: HeaderMap,
    body: Vec<u8>,
    config: Config,
}

/// 1 KB of JSON in the answer.
pub fn small(payload: &str) -> Answered {
    answered(&json_text(1_000), "application/json", payload)
}

/// 5 MB that are no text in the answer.
pub fn binary(payload: &str) -> Answered {
    answered(&noise(5_000_000), "image/png", payload)
}

impl Answered {
    /// The response.
    pub fn decode(&self) -> Reply {
        let invoked = Invoked {
            headers: &self.headers,
            body: &self.body,
        };
        reply::decode(&invoked, &self.config).unwrap()
    }
}

/// An answer that is streamed, in the parts in which Envoy hands it over.
#[derive(Debug)]
pub struct Stream {
    headers: HeaderMap,
    parts: Vec<Vec<u8>>,
    config: Config,
}

/// 1 MB in pieces of 1 KB, which come 16 KiB at a time.
pub fn stream(payload: &str) -> Stream {
    const PIECE: usize = 1_000;
    let prelude = json!({ "statusCode": 200, "headers": { "content-type": "image/png" } });
    let mut first = prelude.to_string().into_bytes();
    first.extend_from_slice(&[0; 8]);
    let mut stream = message("PayloadChunk", &first);
    for piece in noise(1_000_000).chunks(PIECE) {
        stream.extend(message("PayloadChunk", piece));
    }
    stream.extend(message("InvokeComplete", b"{}"));
    Stream {
        headers: map(&[
            (":status", "200"),
            ("content-type", "application/vnd.amazon.eventstream"),
        ]),
        parts: stream.chunks(16 * 1024).map(<[u8]>::to_vec).collect(),
        config: config(payload, "response-stream"),
    }
}

impl Stream {
    /// The length of the body that the client gets.
    pub fn decode(self) -> usize {
        let mut streamed = Streamed::new(&self.headers, &self.config);
        let mut started = false;
        let mut length = 0;
        for mut part in self.parts {
            if started {
                streamed.next(&mut part).unwrap();
                length += part.len();
            } else if let Some(reply) = streamed.start(part).unwrap() {
                started = true;
                length += reply.body.len();
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

fn asked(method: &str, content_type: Option<&str>, body: Vec<u8>, payload: &str) -> Asked {
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
    Asked {
        headers,
        body,
        facts: Facts {
            source_ip: "198.51.100.23".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            request_id: "5f2b4c1e-0000-4000-8000-000000000000".to_owned(),
            time_ns: 1_584_039_838_390_000_000,
            ..Facts::default()
        },
        config: config(payload, "request-response"),
    }
}

fn answered(body: &[u8], content_type: &str, payload: &str) -> Answered {
    let headers = json!({ "content-type": content_type, "cache-control": "no-store" });
    let (text, is_base64): (Value, bool) = match std::str::from_utf8(body) {
        Ok(text) => (text.into(), false),
        Err(_) => (STANDARD.encode(body).into(), true),
    };
    let answer = match payload {
        "envoy" => {
            json!({ "status_code": 200, "headers": headers, "body": text, "is_base64_encoded": is_base64 })
        }
        _ => {
            json!({ "statusCode": 200, "headers": headers, "body": text, "isBase64Encoded": is_base64 })
        }
    };
    Answered {
        headers: map(&[
            (":status", "200"),
            ("content-type", "application/json"),
            ("x-amzn-requestid", "5f2b4c1e-0000-4000-8000-000000000000"),
            ("x-amz-executed-version", "$LATEST"),
        ]),
        body: answer.to_string().into_bytes(),
        config: config(payload, "request-response"),
    }
}

/// A message of `application/vnd.amazon.eventstream`.
fn message(event: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":event-type", event), (":message-type", "event")] {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        // Text.
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let mut message = length(headers.len() + payload.len() + 16).to_vec();
    message.extend_from_slice(&length(headers.len()));
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&headers);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message
}
