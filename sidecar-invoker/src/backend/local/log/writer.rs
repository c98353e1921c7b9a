//! Writing the functions' output, line by line, to the invoker's standard output.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::line_context::LineContext;
use super::tail::Tap;
use crate::config::LogFormat;
use crate::util::time::timestamp;

const READ_BYTES: usize = 8 * 1024;
/// The number of pieces that may wait for the reader of the invoker's output.
const MAX_QUEUED_PIECES: usize = 256;
/// The time in which pieces gather before they are written together. Waking the writing thread costs
/// more than a short function.
const BATCH_INTERVAL: Duration = Duration::from_millis(2);
/// The time that a function waits for the reader of the invoker's output. After that, its lines are
/// dropped until the reader goes on. A stopped terminal must not make functions time out.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The destination of the output of all functions.
#[derive(Clone)]
pub(crate) struct Output {
    pieces: mpsc::Sender<Bytes>,
    format: LogFormat,
    is_coloured: bool,
    clock: fn() -> SystemTime,
    /// The number of lines that were dropped.
    dropped: Arc<AtomicU64>,
}

/// The colours of functions, as sequences of a terminal, and the end of a colour.
const COLOURS: [&str; 6] = [
    "\u{1b}[36m",
    "\u{1b}[33m",
    "\u{1b}[32m",
    "\u{1b}[35m",
    "\u{1b}[34m",
    "\u{1b}[31m",
];
const RESET: &str = "\u{1b}[0m";

/// Returns the colour of a function, which is the same each time.
fn colour(function: &str) -> &'static str {
    let number: usize = function.bytes().map(usize::from).sum();
    COLOURS.get(number % COLOURS.len()).unwrap_or(&"")
}

/// A signal that everything has been written.
pub(crate) struct Flushed(oneshot::Receiver<()>);

/// The source of a line.
#[derive(Debug, Clone)]
pub(crate) struct LogSource {
    pub(crate) function: String,
    /// The environment's short name.
    pub(crate) environment: String,
}

impl Output {
    /// Starts a thread that writes to `sink`. If the sink is closed, the output is discarded and
    /// functions go on.
    pub(crate) fn to(
        mut sink: impl Write + Send + 'static,
        format: LogFormat,
        clock: fn() -> SystemTime,
    ) -> (Self, Flushed) {
        let (sender, mut pieces) = mpsc::channel::<Bytes>(MAX_QUEUED_PIECES);
        let (done, flushed) = oneshot::channel();
        std::thread::spawn(move || {
            let mut gathered = Vec::with_capacity(MAX_QUEUED_PIECES);
            while pieces.blocking_recv_many(&mut gathered, MAX_QUEUED_PIECES) > 0 {
                let text = gathered.concat();
                gathered.clear();
                let _ = sink.write_all(&text).and_then(|()| sink.flush());
                std::thread::sleep(BATCH_INTERVAL);
            }
            let _ = done.send(());
        });
        let output = Self {
            pieces: sender,
            format,
            is_coloured: false,
            clock,
            dropped: Arc::default(),
        };
        (output, Flushed(flushed))
    }

    /// Gives each function a colour of its own, for a terminal.
    pub(crate) fn coloured(self, is_coloured: bool) -> Self {
        Self {
            is_coloured,
            ..self
        }
    }

    /// Writes the lines of a process, each with its source, until its output ends.
    pub(crate) async fn forward<R>(self, source: LogSource, mut process: Tap<R>)
    where
        R: AsyncRead + Unpin,
    {
        let mut buffer = vec![0; READ_BYTES];
        let mut dropped = 0;
        loop {
            let read = process.read(&mut buffer).await.unwrap_or(0);
            let chunk = buffer.get(..read).unwrap_or_default();
            let complete = match chunk.is_empty() {
                true => process.finish(),
                false => process.push(chunk),
            };
            if !complete.is_empty() {
                let context = self.wants_context().then(|| process.context()).flatten();
                let context = context.as_ref();
                dropped = self.write_lines(&source, &complete, context, dropped).await;
            }
            if read == 0 {
                return;
            }
        }
    }

    /// Writes complete lines, after a note if any lines were `dropped` before. Returns the number of
    /// lines that are dropped now.
    pub(crate) async fn write_lines(
        &self,
        source: &LogSource,
        lines: &[u8],
        context: Option<&LineContext>,
        dropped: usize,
    ) -> usize {
        let mut permit = self.pieces.try_reserve().ok();
        if permit.is_none() && dropped == 0 {
            let free = timeout(WRITE_TIMEOUT, self.pieces.reserve()).await;
            permit = free.ok().and_then(Result::ok);
        }
        let Some(permit) = permit else {
            let count = lines.split(|&byte| byte == b'\n').count() - 1;
            self.dropped.fetch_add(count as u64, Ordering::Relaxed);
            return dropped + count;
        };
        let mut piece = Vec::with_capacity(lines.len() + 64);
        if dropped > 0 {
            let note = format!("({dropped} lines dropped: nothing read the invoker's output)");
            self.format(source, note.as_bytes(), None, &mut piece);
        }
        let mut lines = lines.split_inclusive(|&byte| byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let context = context.map(|context| (context, lines.peek().is_none()));
            self.format(source, line, context, &mut piece);
        }
        permit.send(piece.into());
        0
    }

    /// Returns whether lines name the invocation that they belong to.
    pub(crate) fn wants_context(&self) -> bool {
        self.format == LogFormat::Json
    }

