//! The Invoke API's headers.

use hyper::header::{CONNECTION, HeaderMap, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};

/// A whole invocation, added by the filter to a request without a body: Envoy lets no filter give it
/// one.
pub(crate) const INVOCATION: HeaderName = HeaderName::from_static("x-lambda-mesh-invocation");
/// How long the caller's Envoy waits, in milliseconds.
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("x-amz-client-context");
pub(crate) const DURABLE_EXECUTION_NAME: HeaderName =
    HeaderName::from_static("x-amz-durable-execution-name");
pub(crate) const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
pub(crate) const LOG_TYPE: HeaderName = HeaderName::from_static("x-amz-log-type");
pub(crate) const TENANT_ID: HeaderName = HeaderName::from_static("x-amz-tenant-id");
pub(crate) const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
pub(crate) const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");
pub(crate) const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
pub(crate) const LOG_RESULT: HeaderName = HeaderName::from_static("x-amz-log-result");
/// The media type that a function gave its streamed answer, which the Invoke API itself has no
/// place for. A Function URL sends it to the client.
pub(crate) const FUNCTION_CONTENT_TYPE: HeaderName =
    HeaderName::from_static("x-lambda-mesh-function-content-type");

/// Headers that concern one connection only (RFC 9110, section 7.6.1).
static HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what concerns the connection on which the headers came.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}
