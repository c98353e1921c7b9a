//! The log of the invoker itself.

use std::fmt;
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn, format};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;
use crate::util::time::timestamp;
use lambda_api::log_line::single_line_of;

/// Silences the logs of the AWS SDK, whose errors the invoker logs once and in its own words. `RUST_LOG`
/// can name one of these crates to show its logs.
const SDK_QUIET: &str = "aws_config=off,aws_credential_types=off,aws_runtime=off,aws_smithy_http_client=off,aws_smithy_runtime=off,aws_smithy_runtime_api=off,aws_sdk_sso=off,aws_sdk_ssooidc=off,aws_sdk_sts=off";

/// The length in bytes at which a message of the log is cut. Foreign texts in it are cut earlier.
const MAX_MESSAGE_BYTES: usize = 4096;

/// The number of lines that may wait for the reader of standard error. Further lines are dropped and counted.
const MAX_QUEUED_LINES: usize = 4_096;

/// Set once the configuration wants lines of JSON.
static IS_JSON: AtomicBool = AtomicBool::new(false);
/// The counter of the lines that were dropped.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The log, which writes its last lines when it is dropped.
#[must_use]
pub(super) struct Log {
    _guard: WorkerGuard,
}

/// Sends the log to standard error, with the filter of `RUST_LOG`.
pub(super) fn to_stderr() -> Log {
    to_stderr_from("info")
}

/// Sends the log to standard error, with the filter of `RUST_LOG`, or else from `level` on. A thread of its own
/// writes, so that the invoker goes on while nothing reads its log.
pub(super) fn to_stderr_from(level: &str) -> Log {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| level.to_owned());
    let quiet = |filter: &str| EnvFilter::try_new(format!("{SDK_QUIET},{filter}"));
    let filter = quiet(&wanted).unwrap_or_else(|_| EnvFilter::new(format!("{SDK_QUIET},{level}")));
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MAX_QUEUED_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(std::io::stderr());
    let _ = DROPPED.set(writer.error_counter());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .fmt_fields(single_line_fields())
        .with_ansi(std::io::stderr().is_terminal())
        .event_format(Line(format().with_target(false)))
        .with_writer(writer)
        .init();
    Log { _guard: guard }
}

/// Writes lines in this format from now on.
pub(super) fn use_format(log_format: LogFormat) {
    IS_JSON.store(log_format == LogFormat::Json, Ordering::Relaxed);
}

/// Returns the number of lines of the log that were dropped, because nothing read the log.
pub(super) fn dropped_lines() -> u64 {
    let dropped = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    u64::try_from(dropped).unwrap_or(u64::MAX)
}

/// The format of a line: text, or an object of JSON with the members that the lines of functions have.
struct Line<F>(F);

impl<S, N, F> FormatEvent<S, N> for Line<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !IS_JSON.load(Ordering::Relaxed) {
            return self.0.format_event(context, writer, event);
        }
        let mut members = Members::default();
        members.add("timestamp", timestamp(SystemTime::now()));
        members.add("level", event.metadata().level().as_str());
        event.record(&mut members);
        writeln!(writer, "{}", Value::Object(members.0))
    }
}

/// The members of a line of JSON.
#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), single_line_of(value, MAX_MESSAGE_BYTES));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Returns the format of an event's message and fields. Whatever text is in them, an event is one line of a
/// limited length.
fn single_line_fields() -> impl for<'w> FormatFields<'w> {
    debug_fn(|writer, field, value| {
        let text = single_line_of(&format!("{value:?}"), MAX_MESSAGE_BYTES);
        match field.name() {
            "message" => write!(writer, "{text}"),
            name => write!(writer, "{name}={text}"),
        }
    })
    .delimited(" ")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::util::lock;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_text_makes_a_second_line_of_the_log() {
        let written = Written::default();
        let sink = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(single_line_fields())
            .with_writer(move || sink.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        let hostile = "a\n WARN forged\r\u{1b}[2J\u{2028}";
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(function = %hostile, "b{hostile}");
            tracing::warn!(text = hostile, "{}", "x".repeat(1_000_000));
        });
        let text = String::from_utf8(lock(&written.0).clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let escaped = r"a\n WARN forged\r\u{1b}[2J\u{2028}";
        assert_eq!(lines[0], format!(" WARN b{escaped} function={escaped}"));
        assert_eq!(
            (lines.len(), lines[1].len() < 4_300),
            (2, true),
            "{}",
            lines[1].len()
        );
    }

    #[test]
    fn a_line_of_json_has_the_members_that_lines_of_functions_have() {
        let written = Written::default();
        let sink = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Line(format().with_target(false)))
            .with_writer(move || sink.clone())
            .finish();
        use_format(LogFormat::Json);
        tracing::subscriber::with_default(subscriber, || {
            let request_id: Option<&str> = None;
            tracing::warn!(function = %"f", request_id, duration_ms = 1.5, "a \"b\"\nc");
        });
        use_format(LogFormat::Text);
        let text = String::from_utf8(lock(&written.0).clone()).unwrap();
        let mut line: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert!(line.remove("timestamp").is_some());
        let expected = serde_json::json!({
            "level": "WARN", "function": "f", "duration_ms": 1.5, "message": "a \"b\"\\nc",
        });
        assert_eq!(Value::Object(line), expected);
    }
}
