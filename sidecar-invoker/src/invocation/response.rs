//! The response of a function outside AWS, buffered or streamed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::header::HeaderValue;
use tokio::sync::{mpsc, oneshot};

/// The payload that ends an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FunctionPayload {
    /// The payload that the function returned, as it came.
    Success(Bytes),
    /// A function error: JSON with `errorMessage` and `errorType`. If the function timed out or
    /// exited, the service writes it.
    Error(Bytes),
}

/// A function's response on its way to the caller.
#[derive(Debug)]
pub(crate) enum FunctionResponse {
    /// The whole response.
    Buffered {
        payload: FunctionPayload,
        /// The end of the log, if the caller asked for it.
        log_tail: Option<Vec<u8>>,
    },
    /// A response that the function is still writing.
    Streamed(ResponseStream),
}

/// The end of a streamed response.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Completion {
    /// The function error that ended the response: JSON with `errorMessage` and `errorType`.
    pub(crate) error: Option<Bytes>,
    /// The end of the log, if the caller asked for it.
    pub(crate) log_tail: Option<Vec<u8>>,
}

/// A streamed response. Its next piece is fetched once the previous piece has been taken.
#[derive(Debug)]
pub(crate) struct ResponseStream {
    /// The media type of the response.
    pub(crate) content_type: Option<HeaderValue>,
    chunks: mpsc::Receiver<Bytes>,
    end: oneshot::Receiver<Completion>,
    /// The end, received while chunks before it are left.
    ended: Option<StreamPiece>,
}

/// A piece of a [`ResponseStream`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StreamPiece {
    Chunk(Bytes),
    End(Completion),
    /// The environment ended before the response, because the invoker is ending.
    Interrupted,
}

/// The function's side of a [`ResponseStream`].
#[derive(Debug)]
pub(crate) struct StreamSender {
    /// Fails once the caller has left.
    pub(crate) chunks: mpsc::Sender<Bytes>,
    pub(crate) end: oneshot::Sender<Completion>,
}

/// Creates a streamed response and its sender. The channel holds one chunk.
pub(crate) fn stream(content_type: Option<HeaderValue>) -> (StreamSender, ResponseStream) {
    let (chunks, receiver) = mpsc::channel(1);
    let (end, ended) = oneshot::channel();
    let stream = ResponseStream {
        content_type,
        chunks: receiver,
        end: ended,
        ended: None,
    };
    (StreamSender { chunks, end }, stream)
}

impl ResponseStream {
    /// Creates a stream from a buffered response.
    pub(crate) fn buffered(payload: FunctionPayload, log_tail: Option<Vec<u8>>) -> Self {
        let (sender, stream) = stream(None);
        let error = match payload {
            FunctionPayload::Success(payload) => {
                // The channel holds one chunk.
                let _ = sender.chunks.try_send(payload);
                None
            }
            FunctionPayload::Error(payload) => Some(payload),
        };
        let _ = sender.end.send(Completion { error, log_tail });
        stream
    }

    /// Polls for the next piece. Must not be called after the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<StreamPiece> {
        if self.ended.is_none()
            && let Poll::Ready(end) = Pin::new(&mut self.end).poll(context)
        {
            // A function that did not end the response itself may still be writing.
            self.chunks.close();
            self.ended = Some(end.map_or(StreamPiece::Interrupted, StreamPiece::End));
        }
        match self.chunks.poll_recv(context) {
            Poll::Ready(Some(chunk)) => Poll::Ready(StreamPiece::Chunk(chunk)),
            // All chunks have been taken. The end may still be missing.
            Poll::Ready(None) => self.ended.take().map_or(Poll::Pending, Poll::Ready),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn chunks_precede_the_end() {
        let (sender, mut stream) = stream(None);
        sender.chunks.send(Bytes::from_static(b"a")).await.unwrap();
        let completion = Completion::default();
        sender.end.send(completion).unwrap();
        let chunk = poll_fn(|context| stream.poll_next(context)).await;
        assert_eq!(chunk, StreamPiece::Chunk(Bytes::from_static(b"a")));
        let end = poll_fn(|context| stream.poll_next(context)).await;
        assert_eq!(end, StreamPiece::End(Completion::default()));
        assert!(sender.chunks.send(Bytes::new()).await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_sender_is_an_interruption() {
        let (sender, mut stream) = stream(None);
        drop(sender);
        let end = poll_fn(|context| stream.poll_next(context)).await;
        assert_eq!(end, StreamPiece::Interrupted);
    }
}
