//! Answers as event streams, which is how `InvokeWithResponseStream` sends them.
//!
//! Source: the `vnd.amazon.eventstream` framing of the Smithy specification, and the events of
//! `InvokeWithResponseStream` in AWS's service model. (AWS's own crate for it needs a newer Rust
//! than this workspace does.)

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::header::HeaderValue;
use serde_json::{Map, Value};

use crate::invocation::{Completion, ResponseStream, StreamPiece};
use crate::invoke_api::body::ResponseBody;

/// The media type of the whole.
pub(crate) const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/vnd.amazon.eventstream");

/// Most payload in one event. SDKs take up to 16 MB; the smaller, the sooner the first is whole.
const MAX_CHUNK_BYTES: usize = 256 * 1024;

const PAYLOAD_CHUNK: [(&str, &str); 3] = [
    (":event-type", "PayloadChunk"),
    (":content-type", "application/octet-stream"),
    (":message-type", "event"),
];
const INVOKE_COMPLETE: [(&str, &str); 3] = [
    (":event-type", "InvokeComplete"),
    (":content-type", "application/json"),
    (":message-type", "event"),
];

/// The body that sends an answer as it comes: each chunk as an event, then how the invocation
/// ended. The next chunk is asked for once the caller has taken the one before.
pub(crate) fn body(answer: ResponseStream) -> ResponseBody {
    Events {
        answer: Some(answer),
        ready: VecDeque::new(),
    }
    .boxed_unsync()
}

struct Events {
    /// Until it has ended.
    answer: Option<ResponseStream>,
    /// Pieces of events that are still to be sent.
    ready: VecDeque<Bytes>,
}

impl Body for Events {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let Some(answer) = &mut self.answer else {
                return Poll::Ready(None);
            };
            match ready!(answer.poll_next(context)) {
                StreamPiece::Chunk(mut chunk) => {
                    while !chunk.is_empty() {
                        let part = chunk.split_to(chunk.len().min(MAX_CHUNK_BYTES));
                        self.ready.extend(message(&PAYLOAD_CHUNK, part));
                    }
                }
                StreamPiece::End(completion) => {
                    self.answer = None;
                    let payload = details(&completion);
                    self.ready.extend(message(&INVOKE_COMPLETE, payload));
                }
                StreamPiece::Interrupted => {
                    self.answer = None;
                    let error = io::Error::other("the invoker is about to end");
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

/// The payload of `InvokeComplete`.
fn details(completion: &Completion) -> Bytes {
    let mut members = Map::new();
    if let Some(error) = &completion.error {
        members.insert("ErrorCode".to_owned(), "Unhandled".into());
        let text = String::from_utf8_lossy(error).into_owned();
        members.insert("ErrorDetails".to_owned(), text.into());
    }
    if let Some(log) = &completion.log_tail {
        members.insert("LogResult".to_owned(), BASE64_STANDARD.encode(log).into());
    }
    Value::Object(members).to_string().into()
}

/// One message in three pieces, so that its payload is not copied.
fn message(headers: &[(&str, &str)], payload: Bytes) -> [Bytes; 3] {
    const PRELUDE_BYTES: usize = 12;
    const CHECKSUM_BYTES: usize = 4;
    /// Of a value that is text.
    const STRING: u8 = 7;
    // Names and values are the constants above, shorter than what their lengths can say.
    let header_bytes: usize = headers
        .iter()
        .map(|(name, value)| 4 + name.len() + value.len())
        .sum();
    let mut head = BytesMut::with_capacity(PRELUDE_BYTES + header_bytes);
    let total = PRELUDE_BYTES + header_bytes + payload.len() + CHECKSUM_BYTES;
    head.put_u32(total as u32);
    head.put_u32(header_bytes as u32);
    head.put_u32(crc32fast::hash(&head));
    for (name, value) in headers {
        head.put_u8(name.len() as u8);
        head.put_slice(name.as_bytes());
        head.put_u8(STRING);
        head.put_u16(value.len() as u16);
        head.put_slice(value.as_bytes());
    }
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&head);
    checksum.update(&payload);
    let checksum = checksum.finalize().to_be_bytes();
    [head.freeze(), payload, Bytes::copy_from_slice(&checksum)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_framing_of_the_specification() {
        let pieces = message(&[("a", "b")], Bytes::from_static(b"{}"));
        let bytes = pieces.concat();
        // Lengths, their CRC-32 by zlib, the header, the payload, and the CRC-32 of all that.
        let prelude = [0, 0, 0, 24, 0, 0, 0, 6];
        assert_eq!(bytes[..8], prelude);
        assert_eq!(bytes[8..12], crc32fast::hash(&prelude).to_be_bytes());
        assert_eq!(bytes[12..18], [1, b'a', 7, 0, 1, b'b']);
        assert_eq!(bytes[18..20], *b"{}");
        assert_eq!(bytes[20..], crc32fast::hash(&bytes[..20]).to_be_bytes());
    }

    #[test]
    fn the_end_says_what_there_is_to_say() {
        let nothing = Completion::default();
        assert_eq!(details(&nothing), "{}");
        let failed = Completion {
            error: Some(Bytes::from_static(b"{\"errorType\":\"E\"}")),
            log_tail: Some(b"log".to_vec()),
        };
        assert_eq!(
            details(&failed),
            r#"{"ErrorCode":"Unhandled","ErrorDetails":"{\"errorType\":\"E\"}","LogResult":"bG9n"}"#
        );
    }
}
