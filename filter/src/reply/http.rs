//! The answer of a function behind an API Gateway HTTP API, payload format 2.0.
//!
//! Source: the API Gateway developer guide, *Create AWS Lambda proxy integrations for HTTP
//! APIs*, "Lambda function response for format 2.0", and responses recorded on AWS.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Reply;
use super::payload::{Answer, Members, Node};
use crate::error::Error;
use crate::request::{is_envoys, is_hop_by_hop};

/// Padding is optional: some encoders leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The response that an answer describes. An answer without `statusCode` is itself the body.
pub fn decode(answer: Answer<'_>, payload: &[u8]) -> Result<Reply, Error> {
    let inferred = |body: Vec<u8>| {
        Ok(Reply {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body,
        })
    };
    match answer {
        Answer::Members(Members {
            status_code: Some(status),
            headers,
            cookies,
            body,
            is_base64_encoded,
            ..
        }) => {
            let mut reply = Reply {
                status: status_of(&status)?,
                headers: Vec::new(),
                body: body_of(body, is_base64_encoded.as_ref())?,
            };
            add_headers(&mut reply, headers)?;
            add_cookies(&mut reply, cookies)?;
            let typed = reply.headers.iter().any(|(name, _)| name == "content-type");
            if !typed && !reply.body.is_empty() {
                let default = "text/plain; charset=utf-8".to_owned();
                reply.headers.push(("content-type".to_owned(), default));
            }
            Ok(reply)
        }
        Answer::Text(text) => inferred(text.into_owned().into_bytes()),
        Answer::Members(_) | Answer::Other => inferred(payload.to_vec()),
    }
}

fn invalid<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Answer(what.into()))
}

/// An integer or a numeric string. 1xx would not end the exchange, so it is no answer.
fn status_of(node: &Node<'_>) -> Result<u16, Error> {
    let status = match node {
        Node::Integer(status) => u16::try_from(*status).ok(),
        Node::Text(text) => text.parse().ok(),
        _ => None,
    };
    match status {
        Some(status @ 200..=599) => Ok(status),
        _ => invalid("`statusCode` is not a whole number from 200 to 599"),
    }
}

fn body_of(body: Option<Node<'_>>, is_base64: Option<&Node<'_>>) -> Result<Vec<u8>, Error> {
    let text = match body {
        None | Some(Node::Null) => Cow::Borrowed(""),
        Some(Node::Text(text)) => text,
        Some(_) => return invalid("`body` is not a string"),
    };
    match is_base64 {
        None | Some(Node::Null | Node::Bool(false)) => Ok(text.into_owned().into_bytes()),
        Some(Node::Bool(true)) => match BASE64.decode(text.as_bytes()) {
            Ok(bytes) => Ok(bytes),
            Err(error) => invalid(format!("`body` is not base64: {error}")),
        },
        Some(_) => invalid("`isBase64Encoded` is neither true nor false"),
    }
}

fn add_headers(reply: &mut Reply, headers: Option<Node<'_>>) -> Result<(), Error> {
    let headers = match headers {
        None | Some(Node::Null) => return Ok(()),
        Some(Node::Object(headers)) => headers,
        Some(_) => return invalid("`headers` is not an object"),
    };
    for (name, value) in headers {
        match value {
            Node::Array(values) => {
                for value in &values {
                    add_header(reply, &name, value)?;
                }
            }
            value => add_header(reply, &name, &value)?,
        }
    }
    Ok(())
}

fn add_cookies(reply: &mut Reply, cookies: Option<Node<'_>>) -> Result<(), Error> {
    match cookies {
        None | Some(Node::Null) => Ok(()),
        Some(Node::Array(cookies)) => {
            let mut cookies = cookies.iter();
            cookies.try_for_each(|cookie| add_header(reply, "set-cookie", cookie))
        }
        Some(_) => invalid("`cookies` is not an array"),
    }
}

/// Adds one header, unless it is one that a function has no say in: about the connection, about
/// the length, or to Envoy. One that could split the response makes the whole answer invalid.
fn add_header(reply: &mut Reply, name: &str, value: &Node<'_>) -> Result<(), Error> {
    let value = match value {
        Node::Text(text) => Cow::Borrowed(text.as_ref()),
        Node::Integer(number) => number.to_string().into(),
        Node::Float(number) => number.to_string().into(),
        Node::Bool(flag) => flag.to_string().into(),
        Node::Null => return Ok(()),
        Node::Array(_) | Node::Object(_) => {
            return invalid(format!("the value of the header `{name}` is not a string"));
        }
    };
    if name.is_empty() || !name.bytes().all(is_token) {
        return invalid(format!("a header is named {name:?}"));
    }
    let value = value.trim_matches([' ', '\t']);
    if value
        .bytes()
        .any(|byte| byte == 0x7f || (byte < 0x20 && byte != b'\t'))
    {
        return invalid(format!(
            "the value of the header `{name}` has a control character"
        ));
    }
    let name = name.to_ascii_lowercase();
    if name != "content-length" && !is_hop_by_hop(&name) && !is_envoys(&name) {
        reply.headers.push((name, value.to_owned()));
    }
    Ok(())
}

/// A character of a `token`: RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
