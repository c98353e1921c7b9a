//! The event of an API Gateway HTTP API, payload format 2.0.
//!
//! Source: the API Gateway developer guide, *Create AWS Lambda proxy integrations for HTTP
//! APIs*, and events recorded on AWS.

use std::borrow::Cow;

use time::OffsetDateTime;

use super::json::JsonWriter;
use super::query::{decoded_pairs, percent_decoded};
use crate::config::{Config, HeaderCase};
use crate::request::{Request, text};

/// Room for all but the headers, the query and the body, so that the buffer rarely grows.
const FIXED_PART: usize = 1024;

pub fn encode(request: &Request<'_>, config: &Config) -> Vec<u8> {
    let headers: usize = request
        .headers
        .iter()
        .map(|(n, v)| n.len() + v.len() + 8)
        .sum();
    let query = request.query.map_or(0, <[u8]>::len);
    let path = request.path.len();
    let body = request.body.len() / 3 * 4;
    let mut json = JsonWriter::with_capacity(FIXED_PART + headers + 2 * (query + path) + body);

    let path = raw_path(request, config);
    json.object(|json| {
        json.key("version").string("2.0");
        json.key("routeKey").string("$default");
        json.key("rawPath").string(&path);
        json.key("rawQueryString")
            .string(&text(request.query.unwrap_or_default()));
        cookies(json, request);
        json.key("headers")
            .object(|json| headers_of(json, request, config));
        query_parameters(json, request);
        json.key("requestContext")
            .object(|json| context(json, request, config, &path));
        body_of(json, request);
    });
    json.into_bytes()
}

/// The path, percent-decoded in spite of its name. A named stage is its first segment, as on the
/// API's own host.
fn raw_path<'a>(request: &Request<'a>, config: &Config) -> Cow<'a, str> {
    let path = percent_decoded(request.path);
    let stage = config.stage.as_str();
    let staged = || {
        let rest = path.strip_prefix('/')?.strip_prefix(stage)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(())
    };
    if stage == "$default" || staged().is_some() {
        path
    } else {
        Cow::Owned(format!("/{stage}{path}"))
    }
}

/// Cookies stand in an array of their own, not among the headers.
fn cookies(json: &mut JsonWriter, request: &Request<'_>) {
    let mut cookies = request
        .headers
        .iter()
        .filter(|(name, _)| *name == "cookie")
        .flat_map(|(_, value)| value.split(|&byte| byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|cookie| !cookie.is_empty())
        .peekable();
    if cookies.peek().is_some() {
        json.key("cookies").array(|json| {
            for cookie in cookies {
                json.string(&text(cookie));
            }
        });
    }
}

fn headers_of(json: &mut JsonWriter, request: &Request<'_>, config: &Config) {
    let length = request.body.len().to_string();
    let trace = request.trace_id();
    let scheme = request.header("x-forwarded-proto").unwrap_or(b"http");
    let port = request
        .port()
        .unwrap_or(if scheme == b"https" { "443" } else { "80" });

    let client = request.headers.iter().copied();
    let mut headers: Vec<(&str, &[u8])> = client
        .filter(|(name, _)| !matches!(*name, "cookie" | "content-length" | "host"))
        .collect();
    headers.push(("host", request.authority.as_bytes()));
    headers.push(("content-length", length.as_bytes()));
    for (name, value) in [
        ("x-amzn-trace-id", &*trace),
        ("x-forwarded-for", request.facts.source_ip.as_str()),
        ("x-forwarded-port", port),
    ] {
        if request.header(name).is_none() {
            headers.push((name, value.as_bytes()));
        }
    }
    headers.sort_by_key(|(name, _)| *name);

    for same in headers.chunk_by(|(a, _), (b, _)| a == b) {
        let Some((name, _)) = same.first() else {
            continue;
        };
        match config.header_case {
            HeaderCase::Lower => json.key(name),
            HeaderCase::Train => json.key(&train_case(name)),
        };
        let values: Vec<Cow<'_, str>> = same.iter().map(|(_, value)| text(value)).collect();
        json.joined(values.iter().map(AsRef::as_ref));
    }
}

/// `content-type` as `Content-Type`.
fn train_case(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|c| {
            let spelt = if start { c.to_ascii_uppercase() } else { c };
            start = c == '-';
            spelt
        })
        .collect()
}

fn query_parameters(json: &mut JsonWriter, request: &Request<'_>) {
    let pairs = decoded_pairs(request.query.unwrap_or_default());
    if pairs.is_empty() {
        return;
    }
    json.key("queryStringParameters").object(|json| {
        for same in pairs.chunk_by(|(a, _), (b, _)| a == b) {
            if let Some((key, _)) = same.first() {
                json.key(key).joined(same.iter().map(|(_, value)| &**value));
            }
        }
    });
}

fn context(json: &mut JsonWriter, request: &Request<'_>, config: &Config, path: &str) {
    let facts = request.facts;
    let domain_name = request.domain_name();
    let prefix = domain_name.split('.').next().unwrap_or_default();
    let user_agent = text(request.header("user-agent").unwrap_or_default());

    json.key("accountId").string(&config.account_id);
    json.key("apiId").string(&config.api_id);
    json.key("domainName").string(domain_name);
    json.key("domainPrefix").string(prefix);
    json.key("http").object(|json| {
        json.key("method").string(&request.method);
        json.key("path").string(path);
        json.key("protocol").string(&facts.protocol);
        json.key("sourceIp").string(&facts.source_ip);
        json.key("userAgent").string(&user_agent);
    });
    json.key("requestId").string(&facts.request_id);
    json.key("routeKey").string("$default");
    json.key("stage").string(&config.stage);
    json.key("time").string(&clf_time(facts.time_ns));
    json.key("timeEpoch").integer(facts.time_ns / 1_000_000);
}

/// `12/Mar/2020:19:03:58 +0000`.
fn clf_time(time_ns: i64) -> String {
    let seconds = time_ns.div_euclid(1_000_000_000);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let month = time.month().to_string();
    format!(
        "{:02}/{}/{}:{:02}:{:02}:{:02} +0000",
        time.day(),
        month.get(..3).unwrap_or_default(),
        time.year(),
        time.hour(),
        time.minute(),
        time.second(),
    )
}

/// A text stands as it is, all else in base64. An empty body has no member.
fn body_of(json: &mut JsonWriter, request: &Request<'_>) {
    let body = request.body;
    let content_type = request.header("content-type").unwrap_or_default();
    let content = is_text(content_type).then(|| std::str::from_utf8(body).ok());
    match content.flatten() {
        _ if body.is_empty() => json.key("isBase64Encoded").boolean(false),
        Some(content) => {
            json.key("body").string(content);
            json.key("isBase64Encoded").boolean(false);
        }
        None => {
            json.key("body").base64(body);
            json.key("isBase64Encoded").boolean(true);
        }
    }
}

/// `text/*` and `application/json`, `javascript`, `xml`: all that an HTTP API passes as text.
fn is_text(content_type: &[u8]) -> bool {
    let media_type = content_type
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default();
    let media_type = media_type.trim_ascii().to_ascii_lowercase();
    media_type.starts_with(b"text/")
        || [
            &b"application/json"[..],
            b"application/javascript",
            b"application/xml",
        ]
        .contains(&media_type.as_slice())
}
