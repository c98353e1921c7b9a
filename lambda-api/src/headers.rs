//! Names of the headers that pass between client, Envoy, invoker and AWS, in lower case.
//!
//! Each name can be given to `HeaderName::from_static` of the `http` crate.

/// Request: the [`InvocationType`](crate::InvocationType).
pub const INVOCATION_TYPE: &str = "x-amz-invocation-type";

/// Request: the [`LogType`](crate::LogType).
pub const LOG_TYPE: &str = "x-amz-log-type";

/// Request: the client context, JSON in base64, at most
/// [`MAX_CLIENT_CONTEXT_BYTES`](crate::limits::MAX_CLIENT_CONTEXT_BYTES).
pub const CLIENT_CONTEXT: &str = "x-amz-client-context";

/// Request: the tenant of a function that isolates tenants.
pub const TENANT_ID: &str = "x-amz-tenant-id";

/// Request: the name of a durable execution.
pub const DURABLE_EXECUTION_NAME: &str = "x-amz-durable-execution-name";

/// Response: present if the function failed, with the value [`UNHANDLED`].
pub const FUNCTION_ERROR: &str = "x-amz-function-error";

/// The value of [`FUNCTION_ERROR`] that Lambda sends.
pub const UNHANDLED: &str = "Unhandled";

/// Response: the last 4 KB of the function's log in base64.
pub const LOG_RESULT: &str = "x-amz-log-result";

/// Response: the version of the function that ran.
pub const EXECUTED_VERSION: &str = "x-amz-executed-version";

/// Response: the id of the invocation.
pub const REQUEST_ID: &str = "x-amzn-requestid";

/// Response: the type of a service error, to which AWS may append `:` and a namespace.
pub const ERROR_TYPE: &str = "x-amzn-errortype";

/// Both directions: the X-Ray trace; see [`trace`](crate::trace).
pub const TRACE_ID: &str = "x-amzn-trace-id";

/// Request: the place in a trace of W3C Trace Context; see [`trace`](crate::trace).
pub const TRACEPARENT: &str = "traceparent";

/// Request: what vendors add to a [`TRACEPARENT`]. It is passed on with it.
pub const TRACESTATE: &str = "tracestate";

/// Request from the filter to the invoker: an invocation with its event; see
/// [`invocation_header`](crate::invocation_header).
pub const INVOCATION: &str = "x-lambda-mesh-invocation";

/// Request from the filter to the invoker: the client's HTTP request, for the console; see
/// [`client_request`](crate::client_request).
pub const CLIENT_REQUEST: &str = "x-lambda-mesh-client-request";

/// Request from the filter to the invoker: the secret by which the invoker knows the filter.
pub const SECRET: &str = "x-lambda-mesh-secret";

/// The beginning of the names of headers between the filter and the invoker. A client has no say in
/// them.
pub const OWN_PREFIX: &str = "x-lambda-mesh-";

/// Response from the invoker to the filter: the media type that the function gave its streamed
/// response.
///
/// The Invoke API has no place for it, because `content-type` is that of the event stream.
pub const FUNCTION_CONTENT_TYPE: &str = "x-lambda-mesh-function-content-type";

/// Request from Envoy's router to every upstream: the time in milliseconds for which Envoy waits
/// for the response; `0` if it waits without a limit.
pub const ENVOY_TIMEOUT_MS: &str = "x-envoy-expected-rq-timeout-ms";

/// Request from Envoy: the id of the client's request.
pub const ENVOY_REQUEST_ID: &str = "x-request-id";

/// The headers of one hop: they concern the connection, not the message.
///
/// A message that is passed on also loses the headers that its own `connection` header names.
pub const HOP_BY_HOP: [&str; 8] = [
    // RFC 9110, section 7.6.1: the options of a connection.
    "connection",
    // RFC 9110, section 10.1.1: `100-continue` is settled between a client and the server that
    // reads the body.
    "expect",
    // RFC 2068, section 19.7.1.1: how long an HTTP/1.0 connection stays open.
    "keep-alive",
    // The form of `connection` that some HTTP/1.0 clients send to a proxy.
    "proxy-connection",
    // RFC 9110, section 10.1.4: the transfer codings that a client accepts.
    "te",
    // RFC 9110, section 6.6.2: the fields that follow a chunked body.
    "trailer",
    // RFC 9112, section 6.1: the framing of a body.
    "transfer-encoding",
    // RFC 9110, section 7.8: another protocol on the same connection.
    "upgrade",
];

/// Returns whether a header concerns one connection only; `name` is in lower case.
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_between_filter_and_invoker_begin_alike() {
        for name in [INVOCATION, CLIENT_REQUEST, SECRET, FUNCTION_CONTENT_TYPE] {
            assert!(name.starts_with(OWN_PREFIX), "{name}");
        }
    }

    #[test]
    fn headers_of_a_connection_are_hop_by_hop() {
        assert!(is_hop_by_hop("te"));
        assert!(is_hop_by_hop("transfer-encoding"));
        assert!(!is_hop_by_hop("content-length"));
        assert!(!is_hop_by_hop("trailers"));
    }
}
