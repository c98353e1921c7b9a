//! The client's response in the place of the upstream's.

use super::host::{Host, Side};
use super::phase::{Attempt, BodyBuffer};
use crate::request::header_map::first;
use crate::request::{HeaderMap, trace_of};
use crate::response::http_response::has_content;
use crate::response::{HttpResponse, ids};

/// Returns whether the client waits for headers only.
pub(super) fn is_head(attempt: &Attempt) -> bool {
    first(&attempt.client_headers, ":method") == Some(b"HEAD")
}

/// Adds the ids of the invocation to the client's response, if `expose_ids` is true. `headers` are the
/// upstream's.
pub(super) fn add_ids(response: &mut HttpResponse, attempt: &Attempt, headers: &HeaderMap) {
    if attempt.config.expose_ids {
        let sent = trace_of(&attempt.client_headers, &attempt.attributes);
        ids::add(response, headers, sent.xray());
    }
}

/// Replaces the upstream's response with the client's. Without a body buffer, the response is sent without
/// its body: a local response with the body would escape the route's retry policy. `held` is the length of a
/// body that the host holds already.
pub(super) fn send_whole(
    host: &impl Host,
    response: &HttpResponse,
    is_head: bool,
    buffer: BodyBuffer,
    held: Option<usize>,
) {
    let buffer = match host.capabilities().makes_bodies {
        true => BodyBuffer::Present,
        false => buffer,
    };
    let content = match buffer {
        BodyBuffer::Present => response.body.as_slice(),
        BodyBuffer::Missing => b"",
    };
    let length = match is_head && content.is_empty() {
        true => 0,
        false => held.unwrap_or(content.len()),
    };
    let length = content_length(response, length, is_head);
    let status = response.status.to_string();
    let length = length.map(|length| length.to_string());
    let mut headers: Vec<(&str, &[u8])> = vec![(":status", status.as_bytes())];
    for (name, value) in &response.headers {
        if buffer == BodyBuffer::Present || name != "content-type" {
            headers.push((name, value.as_bytes()));
        }
    }
    if let Some(length) = &length {
        headers.push(("content-length", length.as_bytes()));
    }
    host.set_headers(Side::Response, headers);
    if buffer == BodyBuffer::Present {
        match !is_head && has_content(response.status) {
            true if held.is_some() => {}
            true => host.set_body(Side::Response, content),
            false => host.set_body(Side::Response, b""),
        }
    }
}

/// Returns the `content-length` of a response whose content has this length.
pub(crate) fn content_length(response: &HttpResponse, length: usize, is_head: bool) -> Option<u64> {
    match response.status {
        204 | 304 => None,
        // The length for GET. It is unknown if the function leaves out the body and gives no length.
        _ if is_head && length == 0 => response.declared_length,
        _ => Some(length as u64),
    }
}

/// Replaces the upstream's response with the beginning of the client's, whose length is unknown.
pub(super) fn send_beginning(host: &impl Host, response: &HttpResponse) {
    let status = response.status.to_string();
    let headers = response.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    let headers = [(":status", status.as_bytes())].into_iter().chain(headers);
    host.set_headers(Side::Response, headers.collect());
    host.set_body(Side::Response, &response.body);
}
