//! An answer of AWS on its way to the caller, piece by piece.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// A body that is not read faster than its caller reads, keeps the invocation's turn to its end, and
/// breaks off at the deadline.
pub(crate) struct Streamed<T> {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
    turn: Option<T>,
    function: String,
}

impl<T> Streamed<T> {
    pub(crate) fn new(body: Incoming, deadline: Instant, turn: T, function: String) -> Self {
        Self {
            body,
            deadline: Box::pin(sleep_until(deadline)),
            turn: Some(turn),
            function,
        }
    }

    fn broken_off(&mut self, error: io::Error) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.turn = None;
        tracing::warn!(
            function = self.function,
            "AWS's answer was broken off: {error}"
        );
        Poll::Ready(Some(Err(error)))
    }
}

impl<T: Unpin> Body for Streamed<T> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(Some(Err(error))) => self.broken_off(io::Error::other(error)),
            Poll::Ready(None) => {
                self.turn = None;
                Poll::Ready(None)
            }
            Poll::Pending => match self.deadline.as_mut().poll(context) {
                Poll::Ready(()) => {
                    self.broken_off(io::Error::new(io::ErrorKind::TimedOut, "the time limit"))
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
