//! Answers as event streams, which is how `InvokeWithResponseStream` sends them.
//!
//! The framing is that of [`lambda_api::event_stream`].

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use lambda_api::event_stream::{ERROR_CODE, ERROR_DETAILS, LOG_RESULT, Message, invoke_complete};
use lambda_api::headers::UNHANDLED;
use serde_json::{Map, Value};

use crate::invocation::{Completion, ResponseStream, StreamPiece};
use crate::invoke_api::body::ResponseBody;

/// Most payload in one event. SDKs take up to 16 MB; the smaller, the sooner the first is whole.
const MAX_CHUNK_BYTES: usize = 256 * 1024;

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
                        self.ready.extend(payload_chunk(part));
                    }
                }
                StreamPiece::End(completion) => {
                    self.answer = None;
                    let event = invoke_complete(details(&completion).as_bytes()).to_vec();
                    self.ready.push_back(event.into());
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
fn details(completion: &Completion) -> String {
    let mut members = Map::new();
    if let Some(error) = &completion.error {
        members.insert(ERROR_CODE.to_owned(), UNHANDLED.into());
        let text = String::from_utf8_lossy(error).into_owned();
        members.insert(ERROR_DETAILS.to_owned(), text.into());
    }
    if let Some(log) = &completion.log_tail {
        members.insert(LOG_RESULT.to_owned(), BASE64_STANDARD.encode(log).into());
    }
    Value::Object(members).to_string()
}

/// The pieces of the event with this part of the payload, which is not copied.
fn payload_chunk(payload: Bytes) -> [Bytes; 3] {
    let Message { head, checksum, .. } = lambda_api::event_stream::payload_chunk(&payload);
    [head.into(), payload, Bytes::copy_from_slice(&checksum)]
}

#[cfg(test)]
mod tests {
    use super::*;

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
