//! The body of a response of AWS on its way to the caller.

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
use crate::util::{admit_line, error_chain};
use lambda_api::FunctionName;

/// Chunks are combined up to this size.
const COMBINED_BYTES: usize = 16 << 10;

/// Returns the body of a response of `function`. The body holds the `permit` of the invocation until it
/// ends, and fails at the deadline.
///
/// The body of a small response is already complete. It is returned whole, without a task.
pub(super) fn forward_body<T: Send + 'static>(
    mut body: Incoming,
    deadline: Instant,
    permit: T,
    function: &FunctionName,
) -> ResponseBody {
    let (sender, frames) = mpsc::channel(1);
    let mut context = Context::from_waker(Waker::noop());
    let mut failed = Ok(());
    match Pin::new(&mut body).poll_frame(&mut context) {
        Poll::Ready(None) => return whole(Bytes::new()),
        Poll::Ready(Some(Ok(frame))) => {
            let first = match frame.into_data() {
                Ok(bytes) if body.is_end_stream() => return whole(bytes),
                Ok(bytes) => Frame::data(bytes),
                Err(frame) => frame,
            };
            // The channel has room for one frame.
            let _ = sender.try_send(first);
        }
        Poll::Ready(Some(Err(error))) => failed = Err(error),
        Poll::Pending => {}
    }
    let function = function.to_string();
    // A caller that does not read does not poll the body either, so a task enforces the deadline.
    let task = tokio::spawn(async move {
        let _permit = permit;
        let forwarding = async {
            failed?;
            forward(body, sender).await
        };
        let forwarded = match timeout_at(deadline, forwarding).await {
            Ok(forwarded) => forwarded.map_err(io::Error::other),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the time limit")),
        };
        if let Err(error) = &forwarded {
            let cause = error_chain(error);
            if let Some(left_out) = admit_line!() {
                tracing::warn!(function, "AWS's response was broken off: {cause}{left_out}");
            }
        }
        forwarded
    });
    let forwarded = ForwardedBody {
        frames,
        task: Some(AbortOnDropHandle::new(task)),
        error: None,
    };
    forwarded.boxed_unsync()
}

/// Forwards the frames of `body`, no faster than the receiver takes them.
///
/// hyper's client returns one chunk at a time, and its server makes a system call for each. Small chunks
/// are therefore combined as long as the next chunk is there after one turn of the scheduler, in which
/// its sender can run. That adds no delay.
async fn forward(mut body: Incoming, frames: mpsc::Sender<Frame<Bytes>>) -> hyper::Result<()> {
    let mut combined = BytesMut::new();
    loop {
        let next = tokio::select! {
            biased;
            next = body.frame() => Some(next),
            () = yield_now(), if !combined.is_empty() => None,
        };
        let (following, end) = match next {
            None => (None, None),
            Some(None) => (None, Some(Ok(()))),
            Some(Some(Err(error))) => (None, Some(Err(error))),
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) if bytes.len() < COMBINED_BYTES => {
                    combined.extend_from_slice(&bytes);
                    if combined.len() < COMBINED_BYTES {
                        continue;
                    }
                    (None, None)
                }
                Ok(bytes) => (Some(Frame::data(bytes)), None),
                Err(trailers) => (Some(trailers), None),
            },
        };
        let chunk = (!combined.is_empty()).then(|| Frame::data(combined.split().freeze()));
        for frame in chunk.into_iter().chain(following) {
            if frames.send(frame).await.is_err() {
                // The caller has left.
                return Ok(());
            }
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// The frames that a task forwards, followed by its error if it fails.
struct ForwardedBody {
    frames: mpsc::Receiver<Frame<Bytes>>,
    /// The task, until its result has been read.
    task: Option<AbortOnDropHandle<io::Result<()>>>,
    /// The error of the task, to be returned by the next poll.
    error: Option<io::Error>,
}

impl Body for ForwardedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(frame) = ready!(self.frames.poll_recv(context)) {
            return Poll::Ready(Some(Ok(frame)));
        }
        let Some(task) = &mut self.task else {
            return Poll::Ready(None);
        };
        let forwarded = ready!(Pin::new(task).poll(context));
        self.task = None;
        match forwarded.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => Poll::Ready(None),
            Err(error) => {
                self.error = Some(error);
                // On an error, hyper's server discards what it has not written yet. Returning the error
                // one poll later lets it write first.
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
