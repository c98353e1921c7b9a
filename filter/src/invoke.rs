//! The request that leaves Envoy: *Invoke*, with nothing of the client's but its trace.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::config::{Config, Invocation};
use crate::error::Error;
use crate::request::Request;

/// How long Envoy waits for the answer, in milliseconds, as its router says to every upstream.
pub const TIMEOUT: &str = "x-envoy-expected-rq-timeout-ms";

/// The whole invocation of a request without a body, for an upstream that looks there: the invoker.
/// Its value is the invocation type, the trace, the path of the Invoke API with its query, and the
/// event, with a space between them.
pub const INVOCATION: &str = "x-lambda-mesh-invocation";

/// The largest event in a header, in bytes. It is as much as Envoy takes of a client's headers by
/// default, and as much as its HTTP/2 can send as one.
pub const MAX_HEADER_EVENT: usize = 60 * 1024;

/// The headers of an invocation whose body has `body_bytes`, with its pseudo-headers. `timeout` is
/// the value of [`TIMEOUT`].
///
/// Once the client's own headers are in the event, the upstream gets none of them: neither
/// credentials nor anything that the Invoke API could take for an instruction.
#[must_use]
pub fn headers<'a>(
    request: &'a Request<'_>,
    scheme: &'a [u8],
    config: &'a Config,
    body_bytes: usize,
    timeout: Option<&'a [u8]>,
) -> Vec<(&'static str, Cow<'a, [u8]>)> {
    let invocation_type = invocation_type(config);
    let length = body_bytes.to_string().into_bytes();
    let mut headers: Vec<(_, Cow<'a, [u8]>)> = Vec::with_capacity(11);
    headers.extend([
        (":method", b"POST".into()),
        (":scheme", scheme.into()),
        (":authority", request.authority.as_bytes().into()),
        (":path", config.invoke_path.as_bytes().into()),
        ("content-type", b"application/json".into()),
        ("content-length", length.into()),
        ("x-amz-invocation-type", invocation_type.as_bytes().into()),
        ("x-amzn-trace-id", request.trace_id.as_bytes().into()),
    ]);
    if let Some(id) = request.header("x-request-id") {
        headers.push(("x-request-id", id.into()));
    }
    // The invoker gives up when Envoy does.
    if let Some(timeout) = timeout {
        headers.push((TIMEOUT, timeout.into()));
    }
    headers
}

/// The value of [`INVOCATION`].
///
/// # Errors
/// [`Error::HeaderEventTooLarge`].
pub fn header(request: &Request<'_>, config: &Config, event: &[u8]) -> Result<Vec<u8>, Error> {
    let words = [
        invocation_type(config),
        &request.trace_id,
        &config.invoke_path,
    ];
    let length: usize = words.iter().map(|word| word.len() + 1).sum();
    let mut value = Vec::with_capacity(length + event.len());
    for word in words {
        value.extend_from_slice(word.as_bytes());
        value.push(b' ');
    }
    // No control character may stand in a header. In JSON they are only white space between tokens,
    // or DEL in a string.
    let has_control = event
        .iter()
        .fold(false, |found, byte| found | byte.is_ascii_control());
    if has_control {
        let escape = |byte: &u8| match byte {
            0x7f => br"\u007f".to_vec(),
            byte if byte.is_ascii_control() => vec![b' '],
            byte => vec![*byte],
        };
        value.extend(event.iter().flat_map(escape));
    } else {
        value.extend_from_slice(event);
    }
    match value.len() - length {
        found if found > MAX_HEADER_EVENT => Err(Error::HeaderEventTooLarge(found)),
        _ => Ok(value),
    }
}

/// A path with its query in which nothing stands that RFC 3986 does not allow there.
#[must_use]
pub fn strict(target: &[u8]) -> Cow<'_, str> {
    const FOREIGN: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    percent_encode(target, FOREIGN).into()
}

fn invocation_type(config: &Config) -> &'static str {
    match config.invocation {
        Invocation::RequestResponse | Invocation::ResponseStream => "RequestResponse",
        Invocation::Event => "Event",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::request::{Facts, HeaderMap};

    #[test]
    fn a_path_that_a_server_may_refuse_is_encoded() {
        assert!(matches!(
            strict(b"/a%2F~b;c=1?x=[1]&y='*'"),
            Cow::Borrowed(_)
        ));
        assert_eq!(strict(b"/`a`\xe9?q=<\"x\">"), "/%60a%60%E9?q=%3C%22x%22%3E");
    }

    #[test]
    fn an_event_in_a_header_is_the_same_json() {
        let settings = Settings::from_plugin(br#"{"function":"f:live"}"#).unwrap();
        let config = settings.into_config().unwrap();
        let trace = ("x-amzn-trace-id", "Root=1-a-b");
        let map: HeaderMap = [(":method", "GET"), (":path", "/"), trace]
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into();
        let facts = Facts::default();
        let request = Request::new(&map, None, &facts, b"").unwrap();
        for event in [
            &b"{\"a\":\n\t\"\x7f\xc3\xa9\x7f\"}\n"[..],
            b"\r\n1",
            b"[]",
            b"",
        ] {
            let value = header(&request, &config, event).unwrap();
            let start = b"RequestResponse Root=1-a-b /2015-03-31/functions/f%3Alive/invocations ";
            let json = value.strip_prefix(start).unwrap();
            assert!(!json.iter().any(u8::is_ascii_control));
            let parse = |json| serde_json::from_slice::<serde_json::Value>(json).ok();
            assert_eq!(parse(json), parse(event));
        }
        let large = header(&request, &config, &[b' '; MAX_HEADER_EVENT + 1]);
        assert_eq!(large, Err(Error::HeaderEventTooLarge(MAX_HEADER_EVENT + 1)));
    }
}
