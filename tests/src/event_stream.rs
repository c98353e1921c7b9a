//! Messages of `application/vnd.amazon.eventstream`, in which Lambda streams a response.

use bytes::Bytes;
use lambda_api::event_stream::{self, HTTP_PRELUDE_DELIMITER, Message};
use serde_json::Value;

/// Returns a part of the function's payload.
#[must_use]
pub fn chunk(payload: impl AsRef<[u8]>) -> Bytes {
    bytes(&event_stream::payload_chunk(payload.as_ref()))
}

/// Returns the status and headers of an HTTP response, with the delimiter, as a part of the payload.
#[must_use]
pub fn prelude(prelude: &Value) -> Bytes {
    let prelude = prelude.to_string().into_bytes();
    chunk([&prelude[..], &HTTP_PRELUDE_DELIMITER].concat())
}

/// Returns the end of a response. An error has the members `ErrorCode` and `ErrorDetails`.
#[must_use]
pub fn complete(complete: &Value) -> Bytes {
    bytes(&event_stream::invoke_complete(
        complete.to_string().as_bytes(),
    ))
}

/// Returns an error of Lambda itself.
#[must_use]
pub fn exception(name: &str) -> Bytes {
    bytes(&event_stream::exception(
        name,
        br#"{"message":"as scripted"}"#,
    ))
}

fn bytes(message: &Message<'_>) -> Bytes {
    message.to_vec().into()
}
