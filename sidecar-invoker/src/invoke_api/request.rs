//! What a request to the Invoke API says besides its payload.
//!
//! Source: `Invoke` in the AWS Lambda API reference.

use std::sync::LazyLock;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use percent_encoding::percent_decode_str;
use tokio::time::Instant;

use super::body::{self, ReadError};
use super::error::ServiceError;
use super::headers as header;
use super::limits::MAX_PAYLOAD_BYTES;
use crate::invocation::{
    FunctionId, InvocationType, LogType, Operation, Qualifier, RequestId, Target,
};

const MAX_CLIENT_CONTEXT_BYTES: usize = 3_583;

/// How long a caller may pause in its request's body: as hyper's limit for a head.
const PAUSE_LIMIT: Duration = Duration::from_secs(30);

/// A request for an invocation. The headers are not parsed: which of them count depends on what
/// runs the function.
pub(crate) struct InvokeRequest<'r> {
    pub(crate) operation: Operation,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) body: &'r mut RequestBody,
    /// Made when it is asked for: what passes through has one from elsewhere.
    pub(crate) request_id: &'r LazyLock<RequestId>,
    /// When the request came.
    pub(crate) arrival: Instant,
}

/// A request's body.
pub(crate) struct RequestBody {
    pub(crate) body: Incoming,
    /// The event, if it stood in a header.
    pub(crate) event: Option<Bytes>,
    /// Whether it has been read from, which tells a caller who expects so to send it.
    pub(crate) has_begun: bool,
}

impl RequestBody {
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            event: None,
            has_begun: false,
        }
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// It is too large, comes too slowly, or is cut off.
    pub(crate) async fn read(&mut self) -> Result<Bytes, ServiceError> {
        if self.body.size_hint().lower() > MAX_PAYLOAD_BYTES as u64 {
            return Err(ServiceError::RequestTooLarge);
        }
        self.has_begun = true;
        let read = body::read_without_pause(&mut self.body, PAUSE_LIMIT).await;
        let body = read.map_err(|error| match error {
            ReadError::TooLarge => ServiceError::RequestTooLarge,
            error if error.is_pause() => ServiceError::RequestTimeout,
            ReadError::BrokenOff(_) => {
                ServiceError::InvalidRequestContent("the request's body was cut off")
            }
        })?;
        match self.event.take() {
            None => Ok(body),
            Some(event) if body.is_empty() => Ok(event),
            Some(_) => Err(ServiceError::InvalidRequestContent(
                "the header x-lambda-mesh-invocation is for requests without a body",
            )),
        }
    }
}

/// Makes the request that a header has out of the one that has it, and gives its event. Nothing else
/// of that request counts, but for what Envoy says of it: it is the client's.
pub(crate) fn in_header(parts: &mut Parts) -> Result<Option<Bytes>, ServiceError> {
    const INVALID: ServiceError = ServiceError::InvalidRequestContent(
        "the header x-lambda-mesh-invocation is `TYPE TRACE PATH EVENT`",
    );
    let Some(invocation) = parts.headers.remove(header::INVOCATION) else {
        return Ok(None);
    };
    let mut words = invocation.as_bytes().splitn(4, |&byte| byte == b' ');
    let mut word = || words.next().ok_or(INVALID);
    let (kind, trace, path, event) = (word()?, word()?, word()?, word()?);
    parts.method = Method::POST;
    parts.uri = Uri::try_from(path).map_err(|_| INVALID)?;
    let value = |bytes| HeaderValue::from_bytes(bytes).map_err(|_| INVALID);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::INVOCATION_TYPE, value(kind)?);
    headers.insert(header::TRACE_ID, value(trace)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for name in [header::TIMEOUT, header::X_REQUEST_ID] {
        if let Some(value) = parts.headers.remove(&name) {
            headers.insert(name, value);
        }
    }
    parts.headers = headers;
    Ok(Some(Bytes::copy_from_slice(event)))
}

