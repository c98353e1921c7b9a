//! The event stream with which `InvokeWithResponseStream` responds.
//!
//! [`lambda_api::event_stream`] has the framing.

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

/// The maximum size of the payload in one event. SDKs accept 16 MB, but a smaller event is complete sooner.
const MAX_CHUNK_BYTES: usize = 256 * 1024;

/// Returns a body with one event for each chunk, and a last event for the end of the invocation.
///
/// The body takes a chunk from `response` once the caller has read the previous chunk.
pub(crate) fn body(response: ResponseStream) -> ResponseBody {
    EventStreamBody {
        response: Some(response),
        ready: VecDeque::new(),
    }
    .boxed_unsync()
}

struct EventStreamBody {
    /// The response, until it ends.
    response: Option<ResponseStream>,
    /// Pieces of events to be sent next.
    ready: VecDeque<Bytes>,
}

impl Body for EventStreamBody {
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
            let Some(response) = &mut self.response else {
                return Poll::Ready(None);
            };
            match ready!(response.poll_next(context)) {
                StreamPiece::Chunk(mut chunk) => {
                    while !chunk.is_empty() {
                        let part = chunk.split_to(chunk.len().min(MAX_CHUNK_BYTES));
                        self.ready.extend(payload_chunk(part));
                    }
                }
                StreamPiece::End(completion) => {
                    self.response = None;
                    let event = invoke_complete(details(&completion).as_bytes()).to_vec();
                    self.ready.push_back(event.into());
                }
                StreamPiece::Interrupted => {
                    self.response = None;
                    let error = io::Error::other("the invoker is about to end");
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

/// Returns the payload of `InvokeComplete`.
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

/// Returns the pieces of the event with this part of the payload. The payload is not copied.
fn payload_chunk(payload: Bytes) -> [Bytes; 3] {
    let Message { head, checksum, .. } = lambda_api::event_stream::payload_chunk(&payload);
    [head.into(), payload, Bytes::copy_from_slice(&checksum)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_has_only_the_members_that_apply() {
        assert_eq!(details(&Completion::default()), "{}");
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
