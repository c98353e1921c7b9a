//! The request to the upstream: *Invoke*, with nothing of the client's headers but the trace.

use std::borrow::Cow;

use lambda_api::headers::{
    ENVOY_REQUEST_ID, ENVOY_TIMEOUT_MS, INVOCATION_TYPE, SECRET, TRACE_ID, TRACEPARENT, TRACESTATE,
};
use lambda_api::limits::MAX_HEADER_EVENT_BYTES;
use lambda_api::{InvocationType, invocation_header};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::config::Config;
use crate::config::values::Invocation;
use crate::error::Error;
use crate::event;
use crate::request::{Request, trace_state};

/// Returns the headers of an invocation whose body has `body_bytes`, with its pseudo-headers.
/// `timeout` is the value of [`ENVOY_TIMEOUT_MS`].
///
/// The client's own headers are in the event. The upstream gets none of them: neither credentials
/// nor anything that the Invoke API could take for an instruction.
pub(super) fn headers<'a>(
    request: &'a Request<'_>,
    scheme: &'a [u8],
    config: &'a Config,
    body_bytes: usize,
    timeout: Option<&'a [u8]>,
) -> Vec<(&'static str, Cow<'a, [u8]>)> {
    let invocation_type = invocation_type(config).as_str();
    let length = body_bytes.to_string().into_bytes();
    let mut headers: Vec<(_, Cow<'a, [u8]>)> = Vec::with_capacity(14);
    headers.extend([
        (":method", b"POST".into()),
        (":scheme", scheme.into()),
        (":authority", request.authority.as_bytes().into()),
        (":path", config.invoke_path.as_bytes().into()),
        ("content-type", b"application/json".into()),
        ("content-length", length.into()),
        (INVOCATION_TYPE, invocation_type.as_bytes().into()),
        (TRACE_ID, request.trace.xray().as_bytes().into()),
    ]);
    if let Some(parent) = request.trace.traceparent() {
        headers.push((TRACEPARENT, parent.as_bytes().into()));
        // It belongs to the `traceparent` that it came with.
        if request.header(TRACEPARENT) == Some(parent.as_bytes())
            && let Some(state) = trace_state(&request.headers)
        {
            headers.push((TRACESTATE, state.into()));
        }
    }
    if let Some(id) = request.header(ENVOY_REQUEST_ID) {
        headers.push((ENVOY_REQUEST_ID, id.into()));
    }
    if let Some(secret) = &config.invoker_secret {
        headers.push((SECRET, secret.0.as_bytes().into()));
    }
    // Envoy and the invoker stop waiting at the same time.
    if let Some(timeout) = timeout {
        headers.push((ENVOY_TIMEOUT_MS, timeout.into()));
    }
    headers
}

/// Returns the value of [`INVOCATION`](lambda_api::headers::INVOCATION). No header may have control
/// characters, and no event of a request without a body has any.
///
/// # Errors
/// Those of [`event::encode`], and [`Error::HeaderEventTooLarge`].
pub(super) fn header_value(request: &Request<'_>, config: &Config) -> Result<Vec<u8>, Error> {
    let mut value = Vec::new();
    invocation_header::write(
        &mut value,
        invocation_type(config),
        request.trace.xray(),
        &config.invoke_path,
    );
    let start = value.len();
    let value = event::append(value, request, config)?;
    match value.len() - start {
        found if found > MAX_HEADER_EVENT_BYTES => Err(Error::HeaderEventTooLarge {
            found,
            limit: MAX_HEADER_EVENT_BYTES,
        }),
        _ => Ok(value),
    }
}

/// Returns a path with its query, with all bytes percent-encoded that RFC 3986 does not allow there.
pub(super) fn encode_path_and_query(path_and_query: &[u8]) -> Cow<'_, str> {
    const ENCODED: &AsciiSet = &CONTROLS
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
    percent_encode(path_and_query, ENCODED).into()
}

