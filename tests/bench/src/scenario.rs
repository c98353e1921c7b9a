//! What is asked and answered.

use std::fmt::Write as _;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::envoy::Contestant;
use crate::event_stream;
use crate::load::Exchange;
use crate::upstream::Script;

/// A kind of request with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// A GET with 12 browser headers, 3 cookies and 2 query keys; 1 KB of JSON comes back.
    SmallGet,
    /// A POST of 10 KB of JSON; 1 KB of JSON comes back.
    PostJson,
    /// A POST of 1 MB that is no text; 1 KB of JSON comes back.
    PostBinary,
    /// The GET; 5 MB that are no text come back.
    GetBinary,
    /// The GET; 100 pieces of 1 KB come back, with a pause before each.
    PacedStream,
    /// The GET; 5 MB in pieces of 1 KB come back without a pause.
    FastStream,
}

/// Bytes of a piece of a stream.
const PIECE: usize = 1_000;

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
    /// Those whose answers come whole.
    pub const WHOLE: [Self; 4] = [
        Self::SmallGet,
        Self::PostJson,
        Self::PostBinary,
        Self::GetBinary,
    ];

    /// Its name in the report's files.
    pub fn name(self) -> &'static str {
        match self {
            Self::SmallGet => "get-1k",
            Self::PostJson => "post-10k-json",
            Self::PostBinary => "post-1m-binary",
            Self::GetBinary => "get-5m-binary",
            Self::PacedStream => "paced-stream",
            Self::FastStream => "fast-stream",
        }
    }

    /// What it is, in the report.
    pub fn title(self) -> &'static str {
        match self {
            Self::SmallGet => "GET, 12 headers, 1 KB JSON back",
            Self::PostJson => "POST 10 KB JSON, 1 KB JSON back",
            Self::PostBinary => "POST 1 MB binary, 1 KB JSON back",
            Self::GetBinary => "GET, 5 MB binary back",
            Self::PacedStream => "GET, a stream of 100 pieces of 1 KB, one every two milliseconds",
            Self::FastStream => "GET, a stream of 5,000 pieces of 1 KB without pauses",
        }
    }

    /// Bytes of bodies that one exchange moves.
    pub fn body_bytes(self) -> usize {
        self.request_body().len() + self.answer_body().len()
    }

    fn request_body(self) -> Vec<u8> {
        match self {
            Self::SmallGet | Self::GetBinary | Self::PacedStream | Self::FastStream => Vec::new(),
            Self::PostJson => json_text(10_000),
            Self::PostBinary => noise(1_000_000),
        }
    }

    fn answer_body(self) -> Vec<u8> {
        match self {
            Self::GetBinary => noise(5_000_000),
            Self::PacedStream => noise(100 * PIECE),
            Self::FastStream => noise(5_000 * PIECE),
            _ => json_text(1_000),
        }
    }

    fn answer_type(self) -> &'static str {
        match self {
            Self::GetBinary => "image/png",
            Self::PacedStream | Self::FastStream => "application/octet-stream",
            _ => "application/json",
        }
    }

    /// What the client sends and has to get.
    pub fn exchange(self) -> Exchange {
        Exchange {
            requests: vec![self.request("shop.example.com")],
            status: 200,
            answer_bytes: self.answer_body().len(),
        }
    }

    /// The request to this host.
    pub fn request(self, host: &str) -> Bytes {
        let body = self.request_body();
        let mut request = match self {
            Self::SmallGet | Self::GetBinary | Self::PacedStream | Self::FastStream => {
                "GET /orders/2024/items?page=2&sort=price HTTP/1.1\r\n".to_owned()
            }
            _ => "POST /orders/2024/items?page=2&sort=price HTTP/1.1\r\n".to_owned(),
        };
        let _ = write!(request, "host: {host}\r\n");
        request.push_str(BROWSER);
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

    /// The event that the request becomes, in the format apigateway-v2.
    pub fn event(self) -> Vec<u8> {
        let lines = BROWSER
            .split("\r\n")
            .filter_map(|line| line.split_once(": "));
        let headers: serde_json::Map<String, Value> = lines
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

    /// How functions are invoked for it: the filter's key `invocation`.
    pub fn invocation(self) -> &'static str {
        match self.pause() {
            Some(_) => "response-stream",
            None => "request-response",
        }
    }

    /// The pause between two pieces of an answer that is streamed.
    fn pause(self) -> Option<Duration> {
        match self {
            Self::PacedStream => Some(PAUSE),
            Self::FastStream => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// What the upstream of `contestant` answers.
    pub fn script(self, contestant: Contestant) -> Script {
        let body = self.answer_body();
        let headers = json!({ "content-type": self.answer_type(), "cache-control": "no-store" });
        if let Some(pause) = self.pause() {
            let pieces: Vec<&[u8]> = body.chunks(PIECE).collect();
            if contestant == Contestant::PassThrough {
                let pieces: Vec<Bytes> = pieces.into_iter().map(Bytes::copy_from_slice).collect();
                return Script::streamed(self.answer_type(), &pieces, pause);
            }
            let prelude = json!({ "statusCode": 200, "headers": headers });
            let messages = event_stream::answer(&prelude, &pieces);
            return Script::streamed(event_stream::CONTENT_TYPE, &messages, pause);
        }
        let (text, base64): (Value, bool) = match std::str::from_utf8(&body) {
            Ok(text) => (text.into(), false),
            Err(_) => (BASE64_STANDARD.encode(&body).into(), true),
        };
        let payload = match contestant {
            Contestant::PassThrough => return Script::whole(self.answer_type(), &body),
            Contestant::Native => {
                json!({ "status_code": 200, "headers": headers, "body": text, "is_base64_encoded": base64 })
            }
            _ => {
                json!({ "statusCode": 200, "headers": headers, "body": text, "isBase64Encoded": base64 })
            }
        };
        Script::json(Bytes::from(payload.to_string()).as_ref())
    }
}

/// JSON of `size` bytes, with the quotation marks and spaces that JSON has.
fn json_text(size: usize) -> Vec<u8> {
    let mut text = String::from("{\"items\":[");
    while text.len() + 64 < size {
        let id = text.len();
        let _ = write!(text, "{{\"id\":{id},\"name\":\"A shoe\",\"price\":49.9}},");
    }
    text.push_str("0],\"fill\":\"");
    while text.len() + 2 < size {
        text.push('x');
    }
    text.push_str("\"}");
    text.into_bytes()
}

/// Bytes of every value in no order, the same each time.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}
