//! Limits of AWS Lambda and of Envoy that several parts keep.

/// The largest payload of a synchronous invocation in bytes, in each direction.
///
/// This is 6 MB and what AWS allows on top. Source: the message of `RequestTooLargeException`, as
/// measured on AWS.
pub const MAX_PAYLOAD_BYTES: usize = 6_291_556;

/// The largest event of an asynchronous invocation in bytes.
///
/// Source: the Lambda API reference, *Invoke*: "1 MB for asynchronous invocations".
pub const MAX_ASYNC_EVENT_BYTES: usize = 1_048_576;

/// The largest streamed response in bytes: 200 MB.
///
/// Source: "Lambda quotas" in the AWS Lambda developer guide.
pub const MAX_STREAM_BYTES: usize = 200 * 1024 * 1024;

/// The largest event in the header [`headers::INVOCATION`](crate::headers::INVOCATION), in bytes.
///
/// Envoy accepts as many bytes of headers from a client by default
/// (`max_request_headers_kb: 60`), and its HTTP/2 codec can send as many in one header.
pub const MAX_HEADER_EVENT_BYTES: usize = 60 * 1024;

/// The largest value of the header [`headers::CLIENT_REQUEST`](crate::headers::CLIENT_REQUEST), in bytes.
///
/// With the event in a header and the client's own headers beside it, a request still has fewer bytes of headers than
/// the invoker accepts.
pub const MAX_CLIENT_REQUEST_BYTES: usize = 16 * 1024;

/// The largest headers of one response in bytes, names and values together.
///
/// Envoy accepts as many from an upstream by default (`max_response_headers_kb: 60`).
pub const MAX_RESPONSE_HEADER_BYTES: usize = 60 * 1024;

/// The largest number of headers that a filter can set at once.
///
/// Envoy accepts 1,024 and drops all of them if there are more. The rest is room for the headers
/// that Envoy adds itself.
pub const MAX_HEADERS: usize = 1_000;

/// The largest client context in bytes, base64-encoded.
///
/// Source: the Lambda API reference, *Invoke*, `ClientContext`.
pub const MAX_CLIENT_CONTEXT_BYTES: usize = 3_583;

/// The longest tenant id in bytes; all of its characters are ASCII.
///
/// Source: the Lambda API reference, *Invoke*, `TenantId`.
pub const MAX_TENANT_ID_BYTES: usize = 256;

/// The longest trace header in bytes that is passed on to a function.
///
/// The value reaches the function in a header of the Runtime API, and longer values have ended
/// runtimes.
pub const MAX_TRACE_ID_BYTES: usize = 512;

/// The longest `tracestate` in bytes that is passed on.
///
/// Source: W3C Trace Context, "tracestate Limits": "Vendors SHOULD propagate at least 512 characters of a
/// combined header."
pub const MAX_TRACE_STATE_BYTES: usize = 512;

/// The longest bare name of a function in bytes.
///
/// Source: the Lambda API reference, *Invoke*, `FunctionName`: "If you specify only the function
/// name, it is limited to 64 characters in length." No function has a longer name, since
/// `CreateFunction` has the same limit.
pub const MAX_NAME_BYTES: usize = 64;

/// The longest version or alias in bytes.
///
/// Source: the Lambda API reference, *Invoke*, `Qualifier`.
pub const MAX_QUALIFIER_BYTES: usize = 128;

/// The longest reference to a function in bytes: a name or an ARN with its qualifier.
///
/// Source: `NamespacedFunctionName` in botocore's `lambda/2015-03-31/service-2.json`.
pub const MAX_REFERENCE_BYTES: usize = 256;

/// The shortest secret between the filter and the invoker, in bytes: 128 bits in hexadecimal digits.
pub const MIN_SECRET_BYTES: usize = 32;

/// The longest secret between the filter and the invoker, in bytes.
pub const MAX_SECRET_BYTES: usize = 256;
