//! An answer of AWS on its way to the caller, piece by piece.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::invoke_api::body::{ResponseBody, whole};
use crate::util::error_chain;
use lambda_api::FunctionName;

/// Smaller pieces are put together up to this size.
const LARGE: usize = 16 << 10;

/// The body of an answer of `function`, which keeps the invocation's `permit` to its end and breaks off
/// at the deadline.
///
/// A small one is there as soon as its head is: the invocation has ended, and there is nothing to
/// look after.
pub(super) fn forward_body<T: Send + 'static>(
    mut body: Incoming,
    deadline: Instant,
    permit: T,
    function: &FunctionName,
) -> ResponseBody {
    let (sender, pieces) = mpsc::channel(1);
    let mut nobody = Context::from_waker(Waker::noop());
    let mut broken = Ok(());
    match Pin::new(&mut body).poll_frame(&mut nobody) {
        Poll::Ready(None) => return whole(Bytes::new()),
        Poll::Ready(Some(Ok(frame))) => {
            let first = match frame.into_data() {
                Ok(bytes) if body.is_end_stream() => return whole(bytes),
                Ok(bytes) => Frame::data(bytes),
                Err(frame) => frame,
            };
            // The channel has room for one.
            let _ = sender.try_send(first);
        }
        Poll::Ready(Some(Err(error))) => broken = Err(error),
        Poll::Pending => {}
    }
    let function = function.to_string();
    // Nobody asks for the next piece while the caller does not read on, so a task has to look after
    // the deadline.
    let outcome = tokio::spawn(async move {
        let _permit = permit;
        let forwarding = async {
            broken?;
            forward(body, sender).await
        };
        let forwarded = match timeout_at(deadline, forwarding).await {
            Ok(forwarded) => forwarded.map_err(io::Error::other),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the time limit")),
        };
        if let Err(error) = &forwarded {
            let cause = error_chain(error);
            tracing::warn!(function, "AWS's answer was broken off: {cause}");
        }
        forwarded
    });
    let streamed = Streamed {
        pieces,
        outcome: Some(AbortOnDropHandle::new(outcome)),
        broken: None,
    };
    streamed.boxed_unsync()
}

/// Passes on what comes, no faster than it is taken.
///
/// hyper's client hands out one chunk at a time, and its server writes each with a system call of its
/// own. So small pieces are put together for as long as the next is there once all that could run
/// has run, its sender among them. No time passes for it.
async fn forward(mut body: Incoming, pieces: mpsc::Sender<Frame<Bytes>>) -> hyper::Result<()> {
    let mut gathered = BytesMut::new();
    loop {
        let next = tokio::select! {
            biased;
            next = body.frame() => Some(next),
            () = yield_now(), if !gathered.is_empty() => None,
        };
        let (behind, end) = match next {
            None => (None, None),
            Some(None) => (None, Some(Ok(()))),
            Some(Some(Err(error))) => (None, Some(Err(error))),
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) if bytes.len() < LARGE => {
                    gathered.extend_from_slice(&bytes);
                    if gathered.len() < LARGE {
                        continue;
                    }
                    (None, None)
                }
                Ok(bytes) => (Some(Frame::data(bytes)), None),
                Err(trailers) => (Some(trailers), None),
            },
        };
        let piece = (!gathered.is_empty()).then(|| Frame::data(gathered.split().freeze()));
        for frame in piece.into_iter().chain(behind) {
            if pieces.send(frame).await.is_err() {
                // The caller has gone.
                return Ok(());
            }
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// What a task passes on, and then how that ended.
struct Streamed {
    pieces: mpsc::Receiver<Frame<Bytes>>,
    /// Until it has been told.
    outcome: Option<AbortOnDropHandle<io::Result<()>>>,
    /// Told when the next piece is asked for.
    broken: Option<io::Error>,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(frame) = ready!(self.pieces.poll_recv(context)) {
            return Poll::Ready(Some(Ok(frame)));
        }
        let Some(outcome) = &mut self.outcome else {
            return Poll::Ready(None);
        };
        let forwarded = ready!(Pin::new(outcome).poll(context));
        self.outcome = None;
        match forwarded.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => Poll::Ready(None),
            Err(error) => {
                self.broken = Some(error);
                // A server that meets an error forgets what it has not yet written: it gets time to.
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
