//! The event of Envoy's own `envoy.filters.http.aws_lambda`, without `payload_passthrough`.
//!
//! Source: that filter's code, `aws_lambda_filter.cc`. It differs from its documentation in two points:
//! the first of repeated query values counts, and a body without a content type is binary.

use super::body::{Body, is_exactly_textual};
use super::headers::{Added, ContentLength, Headers, Rules};
use super::query::Query;
use crate::config::Config;
use crate::encoding::json_writer::JsonWriter;
use crate::request::Request;

/// `Host` is a pseudo-header in Envoy, and the filter leaves those out.
const ENVOY: Rules = Rules {
    dropped: &[],
    content_length: ContentLength::WithBody,
    added: &[],
};

pub(super) fn write(json: &mut JsonWriter, request: &Request<'_>, config: &Config) {
    let added = Added::new(request);
    let headers = Headers::new(request, &added, ENVOY);
    let body = Body::new(request, config, is_exactly_textual);
    json.object(|json| {
        json.key("raw_path").string(&request.target());
        json.key("method").string(&request.method);
        headers.joined(json.key("headers"), config.header_case, ",");
        Query::raw(request.query).first(json.key("query_string_parameters"));
        body.write(json.key("body"), |json| json.string(""));
        json.key("is_base64_encoded").boolean(body.is_base64());
    });
}
