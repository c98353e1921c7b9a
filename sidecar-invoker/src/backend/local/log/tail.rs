//! The log of one execution environment. It keeps the end for callers, and knows when all output has
//! been forwarded, so that a report follows the output of its invocation.

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

use super::line_context::LineContext;
use super::lines::Lines;
use crate::invocation::{Invocation, Timeline};
use crate::util::lock;
use lambda_api::LogType;

/// The length of the log tail that a caller gets, as on AWS.
const TAIL_BYTES: usize = 4 * 1024;
/// The maximum time that a report waits for output while the invoker's own output is not read.
const FORWARD_TIMEOUT: Duration = Duration::from_millis(100);

/// The log of one environment.
#[derive(Default)]
pub(crate) struct Log {
    recipients: Mutex<Recipients>,
    pipes: Mutex<Vec<Arc<Pipe>>>,
    /// The number of the service's own lines that were dropped since the last one was written.
    pub(crate) dropped: AtomicUsize,
}

/// The recipients of the output since the invocation began.
#[derive(Default)]
struct Recipients {
    /// The end of the output, if the caller wants it.
    tail: Option<Vec<u8>>,
    /// The course of the invocation, if it keeps the log.
    timeline: Option<Arc<Timeline>>,
    context: Option<LineContext>,
}

/// The invoker's end of a process's output pipe.
struct Pipe {
    end: OwnedFd,
    /// Output that was read is still being forwarded.
    is_busy: AtomicBool,
    /// Notified when all output has been forwarded.
    forwarded: Notify,
    lines: Mutex<Lines>,
}

impl Log {
    /// Wraps `source` in a reader whose lines are copied to the log.
    ///
    /// # Errors
    /// There are too many open files.
    pub(crate) fn tap<R: AsFd>(self: &Arc<Self>, source: R) -> io::Result<Tap<R>> {
        let pipe = Arc::new(Pipe {
            end: source.as_fd().try_clone_to_owned()?,
            is_busy: AtomicBool::new(true),
            forwarded: Notify::new(),
            lines: Mutex::default(),
        });
        lock(&self.pipes).push(Arc::clone(&pipe));
        Ok(Tap {
            source,
            pipe,
            log: Arc::clone(self),
        })
    }

    /// Begins the log of an invocation.
    pub(crate) fn begin(&self, invocation: &Invocation) {
        let Invocation {
            log_type,
            timeline,
            request_id,
            trace_id,
            ..
        } = invocation;
        *lock(&self.recipients) = Recipients {
            tail: (*log_type == LogType::Tail).then(Vec::new),
            timeline: timeline.wants_log().then(|| Arc::clone(timeline)),
            context: Some(LineContext {
                request_id: *request_id,
                trace_id: trace_id.clone(),
                report: None,
            }),
        };
    }

    /// Ends the log of an invocation. Lines that follow belong to none.
    pub(crate) fn end(&self) {
        *lock(&self.recipients) = Recipients::default();
    }

    /// Returns the invocation that lines belong to now.
    pub(crate) fn context(&self) -> Option<LineContext> {
        lock(&self.recipients).context.clone()
    }

    /// Appends to the log, if the caller wants it.
    pub(crate) fn append(&self, bytes: &[u8]) {
        let mut recipients = lock(&self.recipients);
        if let Some(timeline) = &recipients.timeline {
            timeline.log(bytes);
        }
        if let Some(tail) = &mut recipients.tail {
            tail.extend_from_slice(bytes);
            let surplus = tail.len().saturating_sub(TAIL_BYTES);
            tail.drain(..surplus);
        }
    }

    /// Takes the end of the log since [`begin`](Self::begin).
    pub(crate) fn tail(&self) -> Option<Vec<u8>> {
        lock(&self.recipients).tail.take()
    }

    /// Ends the lines that processes have begun, and returns them. The caller has to forward them.
    ///
    /// Each process has its own, so that the output of one does not continue the line of another.
    pub(crate) fn end_lines(&self) -> Vec<u8> {
        let pipes = lock(&self.pipes);
        let lines: Vec<u8> = pipes
            .iter()
            .flat_map(|pipe| lock(&pipe.lines).finish())
            .collect();
        drop(pipes);
        self.append(&lines);
        lines
    }

