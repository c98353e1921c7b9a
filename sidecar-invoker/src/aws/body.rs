//! An answer of AWS on its way to the caller, piece by piece.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::body::{ResponseBody, whole};
use crate::invocation::FunctionName;
use crate::lock::lock;

/// The body of an answer of `function`, which keeps the invocation's `turn` to its end and breaks off
/// at the deadline.
///
/// A small one is there as soon as its head is: the invocation has ended, and there is nothing to
/// look after.
pub(super) fn passed<T: Send + Unpin + 'static>(
    mut body: Incoming,
    deadline: Instant,
    turn: T,
    function: &FunctionName,
) -> ResponseBody {
    let mut nobody = Context::from_waker(Waker::noop());
    let first = match Pin::new(&mut body).poll_frame(&mut nobody) {
        Poll::Ready(None) => return whole(Bytes::new()),
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(bytes) if body.is_end_stream() => return whole(bytes),
            Ok(bytes) => Some(Ok(Frame::data(bytes))),
            Err(frame) => Some(Ok(frame)),
        },
        Poll::Ready(Some(Err(error))) => Some(Err(error)),
        Poll::Pending => None,
    };
    Streamed::new(first, body, deadline, turn, function.to_string()).boxed_unsync()
}

/// A body that is not read faster than its caller reads. Nobody asks for the next piece while a
/// caller does not read on, so a task looks after the deadline.
struct Streamed<T> {
    answer: Arc<Mutex<State<T>>>,
    function: String,
    _limit: AbortOnDropHandle<()>,
}

enum State<T> {
    Open {
        first: Option<hyper::Result<Frame<Bytes>>>,
        body: Incoming,
        _turn: T,
        reader: Option<Waker>,
    },
    TimedOut,
    /// Told when it is asked for the next time.
    Broken(Option<io::Error>),
    Ended,
}

impl<T: Send + 'static> Streamed<T> {
    fn new(
        first: Option<hyper::Result<Frame<Bytes>>>,
        body: Incoming,
        deadline: Instant,
        turn: T,
        function: String,
    ) -> Self {
        let answer = Arc::new(Mutex::new(State::Open {
            first,
            body,
            _turn: turn,
            reader: None,
        }));
        let limited = Arc::clone(&answer);
        let limit = tokio::spawn(async move {
            sleep_until(deadline).await;
            let state = match &mut *lock(&limited) {
                State::Ended | State::Broken(_) => return,
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
            State::Open {
                first,
                body,
                reader,
                ..
            } => {
                let polled = match first.take() {
                    Some(first) => Poll::Ready(Some(first)),
                    None => Pin::new(body).poll_frame(context),
                };
                *reader = polled.is_pending().then(|| context.waker().clone());
                polled.map_err(io::Error::other)
            }
            State::TimedOut => {
                let error = io::Error::new(io::ErrorKind::TimedOut, "the time limit");
                Poll::Ready(Some(Err(error)))
            }
            State::Broken(error) => {
                let error = error.take();
                *state = State::Ended;
                return Poll::Ready(error.map(Err));
            }
            State::Ended => return Poll::Ready(None),
        };
        match polled {
            Poll::Ready(Some(Err(error))) => {
                tracing::warn!(
                    function = self.function,
                    "AWS's answer was broken off: {error}"
                );
                *state = State::Broken(Some(error));
                // A server that meets an error forgets what it has not yet written: it gets time to.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                *state = State::Ended;
                Poll::Ready(None)
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &*lock(&self.answer) {
            State::Open { first, body, .. } => first.is_none() && body.is_end_stream(),
            State::TimedOut | State::Broken(_) => false,
            State::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &*lock(&self.answer) {
            State::Open {
                first: None, body, ..
            } => body.size_hint(),
            // Asked for before the first piece only if the head does not say it.
            State::Open { .. } | State::TimedOut | State::Broken(_) => SizeHint::new(),
            State::Ended => SizeHint::with_exact(0),
        }
    }
}
