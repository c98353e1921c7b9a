//! Message bodies: bounded reads of requests and responses, and the type of response bodies.

use std::future::{Pending, pending};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::error::Elapsed;
use tokio::time::{Timeout, timeout};

use lambda_api::limits::MAX_PAYLOAD_BYTES;

/// The body of a response: whole, or streamed.
pub(crate) type ResponseBody = UnsyncBoxBody<Bytes, io::Error>;

/// An error of any type.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Returns a body with these bytes.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> ResponseBody {
    let body = Full::new(bytes.into());
    body.map_err(|never| match never {}).boxed_unsync()
}

/// The reason why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The body is larger than [`MAX_PAYLOAD_BYTES`].
    TooLarge,
    /// The connection failed, or the sender paused for too long.
    BrokenOff(BoxError),
}

impl ReadError {
    /// Returns whether the sender paused, or took, too long.
    pub(crate) fn is_pause(&self) -> bool {
        matches!(self, Self::BrokenOff(error) if error.is::<Elapsed>())
    }
}

/// Reads a body of at most [`MAX_PAYLOAD_BYTES`], and its trailers.
pub(crate) async fn read(body: &mut Incoming) -> Result<(Bytes, Option<HeaderMap>), ReadError> {
    collect(body).await
}

/// Reads a body like [`read`], but waits no longer than `pause` for each frame.
pub(crate) async fn read_without_pause(
    body: &mut Incoming,
    pause: Duration,
) -> Result<Bytes, ReadError> {
    let body = FrameTimeout {
        body,
        pause,
        waiting: None,
    };
    collect(body).await.map(|(bytes, _)| bytes)
}

async fn collect<B>(body: B) -> Result<(Bytes, Option<HeaderMap>), ReadError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if body.size_hint().lower() > MAX_PAYLOAD_BYTES as u64 {
        return Err(ReadError::TooLarge);
    }
    match Limited::new(body, MAX_PAYLOAD_BYTES).collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            Ok((collected.to_bytes(), trailers))
        }
        Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge),
        Err(error) => Err(ReadError::BrokenOff(error)),
    }
}

/// A body that fails when its sender pauses.
///
/// `TimeoutBody` of `tower-http` does the same, at the price of that crate.
struct FrameTimeout<'b> {
    body: &'b mut Incoming,
    pause: Duration,
    /// The timer of the frame that is awaited.
    waiting: Option<Pin<Box<Timeout<Pending<()>>>>>,
}

impl Body for FrameTimeout<'_> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut *self.body).poll_frame(context);
        if frame.is_ready() {
            self.waiting = None;
            return frame.map_err(Into::into);
        }
        let pause = self.pause;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(timeout(pause, pending())));
        let elapsed = std::task::ready!(waiting.as_mut().poll(context));
        Poll::Ready(elapsed.err().map(|elapsed| Err(elapsed.into())))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads and discards the rest of a body.
pub(crate) async fn drain(body: &mut Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// Reads and discards at most twice [`MAX_PAYLOAD_BYTES`] of a body, for at most `limit`.
///
/// If the body has not ended by then, dropping it closes the connection.
pub(crate) async fn skip(mut body: Incoming, limit: Duration) {
    let mut left = 2 * MAX_PAYLOAD_BYTES;
    let skipped = async {
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    let _ = timeout(limit, skipped).await;
}
