//! A payload without the text of its body, which is most of a payload. The text is read in one pass, before the parser
//! sees the rest. The parser would read it twice: to find its end, and to remove its escapes.

use super::decode_payload::decode_payload;
use super::http_response::HttpResponse;
use super::invoke_response::InvokeResponse;
use super::payload::FunctionPayload;
use crate::config::Config;
use crate::encoding::{base64, json_string};
use crate::request::HeaderMap;

/// The largest number of bytes in front of a body, and behind it.
pub(super) const MAX_OTHER_BYTES: usize = 16 * 1024;

/// The text of a body in the place of the one that was read: [`PLACEHOLDER_BYTES`] in base64.
const PLACEHOLDER: &[u8] = b"AAAA";

const PLACEHOLDER_BYTES: &[u8] = &[0; 3];

/// The encoding of a body in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEncoding {
    Text,
    Base64,
}

/// Returns what is in front of the text of a payload's body, with its quotation mark, and what comes then.
pub(super) fn split(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    const NAME: &[u8] = b"\"body\"";
    let beginning = payload.get(..MAX_OTHER_BYTES).unwrap_or(payload);
    let name = beginning
        .windows(NAME.len())
        .position(|place| place == NAME)?;
    let value = payload.get(name + NAME.len()..)?.trim_ascii_start();
    let value = value.strip_prefix(b":")?.trim_ascii_start();
    let text = value.strip_prefix(b"\"")?;
    Some((payload.get(..payload.len() - text.len())?, text))
}

/// Returns whether a part of a payload may have a status. Without one, it is often something else than a response.
pub(super) fn has_status(part: &[u8]) -> bool {
    const NAME: &[u8] = b"\"status";
    part.windows(NAME.len()).any(|place| place == NAME)
}

/// Decodes a payload whose body is a text, perhaps in base64. Returns `None` if it is anything else.
pub(super) fn decode_body(invoked: &InvokeResponse<'_>, config: &Config) -> Option<HttpResponse> {
    let (head, text) = split(invoked.body)?;
    let (text, tail) = json_string::read(text)?;
    // An empty body is not like others.
    if text.is_empty() || tail.len() > MAX_OTHER_BYTES || !(has_status(head) || has_status(tail)) {
        return None;
    }
    let (response, encoding) = decode(head, tail, invoked.headers, config)?;
    let body = match encoding {
        BodyEncoding::Text => text.into_owned(),
        BodyEncoding::Base64 => base64::decode(&text).ok()?,
    };
    Some(HttpResponse { body, ..response })
}

/// Decodes a payload with a placeholder between its head and its tail. Returns the response, which has the
/// placeholder as its body, and the encoding of that. Returns `None` if the payload is no response, or if its body is
/// elsewhere.
pub(super) fn decode(
    head: &[u8],
    tail: &[u8],
    headers: &HeaderMap,
    config: &Config,
) -> Option<(HttpResponse, BodyEncoding)> {
    let body = &[head, PLACEHOLDER, tail].concat();
    let payload = FunctionPayload::parse(body).ok()?;
    let FunctionPayload::Object(members) = &payload else {
        return None;
    };
    let place = members.body?.as_ptr().addr();
    if place.checked_sub(body.as_ptr().addr())? + 1 != head.len() {
        return None;
    }
    let invoked = InvokeResponse { headers, body };
    let response = decode_payload(Ok(payload), &invoked, config).ok()?;
    let encoding = match &*response.body {
        PLACEHOLDER => BodyEncoding::Text,
        PLACEHOLDER_BYTES => BodyEncoding::Base64,
        _ => return None,
    };
    Some((response, encoding))
}
