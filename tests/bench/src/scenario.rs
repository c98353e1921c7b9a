//! The requests and responses of the benchmark.

use std::fmt::Write as _;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use clap::ValueEnum;
use lambda_api::event_stream;
use lambda_mesh_bench_core::data::{json_text, noise};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::contestant::Contestant;
use crate::load::Exchange;
use crate::upstream::Script;

/// A kind of request with its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// A GET with 12 browser headers, 3 cookies and 2 query keys. The response is 1 KB of JSON.
    SmallGet,
    /// A POST of 10 KB of JSON. The response is 1 KB of JSON.
    PostJson,
    /// A POST of 1 MB of binary data. The response is 1 KB of JSON.
    PostBinary,
    /// The GET. The response is 5 MB of binary data.
    GetBinary,
    /// The GET. The response is 1 MB of JSON, which is a text in the payload.
    GetJson,
    /// The GET. The response is 100 pieces of 1 KB with pauses.
    #[value(skip)]
    PacedStream,
    /// The GET. The response is 5 MB in pieces of 1 KB without pauses.
    #[value(skip)]
    FastStream,
}

/// A header in the payloads of the function, but not in responses of the upstream.
pub const FUNCTION_HEADER: &str = "cache-control: no-store";

/// The size of a piece of a stream in bytes.
const PIECE_BYTES: usize = 1_000;

/// The pause between two pieces of [`Scenario::PacedStream`].
const PAUSE: Duration = Duration::from_millis(1);

const BROWSER: &str = "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    accept-language: en-GB,en;q=0.5\r\n\
    accept-encoding: gzip, deflate, br, zstd\r\n\
    referer: https://shop.example.com/categories/shoes?page=3\r\n\
    sec-fetch-dest: document\r\n\
    sec-fetch-mode: navigate\r\n\
    sec-fetch-site: same-origin\r\n\
    upgrade-insecure-requests: 1\r\n\
    priority: u=0, i\r\n\
    cookie: session=2f1c9a0e7b5d4c3f8a6e; theme=dark; consent=analytics%3Dno\r\n";

impl Scenario {
    /// The scenarios without streams.
    pub const WHOLE: [Self; 5] = [
        Self::SmallGet,
        Self::PostJson,
        Self::PostBinary,
        Self::GetBinary,
        Self::GetJson,
    ];

