//! The event of the operator's own format: a template, filled from a request.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::query::{Query, percent_decoded};
use crate::config::template::{Piece, Placeholder, Template};
use crate::encoding::json;
use crate::encoding::json_writer::JsonWriter;
use crate::request::Request;
use crate::request::header_map::text;

/// Writes the event for a request.
pub(super) fn write(template: &Template, json: &mut JsonWriter, request: &Request<'_>) {
    match template {
        Template::Literal(literal) => json.raw(literal),
        Template::Value(Placeholder::BodyJson) => json.raw(body_json(request)),
        Template::Value(Placeholder::BodyBase64) => json.base64(request.body),
        Template::Value(placeholder) => match value(placeholder, request) {
            Some(value) => json.string(&value),
            None => json.null(),
        },
        Template::Text(pieces) => {
            let filled: Vec<Cow<'_, str>> = pieces.iter().map(|p| text_of(p, request)).collect();
            json.pieces(filled.iter().map(AsRef::as_ref));
        }
        Template::Array(items) => json.array(|json| {
            for item in items {
                write(item, json, request);
            }
        }),
        Template::Object(members) => json.object(|json| {
            for (key, value) in members {
                write(value, json.name(key), request);
            }
        }),
    }
}

fn text_of<'a>(piece: &'a Piece, request: &'a Request<'_>) -> Cow<'a, str> {
    match piece {
        Piece::Literal(literal) => Cow::Borrowed(literal),
        Piece::Placeholder(placeholder) => value(placeholder, request).unwrap_or_default(),
    }
}

/// Returns the part of the request for which a placeholder stands, if the request has it.
fn value<'a>(placeholder: &Placeholder, request: &'a Request<'_>) -> Option<Cow<'a, str>> {
    Some(match placeholder {
        Placeholder::Method => Cow::Borrowed(&*request.method),
        Placeholder::Path => percent_decoded(request.path),
        Placeholder::RawPath => text(request.path),
        Placeholder::Query => text(request.query.unwrap_or_default()),
        Placeholder::QueryValue(key) => {
            let query = Query::decoded(request.query);
            joined(query.values(key).map(Cow::Borrowed), ",")?.into()
        }
        Placeholder::Header(name) if name == "host" => Cow::Borrowed(&*request.authority),
        Placeholder::Header(name) => {
            let values = request.headers.iter().filter(|(key, _)| key == name);
            let separator = if name == "cookie" { "; " } else { "," };
            joined(values.map(|(_, value)| text(value)), separator)?.into()
        }
        Placeholder::Cookie(name) => request.cookies().find_map(|cookie| {
            let value = cookie.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(text(value))
        })?,
        Placeholder::Host => Cow::Borrowed(&*request.authority),
        Placeholder::SourceIp => Cow::Borrowed(&request.attributes.source_ip),
        Placeholder::RequestId => Cow::Borrowed(&request.attributes.request_id),
        Placeholder::Body => text(request.body),
        Placeholder::BodyJson => text(body_json(request)),
        Placeholder::BodyBase64 => STANDARD.encode(request.body).into(),
    })
}

fn joined<'a>(values: impl Iterator<Item = Cow<'a, str>>, separator: &str) -> Option<String> {
    let values: Vec<Cow<'a, str>> = values.collect();
    (!values.is_empty()).then(|| values.join(separator))
}

fn body_json<'a>(request: &Request<'a>) -> &'a [u8] {
    let body = request.body.trim_ascii();
    match json::check(body) {
        Ok(()) => body,
        Err(_) => b"null",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{HeaderMap, RequestAttributes};
    use serde_json::{Value, json};

    fn filled(template: &Value, body: &[u8]) -> Value {
        let map: HeaderMap = [
            (":method", "POST"),
            (":path", "/users/a%20b?q=1+2&q=3"),
            (":authority", "app.example.com:8080"),
            ("cookie", "a=1; session=s%3D"),
            ("x-tag", "one"),
            ("x-tag", "two"),
        ]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .to_vec();
        let attributes = RequestAttributes {
            source_ip: "198.51.100.23".to_owned(),
            request_id: "id-1".to_owned(),
            ..RequestAttributes::default()
        };
        let request = Request::new(&map, None, &attributes, body).unwrap();
        let mut json = JsonWriter::with_capacity(0);
        write(&Template::parse(template).unwrap(), &mut json, &request);
        serde_json::from_slice(&json.into_bytes()).unwrap()
    }

    #[test]
    fn the_laravel_case() {
        let template = json!({
            "LARAVEL_ROUTE": "${path}",
            "LARAVEL_ROUTE_METHOD": "${method}",
            "LARAVEL_REQUEST_BODY": "${body_json}",
        });
        assert_eq!(
            filled(&template, br#" {"a":[1,2.50]} "#),
            json!({
                "LARAVEL_ROUTE": "/users/a b",
                "LARAVEL_ROUTE_METHOD": "POST",
                "LARAVEL_REQUEST_BODY": {"a": [1, 2.50]},
            })
        );
    }

    #[test]
    fn every_placeholder_has_its_part_of_the_request() {
        let template = json!([
            "${raw_path}",
            "${query}",
            "${query.q}",
            "${query.none}",
            "${header.X-Tag}",
            "${header.none}",
            "${header.Host}",
            "${cookie.session}",
            "${cookie.none}",
            "${host}",
            "${source_ip}",
            "${request_id}",
            "${body}",
            "${body_json}",
            "${body_base64}",
        ]);
        assert_eq!(
            filled(&template, b"\xff\x00"),
            json!([
                "/users/a%20b",
                "q=1+2&q=3",
                "1 2,3",
                null,
                "one,two",
                null,
                "app.example.com:8080",
                "s%3D",
                null,
                "app.example.com:8080",
                "198.51.100.23",
                "id-1",
                "\u{ff}\u{0}",
                null,
                "/wA=",
            ])
        );
    }

    #[test]
    fn text_around_placeholders_makes_a_string() {
        let template = json!({
            "mixed": "${method} ${raw_path}?${query.none}!",
            "json": "<${body_json}>",
            "base64": "data:${body_base64}",
            "escaped": "$${method} costs $5 $",
            "number": 1.5, "null": null, "empty": "", "nested": [{"x": true}],
        });
        assert_eq!(
            filled(&template, b"{}"),
            json!({
                "mixed": "POST /users/a%20b?!",
                "json": "<{}>",
                "base64": "data:e30=",
                "escaped": "${method} costs $5 $",
                "number": 1.5, "null": null, "empty": "", "nested": [{"x": true}],
            })
        );
    }
}
