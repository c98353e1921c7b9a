//! Answers in the framing in which Lambda streams them.
//!
//! Source: the `vnd.amazon.eventstream` framing of the Smithy specification, and the events of
//! `InvokeWithResponseStream` in AWS's service model.

use bytes::{BufMut, Bytes};

/// The media type of the whole.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// What stands between the prelude of an HTTP answer and its body.
const DELIMITER: [u8; 8] = [0; 8];

/// The messages of an HTTP answer: its prelude with the first piece of its body, each further
/// piece, and with the last one the end.
pub fn answer(prelude: &serde_json::Value, pieces: &[&[u8]]) -> Vec<Bytes> {
    let mut first = prelude.to_string().into_bytes();
    first.extend_from_slice(&DELIMITER);
    let mut before = message("PayloadChunk", "application/octet-stream", &first);
    let mut messages = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.iter().enumerate() {
        let mut bytes = std::mem::take(&mut before);
        bytes.extend(message("PayloadChunk", "application/octet-stream", piece));
        if index + 1 == pieces.len() {
            bytes.extend(message("InvokeComplete", "application/json", b"{}"));
        }
        messages.push(bytes.into());
    }
    messages
}

/// One message; all that is in it is short.
fn message(event: &str, content_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [
        (":event-type", event),
        (":content-type", content_type),
        (":message-type", "event"),
    ] {
        headers.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
        headers.put_slice(name.as_bytes());
        // Text.
        headers.put_u8(7);
        headers.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        headers.put_slice(value.as_bytes());
    }
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(headers.len() + payload.len() + 16);
    message.put_u32(length(headers.len() + payload.len() + 16));
    message.put_u32(length(headers.len()));
    message.put_u32(crc32fast::hash(&message));
    message.put_slice(&headers);
    message.put_slice(payload);
    message.put_u32(crc32fast::hash(&message));
    message
}
