//! The body of an event: text, or bytes in base64.

use crate::config::Config;
use crate::encoding::json_writer::JsonWriter;
use crate::request::Request;

/// The body of an event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    Empty,
    Text(&'a str),
    Binary(&'a [u8]),
}

impl<'a> Body<'a> {
    /// Returns a request's body: text by the rule of the format, or by `binary_media_types` if that key
    /// is set. Bytes that are not UTF-8 are never text.
    pub(super) fn new(
        request: &Request<'a>,
        config: &Config,
        is_text: fn(&Request<'_>) -> bool,
    ) -> Self {
        let body = request.body;
        let text = match &config.binary_media_types {
            Some(types) => {
                let content_type = media_type(request);
                !types.iter().any(|range| range.matches(&content_type))
            }
            None => is_text(request),
        };
        match std::str::from_utf8(body) {
            _ if body.is_empty() => Self::Empty,
            Ok(content) if text => Self::Text(content),
            _ => Self::Binary(body),
        }
    }

    pub(super) fn is_base64(self) -> bool {
        matches!(self, Self::Binary(_))
    }

    /// Writes the body. The closure writes an empty one, for which each format has another value.
    pub(super) fn write(self, json: &mut JsonWriter, empty: impl FnOnce(&mut JsonWriter)) {
        match self {
            Self::Empty => empty(json),
            Self::Text(text) => json.string(text),
            Self::Binary(bytes) => json.base64(bytes),
        }
    }
}

/// Returns the content type without its parameters, in lower case, and an empty text if there is none.
pub(super) fn media_type(request: &Request<'_>) -> String {
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(|&byte| byte == b';').next();
    let media_type = media_type.unwrap_or_default().trim_ascii();
    String::from_utf8_lossy(media_type).to_ascii_lowercase()
}

fn is_textual(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || matches!(
            media_type,
            "application/json" | "application/javascript" | "application/xml"
        )
}

/// Returns whether an HTTP API passes a body as text: by [`is_textual_type`] and in GraphQL, unless the
/// charset is another one than that of events. It was measured on AWS, with bodies of ASCII.
pub(super) fn is_textual_in_utf8(request: &Request<'_>) -> bool {
    const CHARSET: &[u8] = b"charset=";
    const UTF8: [&[u8]; 3] = [b"utf-8", b"utf8", b"\"utf-8\""];
    let content_type = request.header("content-type").unwrap_or_default();
    let content_type = content_type.to_ascii_lowercase();
    let mut places = content_type.windows(CHARSET.len());
    let charset = places
        .position(|place| place == CHARSET)
        .and_then(|at| content_type.get(at + CHARSET.len()..));
    let media_type = media_type(request);
    (is_textual(&media_type) || media_type == "application/graphql")
        && charset.is_none_or(|charset| UTF8.iter().any(|utf8| charset.starts_with(utf8)))
}

/// Returns whether a Function URL and VPC Lattice pass a body as text: `text/*` and `application/json`,
/// `javascript` and `xml`.
pub(super) fn is_textual_type(request: &Request<'_>) -> bool {
    is_textual(&media_type(request))
}

/// Returns whether a load balancer passes a body as text: by [`is_textual_type`], and only without a
/// `content-encoding`.
pub(super) fn is_textual_and_unencoded(request: &Request<'_>) -> bool {
    request.header("content-encoding").is_none() && is_textual_type(request)
}

/// Returns whether Envoy's own filter passes a body as text. It compares the whole header, so that
/// `application/json; charset=utf-8` is binary.
pub(super) fn is_exactly_textual(request: &Request<'_>) -> bool {
    let content_type = request.header("content-type").unwrap_or_default();
    is_textual(&String::from_utf8_lossy(content_type).to_ascii_lowercase())
}
