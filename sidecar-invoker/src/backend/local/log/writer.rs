//! The functions' own output, line by line, on the invoker's standard output.

use std::io::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::config::LogFormat;
use crate::util::time::timestamp;

/// Longest piece of a line that is kept together; a longer one is cut.
const MAX_LINE_BYTES: usize = 60 * 1024;
const READ_BYTES: usize = 8 * 1024;
/// Pieces that may wait for whoever reads the invoker's output.
const WAITING_PIECES: usize = 256;
/// How long pieces gather before they are written together: to wake the thread that writes costs more
/// than a short function.
const GATHERING: Duration = Duration::from_millis(2);
/// How long a function that writes waits for that reader. After it, what the function writes is
/// dropped until the reader goes on: a terminal that was stopped must not make functions time out.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the output of all functions goes.
#[derive(Clone)]
pub(crate) struct Output {
    pieces: mpsc::Sender<Bytes>,
    format: LogFormat,
    clock: fn() -> SystemTime,
}

/// Tells when everything has been written.
pub(crate) struct Flushed(oneshot::Receiver<()>);

/// Whose output it is.
#[derive(Debug, Clone)]
pub(crate) struct LogSource {
    pub(crate) function: String,
    /// The environment's short name.
    pub(crate) environment: String,
}

impl Output {
    /// Starts a thread that writes to `sink`. A sink that is closed swallows the output: functions
    /// go on without a reader.
    pub(crate) fn to(
        mut sink: impl Write + Send + 'static,
        format: LogFormat,
        clock: fn() -> SystemTime,
    ) -> (Self, Flushed) {
        let (sender, mut pieces) = mpsc::channel::<Bytes>(WAITING_PIECES);
        let (done, flushed) = oneshot::channel();
        std::thread::spawn(move || {
            let mut gathered = Vec::with_capacity(WAITING_PIECES);
            while pieces.blocking_recv_many(&mut gathered, WAITING_PIECES) > 0 {
                let text = gathered.concat();
                gathered.clear();
                let _ = sink.write_all(&text).and_then(|()| sink.flush());
                std::thread::sleep(GATHERING);
            }
            let _ = done.send(());
        });
        let output = Self {
            pieces: sender,
            format,
            clock,
        };
        (output, Flushed(flushed))
    }

    /// Passes on what `reader` gives until it ends, each line with its source.
    pub(crate) async fn forward(self, source: LogSource, mut reader: impl AsyncRead + Unpin) {
        let mut lines = Lines::default();
        let mut buffer = vec![0; READ_BYTES];
        let mut dropped = 0;
        loop {
            let read = reader.read(&mut buffer).await.unwrap_or(0);
            let complete = match buffer.get(..read) {
                Some(chunk) if !chunk.is_empty() => lines.push(chunk),
                _ => lines.finish(),
            };
            if !complete.is_empty() {
                dropped = self.pass(&source, &complete, dropped).await;
            }
            if read == 0 {
                return;
            }
        }
    }

    /// Passes on complete lines, and before them how many were `dropped` since the last; returns
    /// how many are dropped now.
    pub(crate) async fn pass(&self, source: &LogSource, lines: &[u8], dropped: usize) -> usize {
        let mut place = self.pieces.try_reserve().ok();
        if place.is_none() && dropped == 0 {
            let free = timeout(WRITE_TIMEOUT, self.pieces.reserve()).await;
            place = free.ok().and_then(Result::ok);
        }
        let Some(place) = place else {
            return dropped + lines.split(|&byte| byte == b'\n').count() - 1;
        };
        let mut piece = Vec::with_capacity(lines.len() + 64);
        if dropped > 0 {
            let note = format!("({dropped} lines dropped: nothing read the invoker's output)");
            self.write(source, note.as_bytes(), &mut piece);
        }
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            self.write(source, line.strip_suffix(b"\n").unwrap_or(line), &mut piece);
        }
        place.send(piece.into());
        0
    }

    /// Writes one line without its end in the format that is wanted.
    fn write(&self, source: &LogSource, line: &[u8], out: &mut Vec<u8>) {
        let LogSource {
            function,
            environment,
        } = source;
        match self.format {
            LogFormat::Text => {
                for part in [
                    function.as_bytes(),
                    b"/",
                    environment.as_bytes(),
                    b" | ",
                    line,
                ] {
                    out.extend_from_slice(part);
                }
            }
            LogFormat::Json => {
                let record = json!({
                    "timestamp": timestamp((self.clock)()),
                    "function": function,
                    "environment": environment,
                    "message": String::from_utf8_lossy(line),
                });
                out.extend_from_slice(record.to_string().as_bytes());
            }
        }
        out.push(b'\n');
    }
}