    /// Returns the name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::SmallGet => "get-1k",
            Self::PostJson => "post-10k-json",
            Self::PostBinary => "post-1m-binary",
            Self::GetBinary => "get-5m-binary",
            Self::GetJson => "get-1m-json",
            Self::PacedStream => "paced-stream",
            Self::FastStream => "fast-stream",
        }
    }

    /// Returns the title in the report.
    pub fn title(self) -> &'static str {
        match self {
            Self::SmallGet => "GET, 12 headers, 1 KB JSON back",
            Self::PostJson => "POST 10 KB JSON, 1 KB JSON back",
            Self::PostBinary => "POST 1 MB binary, 1 KB JSON back",
            Self::GetBinary => "GET, 5 MB binary back",
            Self::GetJson => "GET, 1 MB JSON back",
            Self::PacedStream => "GET, a stream of 100 pieces of 1 KB, one every two milliseconds",
            Self::FastStream => "GET, a stream of 5,000 pieces of 1 KB without pauses",
        }
    }

    /// Returns the bytes of both bodies of an exchange.
    pub fn body_bytes(self) -> usize {
        self.request_body().len() + self.response_body().len()
    }

    fn request_body(self) -> Vec<u8> {
        match self {
            Self::PostJson => json_text(10_000),
            Self::PostBinary => noise(1_000_000),
            _ => Vec::new(),
        }
    }

    fn response_body(self) -> Vec<u8> {
        match self {
            Self::GetBinary => noise(5_000_000),
            Self::GetJson => json_text(1_000_000),
            Self::PacedStream => noise(100 * PIECE_BYTES),
            Self::FastStream => noise(5_000 * PIECE_BYTES),
            _ => json_text(1_000),
        }
    }

    fn response_type(self) -> &'static str {
        match self {
            Self::GetBinary => "image/png",
            Self::PacedStream | Self::FastStream => "application/octet-stream",
            _ => "application/json",
        }
    }

    /// Returns the request of the client and the expected response.
    pub fn exchange(self) -> Exchange {
        Exchange {
            requests: vec![self.request("shop.example.com")],
            status: 200,
            response_bytes: self.response_body().len(),
        }
    }

    /// Returns the request to this host.
    pub fn request(self, host: &str) -> Bytes {
        let body = self.request_body();
        let method = match self {
            Self::PostJson | Self::PostBinary => "POST",
            _ => "GET",
        };
        let mut request = format!(
            "{method} /orders/2024/items?page=2&sort=price HTTP/1.1\r\nhost: {host}\r\n{BROWSER}"
        );
        let content_type = match self {
            Self::PostJson => Some("application/json"),
            Self::PostBinary => Some("image/png"),
            _ => None,
        };
        if let Some(content_type) = content_type {
            // Writing to a string cannot fail.
            let _ = write!(
                request,
                "content-type: {content_type}\r\ncontent-length: {}\r\n",
                body.len()
            );
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(&body);
        request.into()
    }

    /// Returns the event of the request in the format apigateway-v2.
    pub fn event(self) -> Vec<u8> {
        let lines = BROWSER
            .split("\r\n")
            .filter_map(|line| line.split_once(": "));
        let headers: Map<String, Value> = lines
            .filter(|(name, _)| *name != "cookie")
            .chain([
                ("host", "shop.example.com"),
                ("x-forwarded-for", "127.0.0.1"),
            ])
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/hi",
            "rawQueryString": "page=2&sort=price",
            "cookies": ["session=2f1c9a0e7b5d4c3f8a6e", "theme=dark", "consent=analytics%3Dno"],
            "headers": headers,
            "queryStringParameters": { "page": "2", "sort": "price" },
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "lambda-mesh",
                "domainName": "shop.example.com",
                "domainPrefix": "shop",
                "http": {
                    "method": "GET",
                    "path": "/hi",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
                },
                "requestId": "5f2b4c1e-0000-4000-8000-000000000000",
                "routeKey": "$default",
                "stage": "$default",
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_u64,
            },
            "isBase64Encoded": false,
        });
        event.to_string().into_bytes()
    }

    /// Returns the value of the filter's key `invocation`.
    pub fn invocation(self) -> &'static str {
        match self.pause() {
            Some(_) => "response-stream",
            None => "request-response",
        }
    }

    /// Returns whether the response of `contestant` is right. The Lambda Reverse Proxy does not decode base64.
    pub fn is_served_by(self, contestant: Contestant) -> bool {
        (self, contestant) != (Self::GetBinary, Contestant::Lrp)
    }

    /// Returns the pause between two pieces of a streamed response.
    fn pause(self) -> Option<Duration> {
        match self {
            Self::PacedStream => Some(PAUSE),
            Self::FastStream => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// Returns the response of the upstream of `contestant`.
    pub fn script(self, contestant: Contestant) -> Script {
        let body = self.response_body();
        let headers = self.response_headers();
        if let Some(pause) = self.pause() {
            let pieces: Vec<&[u8]> = body.chunks(PIECE_BYTES).collect();
            if contestant == Contestant::PassThrough {
                let pieces: Vec<Bytes> = pieces.into_iter().map(Bytes::copy_from_slice).collect();
                return Script::streamed(self.response_type(), &pieces, pause);
            }
            let prelude = json!({ "statusCode": 200, "headers": headers });
            let messages = streamed_messages(&prelude, &pieces);
            return Script::streamed(event_stream::CONTENT_TYPE, &messages, pause);
        }
        match contestant {
            Contestant::PassThrough => Script::whole(self.response_type(), &body),
            Contestant::AwsLambda => {
                let (body, is_base64) = text_of(&body);
                let payload = json!({
                    "status_code": 200,
                    "headers": headers,
                    "body": body,
                    "is_base64_encoded": is_base64,
                });
                Script::json(payload.to_string().as_bytes())
            }
            _ => Script::json(self.payload().as_bytes()),
        }
    }

    /// Returns the payload of a function's response.
    pub fn payload(self) -> String {
        let (body, is_base64) = text_of(&self.response_body());
        let payload = json!({
            "statusCode": 200,
            "headers": self.response_headers(),
            "body": body,
            "isBase64Encoded": is_base64,
        });
        payload.to_string()
    }

    fn response_headers(self) -> Value {
        let mut headers =
            Map::from_iter([("content-type".to_owned(), self.response_type().into())]);
        if let Some((name, value)) = FUNCTION_HEADER.split_once(": ") {
            headers.insert(name.to_owned(), value.into());
        }
        headers.into()
    }
}

/// Returns a body as text, and whether the text is base64.
fn text_of(body: &[u8]) -> (String, bool) {
    match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (BASE64_STANDARD.encode(body), true),
    }
}

/// Returns the messages of a streamed HTTP response: the prelude with the first piece of the body, each
/// further piece, and the end with the last piece.
fn streamed_messages(prelude: &Value, pieces: &[&[u8]]) -> Vec<Bytes> {
    let mut first = prelude.to_string().into_bytes();
    first.extend_from_slice(&event_stream::HTTP_PRELUDE_DELIMITER);
    let mut bytes = event_stream::payload_chunk(&first).to_vec();
    let mut messages = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.iter().enumerate() {
        bytes.extend(event_stream::payload_chunk(piece).to_vec());
        if index + 1 == pieces.len() {
            bytes.extend(event_stream::invoke_complete(b"{}").to_vec());
        }
        messages.push(std::mem::take(&mut bytes).into());
    }
    messages
}
