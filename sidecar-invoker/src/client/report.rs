//! The report about an invocation, for people.

use std::fmt::{self, Write};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::HeaderMap;
use hyper::StatusCode;

use crate::config::yaml::scalar::printable;
use crate::invoke_api::headers as header;

/// The facts about an invocation besides its payload.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) status: StatusCode,
    pub(crate) version: Option<String>,
    pub(crate) request_id: Option<String>,
    /// The end of the function's log.
    pub(crate) log: Option<String>,
    /// The reason why the invocation failed.
    pub(crate) failure: Option<String>,
}

impl Report {
    /// Returns what the status and the headers of a response say.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name| {
            let value = headers.get(name)?;
            Some(printable(&String::from_utf8_lossy(value.as_bytes())))
        };
        let log = headers.get(header::LOG_RESULT);
        Self {
            status,
            version: text(header::EXECUTED_VERSION),
            request_id: text(header::REQUEST_ID),
            log: log.and_then(|log| decoded_log(log.as_bytes())),
            failure: None,
        }
    }

    /// Returns the text of the log, with characters escaped that would control a terminal.
    pub(crate) fn log_text(&self) -> String {
        let lines = self.log.iter().flat_map(|log| log.lines());
        lines.fold(String::new(), |mut text, line| {
            let cells: Vec<_> = line.split('\t').map(printable).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", cells.join("\t"));
            text
        })
    }

    /// Returns the report as lines. `total` is the time that the caller waited.
    pub(crate) fn lines(&self, total: Duration) -> String {
        let mut text = format!("invocation status {}", self.status.as_u16());
        if let Some(version) = &self.version {
            text.push_str(&format!(", version {version}"));
        }
        if let Some(id) = &self.request_id {
            text.push_str(&format!(", request {id}"));
        }
        text.push('\n');
        let durations = self.log.as_deref().and_then(Durations::find);
        if let Some(durations) = durations {
            text.push_str(&format!("{durations}, "));
        }
        let milliseconds = total.as_secs_f64() * 1_000.0;
        text.push_str(&format!("total {milliseconds:.1} ms\n"));
        text
    }
}

/// Returns the text of a log in base64.
pub(super) fn decoded_log(base64: &[u8]) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The durations in the line `REPORT` of a log.
#[derive(Debug, PartialEq, Eq)]
struct Durations<'a> {
    duration: &'a str,
    init: Option<&'a str>,
}

impl<'a> Durations<'a> {
    fn find(log: &'a str) -> Option<Self> {
        let mut lines = log.lines().rev();
        let report = lines.find(|line| line.starts_with("REPORT RequestId:"))?;
        let cell = |name| {
            let mut cells = report.split('\t');
            cells.find_map(|cell| cell.trim().strip_prefix(name))
        };
        Some(Self {
            duration: cell("Duration: ")?,
            init: cell("Init Duration: "),
        })
    }
}

impl fmt::Display for Durations<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "duration {}", self.duration)?;
        match self.init {
            Some(init) => write!(out, ", init {init}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_the_last_report() {
        let log = "REPORT RequestId: a\tDuration: 9.00 ms\tBilled Duration: 9 ms\n\
            REPORT RequestId: b\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t\
            Max Memory Used: 30 MB\tInit Duration: 98.76 ms\t\nEND";
        let durations = Durations::find(log).unwrap();
        assert_eq!(durations.to_string(), "duration 1.23 ms, init 98.76 ms");
        assert_eq!(Durations::find("hello\nEND RequestId: b"), None);
    }
}
