//! A timeout for connections on which the peer sends nothing.
//!
//! hyper's own timeout begins once the protocol is known. hyper waits without a timeout for the first
//! bytes, by which it tells HTTP/1.1 from HTTP/2.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection on which reading fails unless the first byte arrives in time.
pub(crate) struct FirstByteTimeout<S> {
    stream: S,
    /// The timer, until the first byte arrives.
    limit: Option<Pin<Box<Sleep>>>,
}

impl<S> FirstByteTimeout<S> {
    /// Wraps a connection whose first byte has to arrive within `limit`.
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit: Some(Box::pin(sleep(limit))),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstByteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.limit = None;
        } else if let Some(limit) = &mut self.limit {
            std::task::ready!(limit.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstByteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn silence_ends_a_connection_and_the_first_byte_lifts_the_limit() {
        let limit = Duration::from_millis(20);
        let (_silent, stream) = duplex(8);
        let error = FirstByteTimeout::new(stream, limit)
            .read_u8()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (mut peer, stream) = duplex(8);
        peer.write_all(b"x").await.unwrap();
        let mut stream = FirstByteTimeout::new(stream, limit);
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
        sleep(limit * 2).await;
        peer.write_all(b"y").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'y');
    }
}