    /// Waits until all output that processes have written so far has been forwarded.
    pub(crate) async fn wait_until_forwarded(&self) {
        let pipes: Vec<_> = lock(&self.pipes)
            .iter()
            .filter(|pipe| !pipe.is_forwarded())
            .cloned()
            .collect();
        for pipe in pipes {
            let forwarded = async {
                while !pipe.is_forwarded() {
                    pipe.forwarded.notified().await;
                }
            };
            // Times out if the invoker's own output is not read.
            let _ = timeout(FORWARD_TIMEOUT, forwarded).await;
        }
    }
}

impl Pipe {
    /// Returns true if all output has been forwarded.
    ///
    /// The pipe is checked first, because a reader sets `is_busy` before it empties the pipe.
    fn is_forwarded(&self) -> bool {
        let unread = rustix::io::ioctl_fionread(&self.end).unwrap_or(0);
        unread == 0 && !self.is_busy.load(Ordering::SeqCst)
    }
}

/// A process's output, whose lines are copied to a [`Log`].
pub(crate) struct Tap<R> {
    source: R,
    pipe: Arc<Pipe>,
    log: Arc<Log>,
}

impl<R> Tap<R> {
    /// Adds a `chunk` that was read, and returns the lines that are complete.
    pub(crate) fn push(&self, chunk: &[u8]) -> Vec<u8> {
        self.log(lock(&self.pipe.lines).push(chunk))
    }

    /// Returns the invocation that lines belong to now.
    pub(super) fn context(&self) -> Option<LineContext> {
        self.log.context()
    }

    /// Returns the last line if it has no end.
    pub(crate) fn finish(&self) -> Vec<u8> {
        self.log(lock(&self.pipe.lines).finish())
    }

    fn log(&self, lines: Vec<u8>) -> Vec<u8> {
        self.log.append(&lines);
        lines
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Tap<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pipe.is_busy.store(true, Ordering::SeqCst);
        let polled = Pin::new(&mut self.source).poll_read(context, buffer);
        if polled.is_pending() {
            self.pipe.pause();
        }
        polled
    }
}

impl Pipe {
    fn pause(&self) {
        self.is_busy.store(false, Ordering::SeqCst);
        self.forwarded.notify_one();
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
    use crate::backend::local::spec::tests::invocation as any_invocation;

    fn invocation(log_type: LogType) -> Invocation {
        Invocation {
            log_type,
            ..any_invocation(&serde_json::Value::Null)
        }
    }

    #[test]
    fn only_the_end_of_the_log_is_kept_and_only_on_request() {
        let log = Log::default();
        log.begin(&invocation(LogType::None));
        log.append(b"x");
        assert_eq!(log.tail(), None);
        log.begin(&invocation(LogType::Tail));
        log.append(&[b'a'; TAIL_BYTES]);
        log.append(b"end");
        let tail = log.tail().unwrap();
        assert_eq!(tail.len(), TAIL_BYTES);
        assert!(tail.ends_with(b"aend"));
        assert_eq!(log.tail(), None);
    }

    #[tokio::test]
    async fn written_output_is_awaited() {
        use tokio::io::AsyncReadExt;

        let log = Arc::new(Log::default());
        log.begin(&invocation(LogType::Tail));
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", "echo hello; printf begun; exec sleep 600"])
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut tap = log.tap(child.stdout.take().unwrap()).unwrap();
        let mut text = [0; 11];
        tap.read_exact(&mut text).await.unwrap();
        assert_eq!(tap.push(&text), b"hello\n");
        let reader = tokio::spawn(async move {
            let mut rest = Vec::new();
            let _ = tap.read_to_end(&mut rest).await;
        });
        log.wait_until_forwarded().await;
        assert_eq!(log.end_lines(), b"begun\n");
        assert_eq!(log.tail().unwrap(), b"hello\nbegun\n");
        child.kill().await.unwrap();
        reader.await.unwrap();
        assert!(lock(&log.pipes).is_empty());
    }
}
