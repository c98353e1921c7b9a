//! Templates of the operator's own events: JSON in which `${...}` stands for a part of the request.

use serde_json::Value;

use super::value_error::ValueError;
use crate::encoding::json_writer;

/// A template of an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Template {
    /// JSON without placeholders.
    Literal(Vec<u8>),
    /// A string that is a single placeholder, whose value keeps its type.
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
pub(crate) enum Piece {
    /// Text.
    Literal(String),
    /// A part of the request, and nothing if the request does not have it.
    Placeholder(Placeholder),
}

/// A part of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placeholder {
    /// `${method}`
    Method,
    /// `${path}`, decoded
    Path,
    /// `${raw_path}`, as sent
    RawPath,
    /// `${raw_path_and_query}`, as sent, with `?` if there is a query
    RawPathAndQuery,
    /// `${query}`, as sent, without `?`
    Query,
    /// `${query.NAME}`, decoded, with repeated values joined by `,`
    QueryValue(String),
    /// `${header.NAME}`, with repeated values joined by `,`
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
    /// `${body_json}`, as JSON
    BodyJson(OtherBody),
    /// `${body_form}`, as a JSON object
    BodyForm(OtherBody),
    /// `${body_parsed}`, a form as `${body_form}` and everything else as `${body_json}`
    BodyParsed,
    /// `${body_base64}`
    BodyBase64,
}

/// The treatment of a body in another form than a placeholder needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OtherBody {
    /// The placeholder is null: `${body_json?}`.
    Null,
    /// The request is refused.
    Refused,
}

/// All placeholders, for error messages.
const PLACEHOLDERS: &str = "${method}, ${path}, ${raw_path}, ${raw_path_and_query}, ${query}, \
    ${query.NAME}, ${header.NAME}, ${cookie.NAME}, ${host}, ${source_ip}, ${request_id}, ${body}, \
    ${body_json}, ${body_json?}, ${body_form}, ${body_form?}, ${body_parsed}, ${body_base64}";

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A placeholder that is unknown or not closed.
    pub(crate) fn parse(value: &Value) -> Result<Self, ValueError> {
        Ok(match value {
            Value::String(text) => {
                let mut pieces = pieces(text)?;
                match (pieces.pop(), pieces.is_empty()) {
                    (Some(Piece::Placeholder(only)), true) => Self::Value(only),
                    (Some(Piece::Literal(only)), true) => {
                        Self::Literal(json_writer::to_text(&Value::String(only)).into_bytes())
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
                Self::Object(members.map(read).collect::<Result<_, ValueError>>()?)
            }
            literal => Self::Literal(json_writer::to_text(literal).into_bytes()),
        })
    }

    /// Calls `visit` with every placeholder.
    pub(crate) fn each_placeholder(&self, visit: &mut impl FnMut(&Placeholder)) {
        match self {
            Self::Literal(_) => {}
            Self::Value(placeholder) => visit(placeholder),
            Self::Text(pieces) => {
                for piece in pieces {
                    if let Piece::Placeholder(placeholder) = piece {
                        visit(placeholder);
                    }
                }
            }
            Self::Array(items) => items.iter().for_each(|item| item.each_placeholder(visit)),
            Self::Object(members) => {
                let values = members.iter().map(|(_, value)| value);
                values.for_each(|value| value.each_placeholder(visit));
            }
        }
    }
}

impl Placeholder {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "method" => Self::Method,
            "path" => Self::Path,
            "raw_path" => Self::RawPath,
            "raw_path_and_query" => Self::RawPathAndQuery,
            "query" => Self::Query,
            "host" => Self::Host,
            "source_ip" => Self::SourceIp,
            "request_id" => Self::RequestId,
            "body" => Self::Body,
            "body_json" => Self::BodyJson(OtherBody::Refused),
            "body_json?" => Self::BodyJson(OtherBody::Null),
            "body_form" => Self::BodyForm(OtherBody::Refused),
            "body_form?" => Self::BodyForm(OtherBody::Null),
            "body_parsed" => Self::BodyParsed,
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
}

/// Splits a text into literals and placeholders. `$${` is a literal `${`.
fn pieces(text: &str) -> Result<Vec<Piece>, ValueError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        rest = after;
        let Some(after) = after.strip_prefix('{') else {
            if let Some(after) = after.strip_prefix("${") {
                literal.push_str("${");
                rest = after;
            } else {
                literal.push('$');
            }
            continue;
        };
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| ValueError::OpenPlaceholder(text.to_owned()))?;
        let placeholder =
            Placeholder::parse(name).ok_or_else(|| ValueError::UnknownPlaceholder {
                name: name.to_owned(),
                known: PLACEHOLDERS,
            })?;
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
    use serde_json::json;

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
            let error = Template::parse(&json!({ "a": [text] }))
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
