//! A timeout for clients that do not take what a connection has to write.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::activity::Activity;

/// A connection on which writing fails if the client takes nothing for some time.
pub(super) struct WriteTimeout<S> {
    stream: S,
    limit: Duration,
    /// The timer, while the client takes nothing.
    blocked: Option<Pin<Box<Sleep>>>,
    activity: Arc<Activity>,
}

impl<S> WriteTimeout<S> {
    /// Wraps a connection whose client has to take something within `limit`.
    pub(super) fn new(stream: S, limit: Duration, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            limit,
            blocked: None,
            activity,
        }
    }

    /// Returns the result of a write, or an error once the client has taken nothing for too long.
    fn limited<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.blocked.take().is_some() {
                self.activity.set_blocked(false);
            }
            return written;
        }
        let timer = self.blocked.get_or_insert_with(|| {
            self.activity.set_blocked(true);
            Box::pin(sleep(self.limit))
        });
        std::task::ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limited(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // A flush that is done says nothing about a write that waits.
        match flushed {
            Poll::Pending => self.limited(flushed, context),
            done => done,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.limited(ended, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.limited(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_ends_its_connection() {
        let (_client, stream) = duplex(8);
        let activity = Activity::new();
        let mut stream = WriteTimeout::new(stream, LIMIT, Arc::clone(&activity));
        let error = stream.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_has_the_time_anew_for_each_piece() {
        let (mut client, stream) = duplex(8);
        let mut stream = WriteTimeout::new(stream, LIMIT, Activity::new());
        let reader = tokio::spawn(async move {
            let mut piece = [0; 8];
            for _ in 0..4 {
                advance(LIMIT / 2).await;
                client.read_exact(&mut piece).await.unwrap();
            }
        });
        stream.write_all(&[0; 32]).await.unwrap();
        reader.await.unwrap();
    }
}
