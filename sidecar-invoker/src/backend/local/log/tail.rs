//! What one execution environment writes: the end of it, for callers who ask, and whether all of
//! it has been read, so that a report comes after what it reports on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::util::lock;

/// How much of the log a caller gets, as on AWS.
const TAIL_BYTES: usize = 4 * 1024;
/// How long a report waits for output that nobody takes off the invoker's hands.
const FORWARD_TIMEOUT: Duration = Duration::from_millis(100);

/// The log of one environment.
#[derive(Default)]
pub(crate) struct Log {
    /// What was written since the invocation began whose caller wants it.
    tail: Mutex<Option<Vec<u8>>>,
    pipes: Mutex<Vec<Arc<Pipe>>>,
    /// How many of the service's own lines nobody has read since the last.
    pub(crate) dropped: AtomicUsize,
}

/// The invoker's end of a process's output.
struct Pipe {
    end: OwnedFd,
    /// Whether something that was read is still being passed on.
    busy: AtomicBool,
    /// It is not any more.
    passed_on: Notify,
}

impl Log {
    /// Takes note of all that is read from `source`.
    ///
    /// # Errors
    /// There are too many open files.
    pub(crate) fn tap<R: AsFd>(self: &Arc<Self>, source: R) -> io::Result<Tap<R>> {
        let pipe = Arc::new(Pipe {
            end: source.as_fd().try_clone_to_owned()?,
            busy: AtomicBool::new(true),
            passed_on: Notify::new(),
        });
        lock(&self.pipes).push(Arc::clone(&pipe));
        Ok(Tap {
            source,
            pipe,
            log: Arc::clone(self),
        })
    }

    /// An invocation begins, whose caller may want the end of its log.
    pub(crate) fn begin(&self, wants_tail: bool) {
        *lock(&self.tail) = wants_tail.then(Vec::new);
    }

    /// Adds to the end of the log, if somebody wants it.
    pub(crate) fn note(&self, bytes: &[u8]) {
        if let Some(tail) = lock(&self.tail).as_mut() {
            tail.extend_from_slice(bytes);
            let surplus = tail.len().saturating_sub(TAIL_BYTES);
            tail.drain(..surplus);
        }
    }

    /// The end of the log since [`begin`](Self::begin).
    pub(crate) fn tail(&self) -> Option<Vec<u8>> {
        lock(&self.tail).take()
    }

    /// Waits until all that processes have written so far has been passed on.
    pub(crate) async fn passed_on(&self) {
        let pipes: Vec<_> = lock(&self.pipes)
            .iter()
            .filter(|pipe| !pipe.is_passed_on())
            .cloned()
            .collect();
        for pipe in pipes {
            let done = async {
                while !pipe.is_passed_on() {
                    pipe.passed_on.notified().await;
                }
            };
            // Given up if the invoker's own output is not read.
            let _ = timeout(FORWARD_TIMEOUT, done).await;
        }
    }
}

impl Pipe {
    /// The order matters: whoever reads says so first.
    fn is_passed_on(&self) -> bool {
        let unread = rustix::io::ioctl_fionread(&self.end).unwrap_or(0);
        unread == 0 && !self.busy.load(Ordering::SeqCst)
    }
}

/// A process's output, of which a [`Log`] takes note.
pub(crate) struct Tap<R> {
    source: R,
    pipe: Arc<Pipe>,
    log: Arc<Log>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Tap<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pipe.busy.store(true, Ordering::SeqCst);
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.source).poll_read(context, buffer);
        if polled.is_ready() {
            self.log
                .note(buffer.filled().get(before..).unwrap_or_default());
        } else {
            self.pipe.pause();
        }
        polled
    }
}

impl Pipe {
    fn pause(&self) {
        self.busy.store(false, Ordering::SeqCst);
        self.passed_on.notify_one();
    }
}

impl<R> Drop for Tap<R> {
    fn drop(&mut self) {
        lock(&self.log.pipes).retain(|pipe| !Arc::ptr_eq(pipe, &self.pipe));
        self.pipe.pause();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept_and_only_if_it_is_wanted() {
        let log = Log::default();
        log.begin(false);
        log.note(b"x");
        assert_eq!(log.tail(), None);
        log.begin(true);
        log.note(&[b'a'; TAIL_BYTES]);
        log.note(b"end");
        let tail = log.tail().unwrap();
        assert_eq!(tail.len(), TAIL_BYTES);
        assert!(tail.ends_with(b"aend"));
        assert_eq!(log.tail(), None);
    }

    #[tokio::test]
    async fn output_that_has_been_written_is_awaited() {
        use tokio::io::AsyncReadExt;

        let log = Arc::new(Log::default());
        log.begin(true);
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", "echo hello; exec sleep 600"])
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut tap = log.tap(child.stdout.take().unwrap()).unwrap();
        let mut line = [0; 6];
        tap.read_exact(&mut line).await.unwrap();
        let reader = tokio::spawn(async move {
            let mut rest = Vec::new();
            let _ = tap.read_to_end(&mut rest).await;
        });
        log.passed_on().await;
        assert_eq!(log.tail().unwrap(), b"hello\n");
        child.kill().await.unwrap();
        reader.await.unwrap();
        assert!(lock(&log.pipes).is_empty());
    }
}
