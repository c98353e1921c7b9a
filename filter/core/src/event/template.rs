//! The event of the operator's own format: a template, filled from a request.

use std::borrow::Cow;

use super::body::media_type;
use super::query::{Query, percent_decoded};
use crate::config::template::{OtherBody, Piece, Placeholder, Template};
use crate::encoding::json_writer::JsonWriter;
use crate::encoding::{base64, json};
use crate::error::Error;
use crate::request::Request;
use crate::request::header_map::text;

/// Writes the event for a request.
///
/// # Errors
/// [`Error::NotJson`] and [`Error::NotForm`] if the body is in another form than the template asks for.
pub(super) fn write(
    template: &Template,
    json: &mut JsonWriter,
    request: &Request<'_>,
) -> Result<(), Error> {
    let body = ParsedBody::new(template, request)?;
    fill(template, json, request, &body);
    Ok(())
}

/// The body in the forms that a template asks for; `None` where it is in another one, or there is none.
struct ParsedBody<'a> {
    json: Option<&'a [u8]>,
    form: Option<Query<'a>>,
    is_form: bool,
}

impl<'a> ParsedBody<'a> {
    fn new(template: &Template, request: &Request<'a>) -> Result<Self, Error> {
        let (mut other_than_json, mut other_than_form) = (None, None);
        let is_form = media_type(request) == FORM;
        template.each_placeholder(&mut |placeholder| match placeholder {
            Placeholder::BodyJson(other) => other_than_json = other_than_json.max(Some(*other)),
            Placeholder::BodyForm(other) => other_than_form = other_than_form.max(Some(*other)),
            Placeholder::BodyParsed if is_form => {
                other_than_form = other_than_form.max(Some(OtherBody::Refused));
            }
            Placeholder::BodyParsed => other_than_json = Some(OtherBody::Refused),
            _ => {}
        });
        let body = request.body.trim_ascii();
        let json = match other_than_json {
            Some(other) if !body.is_empty() => match json::check(body) {
                Ok(()) => Some(body),
                Err(error) if other == OtherBody::Refused => {
                    return Err(Error::NotJson(error.to_string()));
                }
                Err(_) => None,
            },
            _ => None,
        };
        let form = match other_than_form {
            Some(_) if is_form => Some(Query::decoded(Some(request.body))),
            Some(OtherBody::Refused) if !request.body.is_empty() => return Err(Error::NotForm),
            _ => None,
        };
        Ok(Self {
            json,
            form,
            is_form,
        })
    }

    /// Writes the form, or null.
    fn write_form(&self, json: &mut JsonWriter) {
        match &self.form {
            Some(form) => form.fields(json),
            None => json.null(),
        }
    }
}

/// The media type of a form. That of files, `multipart/form-data`, is not read.
const FORM: &str = "application/x-www-form-urlencoded";

fn fill(template: &Template, json: &mut JsonWriter, request: &Request<'_>, body: &ParsedBody<'_>) {
    match template {
        Template::Literal(literal) => json.raw(literal),
        Template::Value(Placeholder::BodyParsed) if body.is_form => body.write_form(json),
        Template::Value(Placeholder::BodyJson(_) | Placeholder::BodyParsed) => {
            json.raw(body.json.unwrap_or(b"null"));
        }
        Template::Value(Placeholder::BodyForm(_)) => body.write_form(json),
        Template::Value(Placeholder::BodyBase64) if !request.body.is_empty() => {
            json.base64(request.body);
        }
        Template::Value(placeholder) => match value(placeholder, request, body) {
            Some(value) => json.string(&value),
            None => json.null(),
        },
        Template::Text(pieces) => {
            let pieces = pieces.iter().map(|piece| text_of(piece, request, body));
            let filled: Vec<Cow<'_, str>> = pieces.collect();
            json.pieces(filled.iter().map(AsRef::as_ref));
        }
        Template::Array(items) => json.array(|json| {
            for item in items {
                fill(item, json, request, body);
            }
        }),
        Template::Object(members) => json.object(|json| {
            for (key, value) in members {
                fill(value, json.name(key), request, body);
            }
        }),
    }
}

fn text_of<'a>(
    piece: &'a Piece,
    request: &'a Request<'_>,
    body: &'a ParsedBody<'_>,
) -> Cow<'a, str> {
    match piece {
        Piece::Literal(literal) => Cow::Borrowed(literal),
        Piece::Placeholder(placeholder) => value(placeholder, request, body).unwrap_or_default(),
    }
}

/// Returns the part of the request for which a placeholder stands, if the request has it.
fn value<'a>(
    placeholder: &Placeholder,
    request: &'a Request<'_>,
    body: &'a ParsedBody<'_>,
) -> Option<Cow<'a, str>> {
    Some(match placeholder {
        Placeholder::Method => Cow::Borrowed(&*request.method),
        Placeholder::Path => percent_decoded(request.path),
        Placeholder::RawPath => text(request.path),
        Placeholder::RawPathAndQuery => request.target().into(),
        Placeholder::Query => text(request.query?),
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
        Placeholder::Body | Placeholder::BodyBase64 if request.body.is_empty() => return None,
        Placeholder::Body => text(request.body),
        Placeholder::BodyParsed if !body.is_form => text(body.json?),
        Placeholder::BodyJson(_) => text(body.json?),
        Placeholder::BodyForm(_) | Placeholder::BodyParsed => {
            let mut json = JsonWriter::with_capacity(request.body.len());
            body.form.as_ref()?.fields(&mut json);
            String::from_utf8(json.into_bytes()).ok()?.into()
        }
        Placeholder::BodyBase64 => {
            let mut text = Vec::new();
            base64::encode(&mut text, request.body);
            String::from_utf8(text).ok()?.into()
        }
    })
}

