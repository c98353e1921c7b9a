//! The request that leaves Envoy: *Invoke*, with nothing of the client's but its trace.

use crate::config::{Config, Invocation};
use crate::request::Request;

/// How long Envoy waits for the answer, in milliseconds, as its router says to every upstream.
pub const TIMEOUT: &str = "x-envoy-expected-rq-timeout-ms";

/// The headers of the invocation, with its pseudo-headers. `timeout` is the value of [`TIMEOUT`].
///
/// Once the client's own headers are in the event, the upstream gets none of them: neither
/// credentials nor anything that the Invoke API could take for an instruction.
#[must_use]
pub fn headers(
    request: &Request<'_>,
    scheme: &[u8],
    config: &Config,
    event_bytes: usize,
    timeout: Option<&[u8]>,
) -> Vec<(&'static str, Vec<u8>)> {
    let function = &config.function;
    let qualifier = config.qualifier.as_ref();
    let (path, invocation_type) = match config.invocation {
        Invocation::RequestResponse => (function.invoke_path(qualifier), "RequestResponse"),
        Invocation::Event => (function.invoke_path(qualifier), "Event"),
        Invocation::ResponseStream => (function.stream_path(qualifier), "RequestResponse"),
    };
    let mut headers = vec![
        (":method", b"POST".to_vec()),
        (":scheme", scheme.to_vec()),
        (":authority", request.authority.as_bytes().to_vec()),
        (":path", path.into_bytes()),
        ("content-type", b"application/json".to_vec()),
        ("content-length", event_bytes.to_string().into_bytes()),
        ("x-amz-invocation-type", invocation_type.into()),
        ("x-amzn-trace-id", request.trace_id().as_bytes().to_vec()),
    ];
    if let Some(id) = request.header("x-request-id") {
        headers.push(("x-request-id", id.to_vec()));
    }
    // The invoker gives up when Envoy does.
    if let Some(timeout) = timeout {
        headers.push((TIMEOUT, timeout.to_vec()));
    }
    headers
}
