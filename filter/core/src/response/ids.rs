//! The ids of an invocation, as REST APIs and Function URLs name them to clients.
//!
//! Source: responses recorded on AWS, in which `x-amzn-requestid` is the id in the function's log.

use lambda_api::headers::{REQUEST_ID, TRACE_ID};
use lambda_api::trace;

use super::http_response::HttpResponse;
use crate::request::HeaderMap;
use crate::request::header_map::first;

/// Adds the ids in the upstream's headers. A trace that the upstream does not name is `sent_trace_id`,
/// and a request id that it does not name is left out. The function's own headers of these names give
/// way, as on AWS.
pub(crate) fn add(response: &mut HttpResponse, upstream: &HeaderMap, sent_trace_id: &str) {
    for (name, default) in [(REQUEST_ID, ""), (TRACE_ID, sent_trace_id)] {
        response.headers.retain(|(known, _)| known != name);
        // Both ids have the form of a trace, which splits no header.
        let value = first(upstream, name).filter(|value| trace::is_valid(value));
        let value = value.and_then(|value| std::str::from_utf8(value).ok());
        let value = value.unwrap_or(default);
        if !value.is_empty() {
            response.headers.push((name.to_owned(), value.to_owned()));
        }
    }
}