impl Flushed {
    /// Waits, for a second at most, until all that functions wrote has been passed on; the
    /// [`Output`]s must have been dropped.
    pub(crate) async fn wait(self) {
        let _ = timeout(Duration::from_secs(1), self.0).await;
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
    /// Whether the last line ended in a carriage return, whose line feed may follow.
    returned: bool,
}

impl Lines {
    /// Takes in `chunk`; out come the lines that are complete, each with a line feed. A carriage
    /// return ends a line too: the runtime client of Python writes the lines of a stack trace so,
    /// and on a terminal each would overwrite the one before.
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
                complete.append(&mut self.partial);
            } else if self.partial.len() >= MAX_LINE_BYTES {
                self.partial.push(b'\n');
                complete.append(&mut self.partial);
            }
        }
        complete
    }

    /// The last line, if it has no end.
    fn finish(&mut self) -> Vec<u8> {
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
        }
        std::mem::take(&mut self.partial)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn lines_are_whole_wherever_the_chunks_end() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\nb"), b"a\n");
        assert_eq!(lines.push(b"c\n\n"), b"bc\n\n");
        assert_eq!(lines.push(b"end"), b"");
        assert_eq!(lines.finish(), b"end\n");
        assert_eq!(lines.finish(), b"");
    }

    #[test]
    fn a_carriage_return_ends_a_line_with_or_without_a_line_feed() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\rb\r\nc\r"), b"a\nb\nc\n");
        assert_eq!(lines.push(b"\n\nd\n"), b"\nd\n");
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::default();
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

    /// A reader that shows each piece and then waits for a token before it takes the next.
    struct Reader {
        shown: Sender<Vec<u8>>,
        tokens: Receiver<()>,
    }

    impl Write for Reader {
        fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
            let _ = self.shown.send(piece.to_vec());
            // Without anybody to send tokens it goes on at once.
            let _ = self.tokens.recv();
            Ok(piece.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn output(format: LogFormat) -> (Output, Flushed, Receiver<Vec<u8>>, Sender<()>) {
        let (shown, pieces) = channel();
        let (sender, tokens) = channel();
        let (output, flushed) = Output::to(Reader { shown, tokens }, format, || UNIX_EPOCH);
        (output, flushed, pieces, sender)
    }

    async fn written(format: LogFormat, text: &[u8]) -> String {
        let (output, flushed, pieces, tokens) = output(format);
        drop(tokens);
        output.forward(source(), text).await;
        flushed.wait().await;
        String::from_utf8(pieces.iter().flatten().collect()).unwrap()
    }

    fn source() -> LogSource {
        LogSource {
            function: "f".to_owned(),
            environment: "1a2b3c4d".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_line_has_its_source_as_text_or_as_json() {
        assert_eq!(
            written(LogFormat::Text, b"a\n\nb").await,
            "f/1a2b3c4d | a\nf/1a2b3c4d | \nf/1a2b3c4d | b\n"
        );
        let line = written(LogFormat::Json, b"say \"\xff\"\n").await;
        let record: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            record,
            json!({
                "timestamp": "1970-01-01T00:00:00.000Z",
                "function": "f",
                "environment": "1a2b3c4d",
                "message": "say \"\u{fffd}\"",
            })
        );
    }

    #[tokio::test]
    async fn what_has_gathered_is_written_at_once() {
        let (output, _flushed, pieces, tokens) = output(LogFormat::Text);
        output.pass(&source(), b"first\n", 0).await;
        pieces.recv().unwrap();
        for line in ["a\n", "b\n"] {
            output.pass(&source(), line.as_bytes(), 0).await;
        }
        tokens.send(()).unwrap();
        assert_eq!(pieces.recv().unwrap(), b"f/1a2b3c4d | a\nf/1a2b3c4d | b\n");
    }

    #[tokio::test]
    async fn a_reader_that_stops_holds_a_function_up_once_and_is_told_what_it_missed() {
        let (output, flushed, pieces, tokens) = output(LogFormat::Text);
        output.pass(&source(), b"first\n", 0).await;
        pieces.recv().unwrap();
        let begin = std::time::Instant::now();
        let mut dropped = 0;
        for _ in 0..WAITING_PIECES + 84 {
            dropped = output.pass(&source(), b"x\ny\n", dropped).await;
        }
        assert_eq!(dropped, 2 * 84);
        assert!((WRITE_TIMEOUT..WRITE_TIMEOUT * 20).contains(&begin.elapsed()));
        drop(tokens);
        while output.pass(&source(), b"z\n", dropped).await > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(output);
        flushed.wait().await;
        let text = String::from_utf8(pieces.iter().flatten().collect()).unwrap();
        let note = "f/1a2b3c4d | (168 lines dropped: nothing read the invoker's output)";
        assert!(
            text.ends_with(&format!("{note}\nf/1a2b3c4d | z\n")),
            "{text}"
        );
    }
}
