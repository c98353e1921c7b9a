//! Requests of the Invoke API: function, headers, body.
//!
//! Source: `Invoke` in the AWS Lambda API reference.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use lambda_api::limits::{MAX_CLIENT_CONTEXT_BYTES, MAX_PAYLOAD_BYTES, MAX_TENANT_ID_BYTES};
use lambda_api::operation::split_async_path;
use lambda_api::{
    AddressError, FunctionAddress, InvocationType, LogType, Operation, invocation_header,
};
use tokio::time::timeout;

use super::body::{self, ReadError};
use super::error::ServiceError;
use super::headers as header;
use crate::invocation::{RequestId, Timeline};

/// The longest pause of a caller within a request body. hyper has the same limit for a request head.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest time for a whole request body. An event of 6 MB takes as long at 50 KB/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);

/// A request for an invocation. The headers are not parsed, because their meaning depends on the
/// backend.
pub(crate) struct InvokeRequest<'r> {
    pub(crate) operation: Operation,
    pub(crate) address: FunctionAddress,
    pub(crate) headers: HeaderMap,
    pub(crate) body: &'r mut RequestBody,
    /// The id of the request, created on first use. Responses of AWS have an id of their own.
    pub(crate) request_id: &'r LazyLock<RequestId>,
    /// The course of the invocation.
    pub(crate) timeline: Arc<Timeline>,
}

/// A recipient of an event, besides the function.
pub(crate) trait TakeEvent: Send + Sync {
    /// Takes the event once it has been read.
    fn take_event(&self, event: &Bytes);
}

/// The body of a request.
pub(crate) struct RequestBody {
    /// `None` for an event that did not come in a request.
    pub(crate) body: Option<Incoming>,
    /// The event, if a header carried it.
    pub(crate) event: Option<Bytes>,
    /// The recipient of the event, besides the function.
    pub(crate) recipient: Option<Box<dyn TakeEvent>>,
    /// Set once reading has begun. hyper then sends `100 Continue` to a caller that waits for it.
    pub(crate) has_begun: bool,
}

impl RequestBody {
    /// Wraps the body of a request without an event in a header.
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body: Some(body),
            event: None,
            recipient: None,
            has_begun: false,
        }
    }

    /// Returns the body of a request that has only this event.
    pub(crate) fn of_event(event: Bytes) -> Self {
        Self {
            body: None,
            event: Some(event),
            recipient: None,
            has_begun: true,
        }
    }

    /// Reads the event.
    ///
    /// # Errors
    /// Returns an error if the body is too large, pauses for too long or is cut off, or if both the
    /// body and a header have an event.
    pub(crate) async fn read(&mut self) -> Result<Bytes, ServiceError> {
        let body = match &mut self.body {
            Some(body) if body.size_hint().lower() > MAX_PAYLOAD_BYTES as u64 => {
                return Err(ServiceError::RequestTooLarge);
            }
            Some(body) => {
                self.has_begun = true;
                read_body(body).await?
            }
            None => Bytes::new(),
        };
        let event = match self.event.take() {
            None => body,
            Some(event) if body.is_empty() => event,
            Some(_) => {
                return Err(ServiceError::InvalidRequestContent(
                    "the header x-lambda-mesh-invocation is for requests without a body",
                ));
            }
        };
        if let Some(recipient) = self.recipient.take() {
            recipient.take_event(&event);
        }
        Ok(event)
    }
}

async fn read_body(body: &mut Incoming) -> Result<Bytes, ServiceError> {
    let read = body::read_without_pause(body, PAUSE_TIMEOUT);
    let read = timeout(BODY_TIMEOUT, read).await;
    let read = read.unwrap_or_else(|elapsed| Err(ReadError::BrokenOff(elapsed.into())));
    read.map_err(|error| match error {
        ReadError::TooLarge => ServiceError::RequestTooLarge,
        error if error.is_pause() => ServiceError::RequestTimeout,
        ReadError::BrokenOff(_) => {
            ServiceError::InvalidRequestContent("the request body was cut off")
        }
    })
}

