//! The functions' own output, line by line, on the invoker's standard output.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Longest piece of a line that is kept together; a longer one is cut.
const MAX_LINE_BYTES: usize = 60 * 1024;
const READ_BYTES: usize = 8 * 1024;
/// Pieces that may wait for the terminal. Beyond that a function that writes has to wait, as it
/// would if it wrote to the terminal itself; nothing is lost and memory stays bounded.
const WAITING_PIECES: usize = 16;

/// Where the output of all functions goes.
#[derive(Clone)]
pub(crate) struct Output(mpsc::Sender<Bytes>);

/// Tells when everything has been written.
pub(crate) struct Flushed(oneshot::Receiver<()>);

impl Output {
    /// Starts a thread that writes to `sink`. A sink that is closed swallows the output: functions
    /// go on without a reader.
    pub(crate) fn to(mut sink: impl Write + Send + 'static) -> (Self, Flushed) {
        let (sender, mut pieces) = mpsc::channel::<Bytes>(WAITING_PIECES);
        let (done, flushed) = oneshot::channel();
        std::thread::spawn(move || {
            while let Some(piece) = pieces.blocking_recv() {
                let _ = sink.write_all(&piece).and_then(|()| sink.flush());
            }
            let _ = done.send(());
        });
        (Self(sender), Flushed(flushed))
    }

    /// Passes on what `source` gives until it ends, each line with `name | ` before it.
    pub(super) async fn forward(self, name: String, mut source: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(&name);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = source.read(&mut buffer).await.unwrap_or(0);
            let piece = match buffer.get(..read) {
                Some(chunk) if !chunk.is_empty() => lines.push(chunk),
                _ => lines.finish(),
            };
            if !piece.is_empty() && self.0.send(piece.into()).await.is_err() || read == 0 {
                return;
            }
        }
    }
}

impl Flushed {
    /// Waits, for a second at most, until all that functions wrote has been passed on; the
    /// [`Output`]s must have been dropped.
    pub(crate) async fn wait(self) {
        let _ = timeout(Duration::from_secs(1), self.0).await;
    }
}

/// Cuts a stream of bytes into lines with a prefix.
struct Lines {
    prefix: String,
    partial: Vec<u8>,
    /// Whether the last line ended in a carriage return, whose line feed may follow.
    returned: bool,
}

impl Lines {
    fn new(name: &str) -> Self {
        Self {
            prefix: format!("{name} | "),
            partial: Vec::new(),
            returned: false,
        }
    }

    /// Takes in `chunk`; out come the lines that are complete. A carriage return ends a line too:
    /// the runtime client of Python writes the lines of a stack trace so, and on a terminal each
    /// would overwrite the one before.
    fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut complete = Vec::with_capacity(chunk.len());
        for line in chunk.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            if std::mem::take(&mut self.returned) && line == b"\n" {
                continue;
            }
            self.partial.extend_from_slice(line);
            if let Some(end @ (b'\n' | b'\r')) = self.partial.last_mut() {
                self.returned = *end == b'\r';
                *end = b'\n';
                self.flush_into(&mut complete);
            } else if self.partial.len() >= MAX_LINE_BYTES {
                self.partial.push(b'\n');
                self.flush_into(&mut complete);
            }
        }
        complete
    }

    /// The last line, if it has no end.
    fn finish(&mut self) -> Vec<u8> {
        let mut last = Vec::new();
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
            self.flush_into(&mut last);
        }
        last
    }

    fn flush_into(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix.as_bytes());
        out.append(&mut self.partial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_a_prefix_wherever_the_chunks_end() {
        let mut lines = Lines::new("f");
        assert_eq!(lines.push(b"a\nb"), b"f | a\n");
        assert_eq!(lines.push(b"c\n\n"), b"f | bc\nf | \n");
        assert_eq!(lines.push(b"end"), b"");
        assert_eq!(lines.finish(), b"f | end\n");
        assert_eq!(lines.finish(), b"");
    }

    #[test]
    fn a_carriage_return_ends_a_line_with_or_without_a_line_feed() {
        let mut lines = Lines::new("f");
        assert_eq!(lines.push(b"a\rb\r\nc\r"), b"f | a\nf | b\nf | c\n");
        assert_eq!(lines.push(b"\n\nd\n"), b"f | \nf | d\n");
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::new("f");
        let mut kept = 0;
        for _ in 0..1_000 {
            kept += lines
                .push(&[b'x'; 1_024])
                .iter()
                .filter(|&&byte| byte == b'x')
                .count();
            assert!(lines.partial.len() < MAX_LINE_BYTES);
        }
        assert_eq!(kept + lines.partial.len(), 1_000 * 1_024);
    }
}
