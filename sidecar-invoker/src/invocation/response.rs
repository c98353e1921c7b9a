//! The response of a function that the invoker runs: as a whole, or as it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::header::HeaderValue;
use tokio::sync::{mpsc, oneshot};

/// The payload that ends an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FunctionPayload {
    /// The payload that the function returned, not parsed.
    Success(Bytes),
    /// A function error: JSON with `errorMessage` and `errorType`, by the function itself or by
    /// the service if the function timed out or exited.
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
    /// The function has begun to respond.
    Streamed(ResponseStream),
}

/// How a streamed answer ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Completion {
    /// The function error, if it ended in one: JSON with `errorMessage` and `errorType`.
    pub(crate) error: Option<Bytes>,
    /// The end of the log, if the caller asked for it.
    pub(crate) log_tail: Option<Vec<u8>>,
}

/// An answer of which the next piece is fetched when the one before has been taken.
#[derive(Debug)]
pub(crate) struct ResponseStream {
    /// The media type that the function gave its answer.
    pub(crate) content_type: Option<HeaderValue>,
    chunks: mpsc::Receiver<Bytes>,
    end: oneshot::Receiver<Completion>,
    /// Taken from `end`, while there are chunks before it.
    ended: Option<StreamPiece>,
}

/// The next of an [`ResponseStream`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StreamPiece {
    Chunk(Bytes),
    End(Completion),
    /// The environment was told to end before the answer had.
    Interrupted,
}

/// The function's side of an [`ResponseStream`].
#[derive(Debug)]
pub(crate) struct StreamSender {
    /// Fails once the caller has gone.
    pub(crate) chunks: mpsc::Sender<Bytes>,
    pub(crate) end: oneshot::Sender<Completion>,
}

/// A stream and where to write it. A chunk is taken only when the one before has been.
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
    /// A stream of a response that is there as a whole.
    pub(crate) fn buffered(payload: FunctionPayload, log_tail: Option<Vec<u8>>) -> Self {
        let (sender, stream) = stream(None);
        let error = match payload {
            FunctionPayload::Success(payload) => {
                // The channel has room for one.
                let _ = sender.chunks.try_send(payload);
                None
            }
            FunctionPayload::Error(payload) => Some(payload),
        };
        let _ = sender.end.send(Completion { error, log_tail });
        stream
    }

    /// The next piece; nothing may be asked for after the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<StreamPiece> {
        if self.ended.is_none()
            && let Poll::Ready(end) = Pin::new(&mut self.end).poll(context)
        {
            // The function may still be writing if it did not end the answer itself.
            self.chunks.close();
            self.ended = Some(end.map_or(StreamPiece::Interrupted, StreamPiece::End));
        }
        match self.chunks.poll_recv(context) {
            Poll::Ready(Some(chunk)) => Poll::Ready(StreamPiece::Chunk(chunk)),
            // All chunks have been taken; the end may still be to come.
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
    async fn what_came_before_the_end_comes_first() {
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
    async fn an_end_that_never_comes_is_an_interruption() {
        let (sender, mut stream) = stream(None);
        drop(sender);
        let end = poll_fn(|context| stream.poll_next(context)).await;
        assert_eq!(end, StreamPiece::Interrupted);
    }
}
