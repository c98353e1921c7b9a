//! An answer of AWS on its way to the caller, piece by piece.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::lock::lock;

/// A body that is not read faster than its caller reads, keeps the invocation's turn to its end, and
/// breaks off at the deadline. Nobody asks for the next piece while a caller does not read on, so a
/// task looks after the deadline.
pub(crate) struct Streamed<T> {
    answer: Arc<Mutex<State<T>>>,
    function: String,
    _limit: AbortOnDropHandle<()>,
}

enum State<T> {
    Open {
        body: Incoming,
        _turn: T,
        reader: Option<Waker>,
    },
    Ended,
    TimedOut,
}

impl<T: Send + 'static> Streamed<T> {
    pub(crate) fn new(body: Incoming, deadline: Instant, turn: T, function: String) -> Self {
        let answer = Arc::new(Mutex::new(State::Open {
            body,
            _turn: turn,
            reader: None,
        }));
        let limited = Arc::clone(&answer);
        let limit = tokio::spawn(async move {
            sleep_until(deadline).await;
            let state = match &mut *lock(&limited) {
                State::Ended => return,
                state => std::mem::replace(state, State::TimedOut),
            };
            if let State::Open {
                reader: Some(reader),
                ..
            } = state
            {
                reader.wake();
            }
        });
        Self {
            answer,
            function,
            _limit: AbortOnDropHandle::new(limit),
        }
    }

    fn broken_off(&self, error: io::Error) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        tracing::warn!(
            function = self.function,
            "AWS's answer was broken off: {error}"
        );
        Poll::Ready(Some(Err(error)))
    }
}

impl<T: Send + 'static> Body for Streamed<T> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut state = lock(&self.answer);
        let polled = match &mut *state {
            State::Open { body, reader, .. } => {
                let polled = Pin::new(body).poll_frame(context);
                *reader = polled.is_pending().then(|| context.waker().clone());
                polled
            }
            State::Ended => return Poll::Ready(None),
            State::TimedOut => {
                *state = State::Ended;
                drop(state);
                let error = io::Error::new(io::ErrorKind::TimedOut, "the time limit");
                return self.broken_off(error);
            }
        };
        if let Poll::Ready(None | Some(Err(_))) = polled {
            *state = State::Ended;
        }
        drop(state);
        match polled {
            Poll::Ready(Some(Err(error))) => self.broken_off(io::Error::other(error)),
            polled => polled.map_err(io::Error::other),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &*lock(&self.answer) {
            State::Open { body, .. } => body.is_end_stream(),
            State::Ended => true,
            State::TimedOut => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &*lock(&self.answer) {
            State::Open { body, .. } => body.size_hint(),
            State::Ended => SizeHint::with_exact(0),
            State::TimedOut => SizeHint::new(),
        }
    }
}