/// Replaces the request with the request in its header `x-lambda-mesh-invocation`, if it has one, and
/// returns the event.
///
/// All other headers are the client's and are dropped, except Envoy's timeout and request id, and the trace.
///
/// # Errors
/// Returns an error if the header is not valid.
pub(crate) fn in_header(parts: &mut Parts) -> Result<Option<Bytes>, ServiceError> {
    const INVALID: ServiceError = ServiceError::InvalidRequestContent(
        "the header x-lambda-mesh-invocation is `TYPE TRACE PATH EVENT`",
    );
    let Some(value) = parts.headers.remove(header::INVOCATION) else {
        return Ok(None);
    };
    let invocation = invocation_header::read(value.as_bytes()).map_err(|_| INVALID)?;
    let trace_id = HeaderValue::from_bytes(invocation.trace_id).map_err(|_| INVALID)?;
    parts.method = Method::POST;
    parts.uri = Uri::try_from(invocation.path_and_query).map_err(|_| INVALID)?;
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(
        header::INVOCATION_TYPE,
        HeaderValue::from_static(invocation.invocation_type.as_str()),
    );
    headers.insert(header::TRACE_ID, trace_id);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for name in [
        header::ENVOY_TIMEOUT_MS,
        header::ENVOY_REQUEST_ID,
        header::TRACEPARENT,
        header::TRACESTATE,
    ] {
        for value in parts.headers.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    parts.headers = headers;
    Ok(Some(Bytes::copy_from_slice(invocation.event)))
}

/// Returns the operation and the function that a request names. A request for `InvokeAsync` becomes one for
/// `Invoke` by its `headers`.
///
/// # Errors
/// Returns an error for a path outside the Invoke API, and for a name or qualifier that is not valid.
pub(crate) fn address(
    uri: &Uri,
    headers: &mut HeaderMap,
) -> Result<(Operation, FunctionAddress), ServiceError> {
    let path = uri.path();
    let (operation, function) = match (Operation::split_path(path), split_async_path(path)) {
        (Some(found), _) => found,
        (None, Some(function)) => {
            headers.insert(
                header::INVOCATION_TYPE,
                HeaderValue::from_static(InvocationType::Event.as_str()),
            );
            (Operation::Invoke, function)
        }
        (None, None) => return Err(ServiceError::UnknownOperation),
    };
    let invalid = |parameter, error| ServiceError::InvalidName { parameter, error };
    let address = FunctionAddress::parse(function, uri.query()).map_err(|error| match error {
        AddressError::Name(error) => invalid("functionName", error),
        AddressError::Qualifier(error) => invalid("qualifier", error),
        AddressError::QualifierMismatch => ServiceError::InvalidParameter(error.to_string()),
    })?;
    Ok((operation, address))
}

/// Returns the invocation type, [`InvocationType::RequestResponse`] by default.
///
/// # Errors
/// Returns an error for an unknown type.
pub(crate) fn invocation_type(headers: &HeaderMap) -> Result<InvocationType, ServiceError> {
    let value = value(headers, &header::INVOCATION_TYPE);
    let read = value.map(InvocationType::from_bytes).transpose();
    read.map(Option::unwrap_or_default)
        .map_err(|error| invalid(&error.to_string()))
}

/// Returns the log type, [`LogType::None`] by default.
///
/// # Errors
/// Returns an error for an unknown type.
pub(crate) fn log_type(headers: &HeaderMap) -> Result<LogType, ServiceError> {
    let value = value(headers, &header::LOG_TYPE);
    let read = value.map(LogType::from_bytes).transpose();
    read.map(Option::unwrap_or_default)
        .map_err(|error| invalid(&error.to_string()))
}

/// Returns the client context, decoded from base64, as JSON on one line of ASCII. Runtimes have ended
/// on other characters in a header.
///
/// # Errors
/// Returns an error if the value is too large, or is not a JSON object in base64.
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
            // JSON allows these only between tokens. A header does not allow them.
            '\0'..' ' => line.push(' '),
            ' '..='~' => line.push(character),
            // JSON allows these only in strings.
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

/// Returns the tenant id, which the function gets as a header of the Runtime API.
///
/// Source: the parameter `TenantId` of `Invoke` in the AWS Lambda API reference.
///
/// # Errors
/// Returns an error if the id is not valid.
pub(crate) fn tenant_id(headers: &HeaderMap) -> Result<Option<HeaderValue>, ServiceError> {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:/=+-@ ".contains(byte);
    let id = headers.get(header::TENANT_ID);
    match id.map(HeaderValue::as_bytes) {
        Some(text)
            if !((1..=MAX_TENANT_ID_BYTES).contains(&text.len()) && text.iter().all(letter)) =>
        {
            Err(invalid(
                "a tenant id has 1 to 256 letters, digits, spaces and . _ : / = + - @",
            ))
        }
        _ => Ok(id.cloned()),
    }
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

    fn parse(uri: &str) -> Result<FunctionAddress, ServiceError> {
        address(&uri.parse().unwrap(), &mut HeaderMap::new()).map(|(_, address)| address)
    }

    #[test]
    fn a_name_may_be_percent_encoded_and_have_its_qualifier_in_the_query() {
        let arn = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Ahello/invocations";
        let address = parse(&format!("{arn}?x=y&Qualifier=%24LATEST")).unwrap();
        assert_eq!(address.function.name().as_str(), "hello");
        assert_eq!(address.qualifier.unwrap().as_str(), "$LATEST");
    }

    #[test]
    fn two_different_qualifiers_are_refused() {
        assert!(parse("/2015-03-31/functions/hello:a/invocations?Qualifier=a").is_ok());
        let error = parse("/2015-03-31/functions/hello:a/invocations?Qualifier=b").unwrap_err();
        assert!(matches!(error, ServiceError::InvalidParameter(_)));
    }

    #[test]
    fn invalid_names_are_refused() {
        for name in ["", "%ff", "a%2Fb", "a/b"] {
            let error = parse(&format!("/2015-03-31/functions/{name}/invocations")).unwrap_err();
            assert!(matches!(error, ServiceError::InvalidName { .. }), "{name}");
        }
    }

    #[test]
    fn other_paths_are_unknown_operations() {
        for path in [
            "/",
            "/2015-03-31/functions/hello",
            "/2015-03-31/functions/invocations",
            "/2015-03-31/functions//x",
        ] {
            assert_eq!(
                parse(path).unwrap_err(),
                ServiceError::UnknownOperation,
                "{path}"
            );
        }
    }

    #[test]
    fn a_tenant_id_has_the_characters_that_aws_accepts() {
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
    fn the_client_context_becomes_json_on_one_line_of_ascii() {
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