/// The operation and the function's name, percent-encoded, that a path has.
pub(crate) fn route(path: &str) -> Option<(Operation, &str)> {
    let invoke = path
        .strip_prefix("/2015-03-31/functions/")
        .and_then(|rest| rest.strip_suffix("/invocations"));
    if let Some(name) = invoke {
        return Some((Operation::Invoke, name));
    }
    let name = path
        .strip_prefix("/2021-11-15/functions/")?
        .strip_suffix("/response-streaming-invocations")?;
    Some((Operation::InvokeWithResponseStream, name))
}

/// Whom the caller means, and how AWS is told so.
pub(crate) fn target(name: &str, uri: &Uri) -> Result<(Target, FunctionId), ServiceError> {
    let decoded = percent_decode_str(name).decode_utf8_lossy();
    let invalid = |value: &str, error| ServiceError::InvalidName {
        value: value.to_owned(),
        error,
    };
    let mut target: Target = decoded.parse().map_err(|error| invalid(&decoded, error))?;
    let id = FunctionId::of(&decoded, &target);
    let Some(value) = query_value(uri, "Qualifier") else {
        return Ok((target, id));
    };
    let qualifier: Qualifier = value.parse().map_err(|error| invalid(&value, error))?;
    if target
        .qualifier
        .as_ref()
        .is_some_and(|embedded| *embedded != qualifier)
    {
        let message =
            "The derived qualifier from the function name does not match the specified qualifier.";
        return Err(ServiceError::InvalidParameter(message.to_owned()));
    }
    target.qualifier = Some(qualifier);
    Ok((target, id))
}

fn query_value(uri: &Uri, key: &str) -> Option<String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == key).then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    uri.query()?.split('&').find_map(pair)
}

/// What the caller waits for.
pub(crate) fn invocation_type(headers: &HeaderMap) -> Result<InvocationType, ServiceError> {
    match value(headers, &header::INVOCATION_TYPE) {
        None | Some(b"RequestResponse") => Ok(InvocationType::RequestResponse),
        Some(b"DryRun") => Ok(InvocationType::DryRun),
        Some(b"Event") => Ok(InvocationType::Event),
        Some(_) => Err(invalid(
            "the invocation type is one of RequestResponse, DryRun, Event",
        )),
    }
}

/// Whether the caller wants the end of the log.
pub(crate) fn log_type(headers: &HeaderMap) -> Result<LogType, ServiceError> {
    match value(headers, &header::LOG_TYPE) {
        None | Some(b"None") => Ok(LogType::None),
        Some(b"Tail") => Ok(LogType::Tail),
        Some(_) => Err(invalid("the log type is one of None, Tail")),
    }
}

/// The client context as JSON on one line of ASCII, decoded from base64. Other letters in a header
/// have ended a runtime.
pub(crate) fn client_context(headers: &HeaderMap) -> Result<Option<HeaderValue>, ServiceError> {
    const INVALID: ServiceError = ServiceError::InvalidRequestContent(
        "Client context must be a valid Base64-encoded JSON object.",
    );
    let Some(encoded) = value(headers, &header::CLIENT_CONTEXT) else {
        return Ok(None);
    };
    if encoded.len() > MAX_CLIENT_CONTEXT_BYTES {
        let message = "the client context is larger than 3583 bytes";
        return Err(ServiceError::InvalidRequestContent(message));
    }
    let json = BASE64_STANDARD.decode(encoded).map_err(|_| INVALID)?;
    let json = String::from_utf8(json).map_err(|_| INVALID)?;
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&json)
        .map_err(|_| INVALID)?;
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            // In JSON they only stand between tokens; in a header they cannot stand.
            '\0'..' ' => line.push(' '),
            ' '..='~' => line.push(character),
            // In JSON they only stand in strings.
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    line.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    HeaderValue::from_maybe_shared(Bytes::from(line))
        .map(Some)
        .map_err(|_| INVALID)
}

