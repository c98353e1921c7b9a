//! The ids of an invocation, as REST APIs and Function URLs name them to clients.
//!
//! Source: responses recorded on AWS, in which `x-amzn-requestid` is the id in the function's log.

use lambda_api::headers::{REQUEST_ID, TRACE_ID};
use lambda_api::trace;

use super::http_response::HttpResponse;
use crate::request::HeaderMap;
use crate::request::header_map::{first, text};

/// Adds the ids in the upstream's headers. A trace that the upstream does not name is `sent_trace_id`,
/// and a request id that it does not name is left out. The function's own headers of these names give
/// way, as on AWS.
pub(crate) fn add(response: &mut HttpResponse, upstream: &HeaderMap, sent_trace_id: &str) {
    let headers = &mut response.headers;
    headers.retain(|(name, _)| ![REQUEST_ID, TRACE_ID].contains(&name.as_str()));
    // Both have the same form, which splits no header.
    let named = |name| first(upstream, name).filter(|value| trace::is_valid(value));
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            headers.push((name.to_owned(), value.to_owned()));
        }
    };
    add(REQUEST_ID, &text(named(REQUEST_ID).unwrap_or_default()));
    match named(TRACE_ID) {
        Some(trace_id) => add(TRACE_ID, &text(trace_id)),
        None => add(TRACE_ID, sent_trace_id),
    }
}
