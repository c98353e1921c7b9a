//! Events of one's own: JSON in which `${...}` stands for a part of the request.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::query::{Query, percent_decoded};
use crate::json::{self, JsonWriter};
use crate::request::{Request, text};

/// A template, read once.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// JSON without placeholders.
    Literal(Vec<u8>),
    /// A string that is one placeholder: its value keeps its type.
    Value(Placeholder),
    /// A string with placeholders in it.
    Text(Vec<Piece>),
    /// An array.
    Array(Vec<Template>),
    /// An object.
    Object(Vec<(String, Template)>),
}

/// A part of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Literal(String),
    /// To be filled; empty where the request has no such part.
    Placeholder(Placeholder),
}

/// A part of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// `${method}`
    Method,
    /// `${path}`, percent-decoded
    Path,
    /// `${raw_path}`, as sent
    RawPath,
    /// `${query}`, as sent, without `?`
    Query,
    /// `${query.NAME}`, decoded; repeated values joined by `,`
    QueryValue(String),
    /// `${header.NAME}`; repeated values joined by `,`
    Header(String),
    /// `${cookie.NAME}`
    Cookie(String),
    /// `${host}`, with the port if the client gave one
    Host,
    /// `${source_ip}`
    SourceIp,
    /// `${request_id}`
    RequestId,
    /// `${body}`, as text
    Body,
    /// `${body_json}`, parsed, or null if it is not JSON
    BodyJson,
    /// `${body_base64}`
    BodyBase64,
}

/// For errors.
const PLACEHOLDERS: &str = "${method}, ${path}, ${raw_path}, ${query}, ${query.NAME}, \
    ${header.NAME}, ${cookie.NAME}, ${host}, ${source_ip}, ${request_id}, ${body}, ${body_json}, \
    ${body_base64}";

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A placeholder that is unknown or not closed.
    pub fn parse(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => {
                let mut pieces = pieces(text)?;
                match (pieces.pop(), pieces.is_empty()) {
                    (Some(Piece::Placeholder(only)), true) => Self::Value(only),
                    (Some(Piece::Literal(only)), true) => {
                        Self::Literal(json::compact(&Value::String(only)).into_bytes())
                    }
                    (None, _) => Self::Literal(b"\"\"".to_vec()),
                    (Some(last), false) => {
                        pieces.push(last);
                        Self::Text(pieces)
                    }
                }
            }
            Value::Array(items) => {
                Self::Array(items.iter().map(Self::parse).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let members = members.iter();
                let read = |(key, value): (&String, &Value)| Ok((key.clone(), Self::parse(value)?));
                Self::Object(members.map(read).collect::<Result<_, String>>()?)
            }
            literal => Self::Literal(json::compact(literal).into_bytes()),
        })
    }

    /// The event for a request.
    pub(super) fn write(&self, json: &mut JsonWriter, request: &Request<'_>) {
        match self {
            Self::Literal(literal) => json.raw(literal),
            Self::Value(Placeholder::BodyJson) => json.raw(body_json(request)),
            Self::Value(Placeholder::BodyBase64) => json.base64(request.body),
            Self::Value(placeholder) => match placeholder.of(request) {
                Some(value) => json.string(&value),
                None => json.null(),
            },
            Self::Text(pieces) => {
                let filled: Vec<Cow<'_, str>> = pieces.iter().map(|p| p.of(request)).collect();
                json.pieces(filled.iter().map(AsRef::as_ref));
            }
            Self::Array(items) => json.array(|json| {
                for item in items {
                    item.write(json, request);
                }
            }),
            Self::Object(members) => json.object(|json| {
                for (key, value) in members {
                    value.write(json.name(key), request);
                }
            }),
        }
    }
}

impl Piece {
    fn of<'a>(&'a self, request: &'a Request<'_>) -> Cow<'a, str> {
        match self {
            Self::Literal(literal) => Cow::Borrowed(literal),
            Self::Placeholder(placeholder) => placeholder.of(request).unwrap_or_default(),
        }
    }
}

impl Placeholder {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "method" => Self::Method,
            "path" => Self::Path,
            "raw_path" => Self::RawPath,
            "query" => Self::Query,
            "host" => Self::Host,
            "source_ip" => Self::SourceIp,
            "request_id" => Self::RequestId,
            "body" => Self::Body,
            "body_json" => Self::BodyJson,
            "body_base64" => Self::BodyBase64,
            _ => match name.split_once('.')? {
                (_, "") => return None,
                ("query", key) => Self::QueryValue(key.to_owned()),
                ("header", key) => Self::Header(key.to_ascii_lowercase()),
                ("cookie", key) => Self::Cookie(key.to_owned()),
                _ => return None,
            },
        })
    }

    fn of<'a>(&self, request: &'a Request<'_>) -> Option<Cow<'a, str>> {
        Some(match self {
            Self::Method => Cow::Borrowed(&*request.method),
            Self::Path => percent_decoded(request.path),
            Self::RawPath => text(request.path),
            Self::Query => text(request.query.unwrap_or_default()),
            Self::QueryValue(key) => {
                let query = Query::decoded(request.query);
                joined(query.values(key).map(Cow::Borrowed), ",")?.into()
            }
            Self::Header(name) if name == "host" => Cow::Borrowed(&*request.authority),
            Self::Header(name) => {
                let values = request.headers.iter().filter(|(key, _)| key == name);
                let separator = if name == "cookie" { "; " } else { "," };
                joined(values.map(|(_, value)| text(value)), separator)?.into()
            }
            Self::Cookie(name) => request.cookies().find_map(|cookie| {
                let value = cookie.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
                Some(text(value))
            })?,
            Self::Host => Cow::Borrowed(&*request.authority),
            Self::SourceIp => Cow::Borrowed(&request.facts.source_ip),
            Self::RequestId => Cow::Borrowed(&request.facts.request_id),
            Self::Body => text(request.body),
            Self::BodyJson => text(body_json(request)),
            Self::BodyBase64 => STANDARD.encode(request.body).into(),
        })
    }
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

/// Literals and placeholders in turn. `$${` is a literal `${`.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            literal.push_str(before);
            literal.push_str("${");
            rest = after;
            continue;
        }
        literal.push_str(before);
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| format!("a placeholder is not closed in \"{text}\""))?;
        let placeholder = Placeholder::parse(name)
            .ok_or_else(|| format!("unknown placeholder ${{{name}}}; there are {PLACEHOLDERS}"))?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Placeholder(placeholder));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Facts, HeaderMap};
    use serde_json::json;

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
        let facts = Facts {
            source_ip: "198.51.100.23".to_owned(),
            request_id: "id-1".to_owned(),
            ..Facts::default()
        };
        let request = Request::new(&map, None, &facts, body).unwrap();
        let mut json = JsonWriter::with_capacity(0);
        Template::parse(template)
            .unwrap()
            .write(&mut json, &request);
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

    #[test]
    fn a_wrong_placeholder_is_refused_by_name() {
        for (text, part) in [
            (
                "${metod}",
                "unknown placeholder ${metod}; there are ${method}, ",
            ),
            ("${query.}", "unknown placeholder ${query.}"),
            ("${path", "not closed in \"${path\""),
        ] {
            let error = Template::parse(&json!({ "a": [text] })).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