fn joined<'a>(values: impl Iterator<Item = Cow<'a, str>>, separator: &str) -> Option<String> {
    let values: Vec<Cow<'a, str>> = values.collect();
    (!values.is_empty()).then(|| values.join(separator))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{HeaderMap, RequestAttributes};
    use serde_json::{Value, json};

    fn event(
        template: &Value,
        target: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Value, Error> {
        let map: HeaderMap = [
            (":method", "POST"),
            (":path", target),
            (":authority", "app.example.com:8080"),
            ("cookie", "a=1; session=s%3D"),
            ("x-tag", "one"),
            ("x-tag", "two"),
            ("content-type", content_type),
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
        write(&Template::parse(template).unwrap(), &mut json, &request)?;
        Ok(serde_json::from_slice(&json.into_bytes()).unwrap())
    }

    fn filled(template: &Value, body: &[u8]) -> Value {
        event(template, "/users/a%20b?q=1+2&q=3", "", body).unwrap()
    }

    /// The example in docs/formats.md. The value of `LARAVEL_ROUTE` is parsed as a URI.
    #[test]
    fn the_laravel_case() {
        let template = json!({
            "LARAVEL_ROUTE": "${raw_path_and_query}",
            "LARAVEL_ROUTE_METHOD": "${method}",
            "LARAVEL_REQUEST_BODY": "${body_parsed}",
        });
        for (target, body, parsed) in [
            (
                "/api/orders/a%3Fname=x",
                &br#" {"a":[1,2.50]} "#[..],
                json!({ "a": [1, 2.50] }),
            ),
            ("/api/orders?page=2", b"", Value::Null),
            ("/api/orders?", b"\n", Value::Null),
        ] {
            assert_eq!(
                event(&template, target, "application/json", body).unwrap(),
                json!({
                    "LARAVEL_ROUTE": target,
                    "LARAVEL_ROUTE_METHOD": "POST",
                    "LARAVEL_REQUEST_BODY": parsed,
                })
            );
        }
    }

    #[test]
    fn a_body_in_another_form_is_refused_unless_the_template_says_otherwise() {
        const JSON: &str = "application/json";
        for (placeholder, content_type, body, expected) in [
            ("${body_json}", FORM, "a=1", None),
            ("x ${body_json}", JSON, "{", None),
            ("${body_json}", JSON, "{} {}", None),
            ("${body_json}", FORM, "1", Some(json!(1))),
            ("${body_json?}", FORM, "a=1", Some(Value::Null)),
            ("x ${body_json?}", FORM, "a=1", Some(json!("x "))),
            ("${body_json?}", "", "[]", Some(json!([]))),
            ("${body_form}", JSON, "{}", None),
            ("${body_form}", "", "a=1", None),
            (
                "${body_form}",
                "multipart/form-data; boundary=x",
                "--x",
                None,
            ),
            ("${body_form}", "", "", Some(Value::Null)),
            ("${body_form}", FORM, "", Some(json!({}))),
            ("${body_form?}", JSON, "{}", Some(Value::Null)),
            ("x ${body_form}", FORM, "a=1", Some(json!(r#"x {"a":"1"}"#))),
            ("${body_parsed}", FORM, "a=1", Some(json!({ "a": "1" }))),
            ("${body_parsed}", JSON, "[1]", Some(json!([1]))),
            ("${body_parsed}", "", "[1]", Some(json!([1]))),
            ("${body_parsed}", JSON, "", Some(Value::Null)),
            ("${body_parsed}", JSON, "{", None),
            ("${body_parsed}", "", "a=1", None),
            (
                "x ${body_parsed}",
                FORM,
                "a=1",
                Some(json!(r#"x {"a":"1"}"#)),
            ),
            ("x ${body_parsed}", JSON, "{ }", Some(json!("x { }"))),
        ] {
            let found = event(&json!([placeholder]), "/", content_type, body.as_bytes());
            let found = found.map(|event| event[0].clone());
            assert_eq!(found.ok(), expected, "{placeholder} {content_type} {body}");
        }
        let both = json!({ "json": "${body_json?}", "form": "${body_form?}" });
        assert_eq!(
            event(&both, "/", FORM, b"a=1").unwrap(),
            json!({ "json": null, "form": { "a": "1" } })
        );
        assert_eq!(
            event(&both, "/", JSON, b"{}").unwrap(),
            json!({ "json": {}, "form": null })
        );
    }

    #[test]
    fn a_form_is_an_object_of_texts_and_of_lists_where_a_key_is_repeated() {
        let content_type = "Application/X-WWW-Form-URLEncoded; charset=UTF-8";
        let form = event(
            &json!("${body_form}"),
            "/",
            content_type,
            b"b=x+y&a[]=1&a[]=%C3%BC&flag&%3D=%26",
        );
        assert_eq!(
            form.unwrap(),
            json!({ "b": "x y", "a[]": ["1", "\u{fc}"], "flag": "", "=": "&" })
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
            "${body_json?}",
            "${body_form?}",
            "${body_base64}",
            "${raw_path_and_query}",
            "${path}",
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
                null,
                "/wA=",
                "/users/a%20b?q=1+2&q=3",
                "/users/a b",
            ])
        );
    }

    #[test]
    fn a_part_that_the_request_does_not_have_is_null_or_empty_within_text() {
        for placeholder in ["${query}", "${body}", "${body_json}", "${body_base64}"] {
            let template = json!([placeholder, format!("<{placeholder}>")]);
            let event = event(&template, "/", "", b"").unwrap();
            assert_eq!(event, json!([null, "<>"]), "{placeholder}");
        }
        let query = event(&json!("${query}"), "/?", "", b"").unwrap();
        assert_eq!(query, json!(""));
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