/// The tenant, which reaches the function as a header of the Runtime API.
///
/// Source: the `TenantId` of Lambda's `Invoke`.
pub(crate) fn tenant_id(headers: &HeaderMap) -> Result<Option<HeaderValue>, ServiceError> {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:/=+-@ ".contains(byte);
    let id = headers.get(header::TENANT_ID);
    match id.map(HeaderValue::as_bytes) {
        Some(text) if !((1..=256).contains(&text.len()) && text.iter().all(letter)) => Err(
            invalid("a tenant's id is 1 to 256 letters, digits, spaces and . _ : / = + - @"),
        ),
        _ => Ok(id.cloned()),
    }
}

/// A trace reaches the function as a header of the Runtime API, and a long one or one in other
/// letters has ended a runtime.
pub(crate) fn is_trace_id(value: &HeaderValue) -> bool {
    const BYTES: usize = 512;
    value.len() <= BYTES && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn value<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::InvalidParameter(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::NameError;

    fn parse(uri: &str) -> Result<Target, ServiceError> {
        let uri: Uri = uri.parse().unwrap();
        let (_, name) = route(uri.path()).unwrap();
        target(name, &uri).map(|(target, _)| target)
    }

    #[test]
    fn a_name_may_be_percent_encoded_and_have_its_qualifier_in_the_query() {
        let arn = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Ahello/invocations";
        let target = parse(&format!("{arn}?x=y&Qualifier=%24LATEST")).unwrap();
        assert_eq!(target.name.to_string(), "hello");
        assert_eq!(target.qualifier.unwrap().to_string(), "$LATEST");
    }

    #[test]
    fn two_different_qualifiers_are_refused() {
        assert!(parse("/2015-03-31/functions/hello:a/invocations?Qualifier=a").is_ok());
        let error = parse("/2015-03-31/functions/hello:a/invocations?Qualifier=b").unwrap_err();
        assert!(matches!(error, ServiceError::InvalidParameter(_)));
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for name in ["", "%ff", "a%2Fb", "a/b"] {
            let error = parse(&format!("/2015-03-31/functions/{name}/invocations")).unwrap_err();
            assert!(
                matches!(
                    error,
                    ServiceError::InvalidName {
                        error: NameError::Target,
                        ..
                    }
                ),
                "{name}"
            );
        }
    }

    #[test]
    fn other_paths_are_no_operation() {
        for path in [
            "/",
            "/2015-03-31/functions/hello",
            "/2015-03-31/functions/invocations",
            "/2015-03-31/functions//x",
        ] {
            assert!(route(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_trace_id_is_short_and_visible() {
        let is_one = |bytes: &[u8]| is_trace_id(&HeaderValue::from_bytes(bytes).unwrap());
        assert!(is_one(
            b"Root=1-5e6a879e-0123456789abcdef01234567;Sampled=1"
        ));
        assert!(!is_one(b"\xff"));
        assert!(!is_one(b"a b"));
        assert!(!is_one(&[b'a'; 513]));
    }

    #[test]
    fn a_tenant_s_id_has_the_letters_that_aws_takes() {
        let tenant = |id: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::TENANT_ID, HeaderValue::from_bytes(id).unwrap());
            tenant_id(&headers)
        };
        assert_eq!(tenant_id(&HeaderMap::new()), Ok(None));
        let id = "Blue tenant/1_a.b:c=d+e-f@g";
        assert_eq!(tenant(id.as_bytes()).unwrap().unwrap(), id);
        for wrong in [&b""[..], b"\xff", b"a,b", &[b'a'; 257]] {
            assert!(tenant(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_client_context_is_decoded_json_on_one_line_of_ascii() {
        let mut headers = HeaderMap::new();
        let encoded =
            BASE64_STANDARD.encode("{\n\t\"custom\": {\"k\": \"\u{e9}\u{1f600}\u{7f}\"}\n}");
        headers.insert(header::CLIENT_CONTEXT, encoded.parse().unwrap());
        let context = client_context(&headers).unwrap().unwrap();
        assert_eq!(
            context,
            r#"{  "custom": {"k": "\u00e9\ud83d\ude00\u007f"} }"#
        );
        for wrong in ["e30", "[]", "bnVsbA==", ""] {
            headers.insert(header::CLIENT_CONTEXT, wrong.parse().unwrap());
            assert!(client_context(&headers).is_err(), "{wrong}");
        }
    }
}
