//! The headers of the Invoke API, as [`HeaderName`]s.

use hyper::header::{CONNECTION, HeaderMap, HeaderName};
use lambda_api::headers;

pub(crate) const INVOCATION: HeaderName = HeaderName::from_static(headers::INVOCATION);
pub(crate) const CLIENT_REQUEST: HeaderName = HeaderName::from_static(headers::CLIENT_REQUEST);
pub(crate) const SECRET: HeaderName = HeaderName::from_static(headers::SECRET);
pub(crate) const ENVOY_TIMEOUT_MS: HeaderName = HeaderName::from_static(headers::ENVOY_TIMEOUT_MS);
pub(crate) const ENVOY_REQUEST_ID: HeaderName = HeaderName::from_static(headers::ENVOY_REQUEST_ID);
pub(crate) const CLIENT_CONTEXT: HeaderName = HeaderName::from_static(headers::CLIENT_CONTEXT);
pub(crate) const DURABLE_EXECUTION_NAME: HeaderName =
    HeaderName::from_static(headers::DURABLE_EXECUTION_NAME);
pub(crate) const INVOCATION_TYPE: HeaderName = HeaderName::from_static(headers::INVOCATION_TYPE);
pub(crate) const LOG_TYPE: HeaderName = HeaderName::from_static(headers::LOG_TYPE);
pub(crate) const TENANT_ID: HeaderName = HeaderName::from_static(headers::TENANT_ID);
pub(crate) const TRACE_ID: HeaderName = HeaderName::from_static(headers::TRACE_ID);
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static(headers::TRACEPARENT);
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static(headers::TRACESTATE);
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static(headers::REQUEST_ID);
pub(crate) const EXECUTED_VERSION: HeaderName = HeaderName::from_static(headers::EXECUTED_VERSION);
pub(crate) const FUNCTION_ERROR: HeaderName = HeaderName::from_static(headers::FUNCTION_ERROR);
pub(crate) const LOG_RESULT: HeaderName = HeaderName::from_static(headers::LOG_RESULT);
pub(crate) const ERROR_TYPE: HeaderName = HeaderName::from_static(headers::ERROR_TYPE);
pub(crate) const FUNCTION_CONTENT_TYPE: HeaderName =
    HeaderName::from_static(headers::FUNCTION_CONTENT_TYPE);

/// Removes the headers that apply only to the connection on which they arrived.
pub(crate) fn remove_hop_by_hop(map: &mut HeaderMap) {
    let named: Vec<HeaderName> = map
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        map.remove(name);
    }
    for name in headers::HOP_BY_HOP {
        map.remove(name);
    }
}