fn invocation_type(config: &Config) -> InvocationType {
    match config.invocation {
        Invocation::RequestResponse | Invocation::ResponseStream => InvocationType::RequestResponse,
        Invocation::Event => InvocationType::Event,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::request::{HeaderMap, RequestAttributes};
    use serde_json::{Value, json};

    #[test]
    fn a_path_that_a_server_may_refuse_is_encoded() {
        assert!(matches!(
            encode_path_and_query(b"/a%2F~b;c=1?x=[1]&y='*'"),
            Cow::Borrowed(_)
        ));
        assert_eq!(
            encode_path_and_query(b"/`a`\xe9?q=<\"x\">"),
            "/%60a%60%E9?q=%3C%22x%22%3E"
        );
    }

    #[test]
    fn an_event_in_a_header_has_no_control_characters() {
        let every_char: String = (0..=0x2ff).filter_map(char::from_u32).collect();
        let payloads = [
            json!({ "payload": "apigateway-v1" }),
            json!({ "payload": "apigateway-v2" }),
            json!({ "payload": "function-url" }),
            json!({ "payload": "alb" }),
            json!({ "payload": "alb-multi-value" }),
            json!({ "payload": "vpc-lattice-v1" }),
            json!({ "payload": "vpc-lattice-v2" }),
            json!({ "payload": "envoy" }),
            json!({ "payload": "raw" }),
            json!({ "payload": "template", "template": {
                every_char.as_str(): [every_char, "${path}", "a\n${query}", "${body}", "${body_json}"],
            } }),
        ];
        for mut settings in payloads {
            settings["function"] = "f:live".into();
            let settings = Settings::from_plugin(settings.to_string().as_bytes()).unwrap();
            let config = settings.into_config().unwrap();
            let every_byte: Vec<u8> = (0..=0xff).collect();
            let path = ["/a%0a%7f?".as_bytes(), &every_byte].concat();
            let map: HeaderMap = [
                (":method", b"GET".to_vec()),
                (":path", path),
                (
                    "x-amzn-trace-id",
                    b"Root=1-58406520-a006649127e371903a2de979".to_vec(),
                ),
                ("x-all", every_byte),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
            let attributes = RequestAttributes::default();
            let request = Request::new(&map, None, &attributes, b"").unwrap();
            let value = header_value(&request, &config).unwrap();
            let start = b"RequestResponse Root=1-58406520-a006649127e371903a2de979 /2015-03-31/functions/f%3Alive/invocations ";
            let event = value.strip_prefix(start).unwrap();
            assert_eq!(event, event::encode(&request, &config).unwrap());
            assert!(
                !event.iter().any(u8::is_ascii_control),
                "{:?}",
                config.format
            );
            serde_json::from_slice::<Value>(event).unwrap();
        }
    }

    #[test]
    fn an_event_that_no_header_can_hold_is_refused() {
        let settings = Settings::from_plugin(br#"{"function":"f","payload":"envoy"}"#).unwrap();
        let config = settings.into_config().unwrap();
        let map = |length| -> HeaderMap {
            [
                (":method", b"GET".to_vec()),
                (":path", b"/".to_vec()),
                ("x-long", vec![b'a'; length]),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
        };
        let attributes = RequestAttributes::default();
        let value = |length| {
            let map = map(length);
            let request = Request::new(&map, None, &attributes, b"").unwrap();
            header_value(&request, &config)
        };
        let rest = event_bytes(&value(0).unwrap());
        assert_eq!(
            event_bytes(&value(MAX_HEADER_EVENT_BYTES - rest).unwrap()),
            MAX_HEADER_EVENT_BYTES
        );
        let too_large = Error::HeaderEventTooLarge {
            found: MAX_HEADER_EVENT_BYTES + 1,
            limit: MAX_HEADER_EVENT_BYTES,
        };
        assert_eq!(value(MAX_HEADER_EVENT_BYTES - rest + 1), Err(too_large));
    }

    fn event_bytes(value: &[u8]) -> usize {
        value.splitn(4, |&byte| byte == b' ').last().unwrap().len()
    }
}
