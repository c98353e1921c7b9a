//! The body of an event: text, or bytes in base64.

use std::borrow::Cow;

use crate::config::Config;
use crate::encoding::json_writer::JsonWriter;
use crate::request::Request;
use crate::request::header_map::{essence, parameter, text};

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
    essence(&content_type(request))
}

fn content_type<'a>(request: &Request<'a>) -> Cow<'a, str> {
    text(request.header("content-type").unwrap_or_default())
}

fn is_textual(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || matches!(
            media_type,
            "application/json" | "application/javascript" | "application/xml"
        )
}

/// Returns whether an HTTP API passes a body as text: by [`is_textual_type`] and in GraphQL, unless the
/// charset is not UTF-8. Measured on AWS with ASCII bodies.
pub(super) fn is_textual_in_utf8(request: &Request<'_>) -> bool {
    let charset = parameter(&content_type(request), "charset").map(str::to_ascii_lowercase);
    let media_type = media_type(request);
    (is_textual(&media_type) || media_type == "application/graphql")
        // ASCII is a subset of UTF-8.
        && matches!(charset.as_deref(), None | Some("utf-8" | "utf8" | "us-ascii"))
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
    is_textual(&content_type(request).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RequestAttributes;

    #[test]
    fn only_the_parameter_charset_decides_on_text() {
        for (content_type, expected) in [
            ("text/plain", true),
            ("application/graphql", true),
            ("text/plain; charset=UTF-8", true),
            ("text/plain;CHARSET=utf8;a=b", true),
            ("text/plain; charset=\"utf8\"", true),
            ("text/plain; charset=us-ascii", true),
            ("text/plain; x-charset=latin1", true),
            ("text/plain; a=\"; charset=latin1\"", true),
            ("text/plain; charset=utf-80", false),
            ("text/plain; a=b; charset=\"latin1\"", false),
            ("image/png; charset=utf-8", false),
        ] {
            let map = [
                (":method", "POST"),
                (":path", "/"),
                ("content-type", content_type),
            ];
            let map = map.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
            let (map, attributes) = (map.to_vec(), RequestAttributes::default());
            let request = Request::new(&map, None, &attributes, b"").unwrap();
            assert_eq!(is_textual_in_utf8(&request), expected, "{content_type}");
        }
    }
}
