//! Message bodies: reading those of bounded size, and the responses' own.

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

/// A response's body: whole, or passed on as it comes.
pub(crate) type ResponseBody = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is there as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> ResponseBody {
    let body = Full::new(bytes.into());
    body.map_err(|never| match never {}).boxed_unsync()
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It is larger than [`MAX_PAYLOAD_BYTES`].
    TooLarge,
    /// The peer broke off, or paused for longer than it may.
    BrokenOff(BoxError),
}

impl ReadError {
    /// Whether the peer paused for longer than it may.
    pub(crate) fn is_pause(&self) -> bool {
        matches!(self, Self::BrokenOff(error) if error.is::<Elapsed>())
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Reads a whole body and its trailers, and no further than [`MAX_PAYLOAD_BYTES`].
pub(crate) async fn read(body: &mut Incoming) -> Result<(Bytes, Option<HeaderMap>), ReadError> {
    collect(body).await
}

/// Like [`read`], but never waits longer than `pause` for the next piece.
pub(crate) async fn read_without_pause(
    body: &mut Incoming,
    pause: Duration,
) -> Result<Bytes, ReadError> {
    let body = Flowing {
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

/// A body that fails when it pauses.
struct Flowing<'b> {
    body: &'b mut Incoming,
    pause: Duration,
    waiting: Option<Pin<Box<Timeout<Pending<()>>>>>,
}

impl Body for Flowing<'_> {
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

/// Reads what is left of a body and throws it away.
pub(crate) async fn drain(body: &mut Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// Like [`drain`], but no further than twice [`MAX_PAYLOAD_BYTES`], and for at most `limit`.
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
    // Its end ends the connection if the body has not ended.
    let _ = timeout(limit, skipped).await;
}
