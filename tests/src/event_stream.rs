//! Messages of `application/vnd.amazon.eventstream`, as Lambda streams an answer.

use bytes::Bytes;
use serde_json::Value;

/// What stands between the prelude of an HTTP answer and its body.
pub const DELIMITER: [u8; 8] = [0; 8];

/// A part of the function's payload.
#[must_use]
pub fn chunk(payload: impl AsRef<[u8]>) -> Bytes {
    let headers = [
        (":event-type", "PayloadChunk"),
        (":content-type", "application/octet-stream"),
        (":message-type", "event"),
    ];
    message(&headers, payload.as_ref())
}

/// The status and headers of an HTTP answer, with the delimiter, as a part of the payload.
#[must_use]
pub fn prelude(prelude: &Value) -> Bytes {
    let mut payload = prelude.to_string().into_bytes();
    payload.extend_from_slice(&DELIMITER);
    chunk(payload)
}

/// The end of an answer; an error has the members `ErrorCode` and `ErrorDetails`.
#[must_use]
pub fn complete(complete: &Value) -> Bytes {
    let headers = [
        (":event-type", "InvokeComplete"),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    message(&headers, complete.to_string().as_bytes())
}

/// An error of Lambda's own.
#[must_use]
pub fn exception(name: &str) -> Bytes {
    let headers = [
        (":exception-type", name),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    message(&headers, br#"{"message":"as scripted"}"#)
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let length = |length: usize| u32::try_from(length).expect("a length").to_be_bytes();
    let mut encoded = Vec::new();
    for (name, value) in headers {
        encoded.push(u8::try_from(name.len()).expect("a short name"));
        encoded.extend_from_slice(name.as_bytes());
        // Text.
        encoded.push(7);
        let length = u16::try_from(value.len()).expect("a short value");
        encoded.extend_from_slice(&length.to_be_bytes());
        encoded.extend_from_slice(value.as_bytes());
    }
    let mut message = Vec::with_capacity(encoded.len() + payload.len() + 16);
    message.extend_from_slice(&length(encoded.len() + payload.len() + 16));
    message.extend_from_slice(&length(encoded.len()));
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&encoded);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.into()
}
