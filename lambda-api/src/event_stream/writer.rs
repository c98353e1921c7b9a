//! Writes messages without copying their payload.

use crc32fast::Hasher;

use super::{
    CHECKSUM_BYTES, CONTENT_TYPE_HEADER, EVENT_TYPE, EXCEPTION_TYPE, INVOKE_COMPLETE, MESSAGE_TYPE,
    PAYLOAD_CHUNK_HEADERS, PRELUDE_BYTES, STRING,
};

/// The longest name of a header in bytes, and the longest value that is text.
const MAX_NAME_BYTES: usize = 255;
const MAX_VALUE_BYTES: usize = 32_767;

/// A message in the order of its parts, of which the payload is borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'p> {
    /// The lengths, their checksum, and the headers.
    pub head: Vec<u8>,
    /// The payload as it was given.
    pub payload: &'p [u8],
    /// The checksum of head and payload.
    pub checksum: [u8; 4],
}

impl Message<'_> {
    /// Returns the whole message in one buffer.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        [&self.head, self.payload, &self.checksum].concat()
    }
}

/// Returns the message with a part of the function's payload.
///
/// `payload` is at most [`MAX_MESSAGE_PAYLOAD_BYTES`](super::MAX_MESSAGE_PAYLOAD_BYTES) long; no reader accepts more.
///
/// ```
/// use lambda_api::event_stream::{Reader, payload_chunk};
///
/// let mut bytes = payload_chunk(b"hello").to_vec();
/// Reader::new().read(&mut bytes)?;
/// assert_eq!(bytes, b"hello");
/// # Ok::<(), lambda_api::event_stream::StreamError>(())
/// ```
#[must_use]
pub fn payload_chunk(payload: &[u8]) -> Message<'_> {
    framed(PAYLOAD_CHUNK_HEADERS, payload)
}

/// Returns the last message of a function that has responded, or failed.
///
/// `json` is an object with [`ERROR_CODE`](super::ERROR_CODE),
/// [`ERROR_DETAILS`](super::ERROR_DETAILS) and [`LOG_RESULT`](super::LOG_RESULT), each optional.
#[must_use]
pub fn invoke_complete(json: &[u8]) -> Message<'_> {
    let headers = [
        (EVENT_TYPE, INVOKE_COMPLETE),
        (CONTENT_TYPE_HEADER, "application/json"),
        (MESSAGE_TYPE, "event"),
    ];
    message(&headers, json)
}

/// Returns the last message of a stream in which Lambda itself failed: `name` is that of its
/// exception, `json` an object with the member `message`.
#[must_use]
pub fn exception<'p>(name: &str, json: &'p [u8]) -> Message<'p> {
    let headers = [
        (EXCEPTION_TYPE, name),
        (CONTENT_TYPE_HEADER, "application/json"),
        (MESSAGE_TYPE, "exception"),
    ];
    message(&headers, json)
}

/// Returns a message with headers that are text.
///
/// A name is cut behind its 255th byte and a value behind its 32,767th, which are the longest that
/// the format allows.
#[must_use]
pub fn message<'p>(headers: &[(&str, &str)], payload: &'p [u8]) -> Message<'p> {
    let mut encoded = Vec::with_capacity(128);
    for (name, value) in headers {
        let (name, value) = (cut(name, MAX_NAME_BYTES), cut(value, MAX_VALUE_BYTES));
        // The lengths fit, as both have been cut.
        encoded.push(name.len() as u8);
        encoded.extend_from_slice(name);
        encoded.push(STRING);
        encoded.extend_from_slice(&(value.len() as u16).to_be_bytes());
        encoded.extend_from_slice(value);
    }
    framed(&encoded, payload)
}

/// Returns a message with headers that are encoded already.
fn framed<'p>(headers: &[u8], payload: &'p [u8]) -> Message<'p> {
    let total = PRELUDE_BYTES + headers.len() + payload.len() + CHECKSUM_BYTES;
    // A message of 4 GiB gets a length that every reader refuses.
    let length = |length| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut head = Vec::with_capacity(PRELUDE_BYTES + headers.len());
    head.extend_from_slice(&length(total));
    head.extend_from_slice(&length(headers.len()));
    head.extend_from_slice(&crc32fast::hash(&head).to_be_bytes());
    head.extend_from_slice(headers);
    let mut checksum = Hasher::new();
    checksum.update(&head);
    checksum.update(payload);
    Message {
        head,
        payload,
        checksum: checksum.finalize().to_be_bytes(),
    }
}

fn cut(text: &str, max_bytes: usize) -> &[u8] {
    let bytes = text.as_bytes();
    bytes.get(..max_bytes).unwrap_or(bytes)
}