    /// Returns the number of lines that were dropped so far.
    pub(crate) fn dropped_lines(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Appends one line in the configured format to `out`. `context` comes with whether the line is the last.
    fn format(
        &self,
        source: &LogSource,
        line: &[u8],
        context: Option<(&LineContext, bool)>,
        out: &mut Vec<u8>,
    ) {
        let LogSource {
            function,
            environment,
        } = source;
        match self.format {
            LogFormat::Text => {
                let (begin, end) = match self.is_coloured {
                    true => (colour(function), RESET),
                    false => ("", ""),
                };
                let parts = [begin, function, "/", environment, end, " | "];
                parts
                    .iter()
                    .for_each(|part| out.extend_from_slice(part.as_bytes()));
                out.extend_from_slice(line);
            }
            LogFormat::Json => {
                let mut record = json!({
                    "timestamp": timestamp((self.clock)()),
                    "function": function,
                    "environment": environment,
                    "message": String::from_utf8_lossy(line),
                });
                if let Some((context, is_last)) = context {
                    context.add_to(&mut record, is_last);
                }
                out.extend_from_slice(record.to_string().as_bytes());
            }
        }
        out.push(b'\n');
    }
}

impl Flushed {
    /// Waits, for a second at most, until all output of functions has been written. All [`Output`]s
    /// must have been dropped.
    pub(crate) async fn wait(self) {
        let _ = timeout(Duration::from_secs(1), self.0).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::UNIX_EPOCH;

    use hyper::header::HeaderValue;
    use serde_json::Value;

    use super::super::line_context::ReportFigures;
    use super::*;
    use crate::invocation::RequestId;

    /// A reader that shows each piece, and waits for a token before it takes the next one.
    struct SlowReader {
        shown: Sender<Vec<u8>>,
        tokens: Receiver<()>,
    }

    impl Write for SlowReader {
        fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
            let _ = self.shown.send(piece.to_vec());
            // Returns at once if the sender of tokens is dropped.
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
        let (output, flushed) = Output::to(SlowReader { shown, tokens }, format, || UNIX_EPOCH);
        (output, flushed, pieces, sender)
    }

    async fn written(format: LogFormat, text: &[u8]) -> String {
        let (output, flushed, pieces, tokens) = output(format);
        drop(tokens);
        output.write_lines(&source(), text, None, 0).await;
        drop(output);
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
    async fn on_a_terminal_the_source_has_the_colour_of_its_function() {
        let (output, flushed, pieces, tokens) = output(LogFormat::Text);
        let output = output.coloured(true);
        drop(tokens);
        output.write_lines(&source(), b"a\n", None, 0).await;
        drop(output);
        flushed.wait().await;
        let text: Vec<u8> = pieces.iter().flatten().collect();
        assert_eq!(text, b"\x1b[36mf/1a2b3c4d\x1b[0m | a\n");
    }

    #[tokio::test]
    async fn a_line_has_its_source_as_text_or_as_json() {
        assert_eq!(
            written(LogFormat::Text, b"a\n\nb\n").await,
            "f/1a2b3c4d | a\nf/1a2b3c4d | \nf/1a2b3c4d | b\n"
        );
        let line = written(LogFormat::Json, b"say \"\xff\"\n").await;
        let record: Value = serde_json::from_str(&line).unwrap();
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
    async fn a_line_of_json_names_its_invocation_and_the_last_one_its_figures() {
        let (output, flushed, pieces, tokens) = output(LogFormat::Json);
        drop(tokens);
        let request_id = RequestId::random();
        let context = LineContext {
            request_id,
            trace_id: HeaderValue::from_static(
                "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0",
            ),
            report: Some(ReportFigures {
                duration: Duration::from_micros(1_500),
                error_type: Some("KeyError".to_owned()),
            }),
        };
        let lines = b"END\nREPORT\n";
        output
            .write_lines(&source(), lines, Some(&context), 0)
            .await;
        drop(output);
        flushed.wait().await;
        let text: Vec<u8> = pieces.iter().flatten().collect();
        let records: Vec<Value> = serde_json::Deserializer::from_slice(&text)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap();
        let [end, report] = records.as_slice() else {
            panic!("{records:?}");
        };
        assert_eq!(end["request_id"], request_id.to_string());
        assert_eq!(end["trace_id"], "5759e988bd862e3fe1be46a994272793");
        assert_eq!(end.get("duration_ms"), None);
        assert_eq!(report["message"], "REPORT");
        assert_eq!(report["duration_ms"], 1.5);
        assert_eq!(report["error_type"], "KeyError");
    }

    #[tokio::test]
    async fn gathered_pieces_are_written_together() {
        let (output, _flushed, pieces, tokens) = output(LogFormat::Text);
        output.write_lines(&source(), b"first\n", None, 0).await;
        pieces.recv().unwrap();
        for line in ["a\n", "b\n"] {
            output
                .write_lines(&source(), line.as_bytes(), None, 0)
                .await;
        }
        tokens.send(()).unwrap();
        assert_eq!(pieces.recv().unwrap(), b"f/1a2b3c4d | a\nf/1a2b3c4d | b\n");
    }

    #[tokio::test]
    async fn a_stopped_reader_delays_a_function_once_and_learns_the_number_of_dropped_lines() {
        let (output, flushed, pieces, tokens) = output(LogFormat::Text);
        output.write_lines(&source(), b"first\n", None, 0).await;
        pieces.recv().unwrap();
        let begin = std::time::Instant::now();
        let mut dropped = 0;
        for _ in 0..MAX_QUEUED_PIECES + 84 {
            dropped = output
                .write_lines(&source(), b"x\ny\n", None, dropped)
                .await;
        }
        assert_eq!(dropped, 2 * 84);
        assert_eq!(output.dropped_lines(), 2 * 84);
        assert!((WRITE_TIMEOUT..WRITE_TIMEOUT * 20).contains(&begin.elapsed()));
        drop(tokens);
        while output.write_lines(&source(), b"z\n", None, dropped).await > 0 {
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
