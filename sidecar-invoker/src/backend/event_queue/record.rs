//! The records of events that were given up.
//!
//! Source: "Capturing records of Lambda asynchronous invocations" in the AWS Lambda developer
//! guide.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::invocation::{Invocation, RequestId};
use crate::invoke_api::json;
use crate::util::time::timestamp;
use lambda_api::function_error::{ERROR_MESSAGE, ERROR_TYPE};
use lambda_api::headers::UNHANDLED;
use lambda_api::log_line::single_line;
use lambda_api::{FunctionAddress, FunctionArn, Qualifier};

/// The reason why an event was given up, in AWS's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    RetriesExhausted,
    EventAgeExceeded,
    /// The invoker shut down. AWS has no such reason.
    ShuttingDown,
}

/// An event, with the result of its attempts.
pub(super) struct Record {
    pub(super) request_id: RequestId,
    address: FunctionAddress,
    version: Qualifier,
    payload: Bytes,
    /// The number of attempts.
    pub(super) attempts: u32,
    /// The error payload of the last attempt.
    pub(super) response: Option<Bytes>,
}

impl Record {
    /// Creates the record of an event before its first attempt.
    pub(super) fn new(invocation: &Invocation) -> Self {
        Self {
            request_id: invocation.request_id,
            address: invocation.address.clone(),
            version: invocation.version.clone(),
            payload: invocation.payload.clone(),
            attempts: 0,
            response: None,
        }
    }

    /// Cuts the response of the last attempt at `max_bytes`. A cut response is no JSON, and becomes a text in
    /// the record.
    pub(super) fn shorten_response(&mut self, max_bytes: usize) {
        if let Some(response) = &mut self.response
            && response.len() > max_bytes
        {
            // A copy, because a part of the whole would keep it in memory.
            let kept = response.get(..max_bytes).unwrap_or_default();
            *response = [kept, "…".as_bytes()].concat().into();
        }
    }

    /// Returns the error of the last attempt, for the log.
    pub(super) fn reason(&self) -> String {
        let Some(response) = &self.response else {
            return "it did not run".to_owned();
        };
        let error: Value = serde_json::from_slice(response).unwrap_or_default();
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        match (text(ERROR_TYPE), text(ERROR_MESSAGE)) {
            (Some(error_type), Some(message)) => {
                format!("{}: {}", single_line(error_type), single_line(message))
            }
            _ => single_line(&String::from_utf8_lossy(response)),
        }
    }

    /// Returns the record in AWS's form, as one line of JSON.
    pub(super) fn line(&self, condition: Condition, region: &str, now: SystemTime) -> String {
        let FunctionAddress {
            function,
            qualifier,
        } = &self.address;
        let qualifier = qualifier.clone().unwrap_or_else(Qualifier::latest);
        let arn = FunctionArn::invoked(function, Some(&qualifier), region);
        let context = json!({
            "requestId": self.request_id.to_string(),
            "functionArn": arn.to_string(),
            "condition": format!("{condition:?}"),
            "approximateInvokeCount": self.attempts,
        });
        let response = self.response.as_ref().map(|response| {
            let context = json!({ "statusCode": 200, "executedVersion": self.version.as_str(), "functionError": UNHANDLED });
            format!(",\"responseContext\":{context},\"responsePayload\":{}", on_one_line(response))
        });
        format!(
            "{{\"version\":\"1.0\",\"timestamp\":\"{}\",\"requestContext\":{context},\"requestPayload\":{}{}}}\n",
            timestamp(now),
            on_one_line(&self.payload),
            response.unwrap_or_default()
        )
    }
}

/// Returns a JSON payload on one line, and any other payload as a JSON string. Parsing the payload and
/// writing it anew would shorten its numbers.
fn on_one_line(payload: &[u8]) -> String {
    match json::check(payload) {
        // JSON allows line breaks only between tokens.
        Ok(()) => String::from_utf8_lossy(payload).replace(['\n', '\r'], " "),
        Err(_) => Value::from(String::from_utf8_lossy(payload)).to_string(),
    }
}

/// Appends a line to a file. The file stays a sequence of whole lines if the disk is full.
///
/// # Errors
/// Returns an error if the line is not in the file as a whole.
pub(super) fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    // A FIFO that is open for reading too would swallow the line. The end of a file that may not be read
    // is taken for the end of a line.
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let readable = options.clone().read(is_file).open(path);
    let mut file = match is_file {
        true => readable.or_else(|_| options.open(path))?,
        false => readable?,
    };
    let start = file.metadata()?.len();
    if ends_within_a_line(&file, start) {
        // An earlier invoker was killed while it wrote.
        file.write_all(b"\n")?;
    }
    let before = file.metadata()?.len();
    let mut written = 0;
    let whole = write_all(&mut file, line.as_bytes(), &mut written);
    if whole.is_err() && file.metadata()?.len() == before + written {
        file.set_len(before)?;
    }
    whole
}

/// Writes all bytes, and counts those that are in the file in any case.
fn write_all(file: &mut File, bytes: &[u8], written: &mut u64) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                *written += count as u64;
                rest = rest.get(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn ends_within_a_line(file: &File, length: u64) -> bool {
    let mut last = [b'\n'];
    let read = length
        .checked_sub(1)
        .map(|at| file.read_exact_at(&mut last, at));
    matches!(read, Some(Ok(()))) && last != [b'\n']
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn the_reason_in_the_log_is_one_short_line_whatever_the_function_says() {
        let long = "x".repeat(1_000_000);
        let hostile = "a\n2026-01-01T00:00:00Z ERROR forged \u{1b}[0m";
        let json = json!({ "errorType": hostile, "errorMessage": format!("{hostile}{long}") });
        for response in [json.to_string(), format!("{hostile}{long}")] {
            let mut record = record();
            record.response = Some(response.into());
            let reason = record.reason();
            assert!(!reason.contains(char::is_control), "{reason}");
            assert!(reason.len() < 2_200, "{}", reason.len());
            assert!(reason.contains(r"a\n2026-01-01"), "{reason}");
        }
    }

    #[test]
    fn a_response_that_is_kept_for_long_is_cut() {
        let mut record = record();
        record.response = Some(Bytes::from_static(b"{\"errorMessage\":\"x\"}"));
        record.shorten_response(100);
        assert!(record.response.as_ref().unwrap().ends_with(b"}"));
        record.shorten_response(5);
        let line = record.line(Condition::ShuttingDown, "eu-west-1", UNIX_EPOCH);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["responsePayload"], "{\"err…");
    }

    #[test]
    fn a_line_begins_on_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("failed.ndjson");
        append(&file, "one\n").unwrap();
        append(&file, "two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\n");
        std::fs::write(&file, "one\nhal").unwrap();
        append(&file, "two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\nhal\ntwo\n");
    }

    fn record() -> Record {
        Record {
            request_id: RequestId::parse("11111111-2222-4333-8444-555555555555").unwrap(),
            address: FunctionAddress::parse("f", None).unwrap(),
            version: Qualifier::latest(),
            payload: Bytes::from_static(b"{\n \"n\": 12345678901234567890.50\n}"),
            attempts: 3,
            response: Some(Bytes::from_static(b"Task timed out")),
        }
    }

    #[test]
    fn a_record_has_the_form_of_aws_and_keeps_the_digits_of_the_payload() {
        let record = record();
        let line = record.line(Condition::RetriesExhausted, "eu-west-1", UNIX_EPOCH);
        assert_eq!(
            line,
            "{\"version\":\"1.0\",\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"requestContext\":{\"approximateInvokeCount\":3,\"condition\":\"RetriesExhausted\",\"functionArn\":\"arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST\",\"requestId\":\"11111111-2222-4333-8444-555555555555\"},\"requestPayload\":{  \"n\": 12345678901234567890.50 },\"responseContext\":{\"executedVersion\":\"$LATEST\",\"functionError\":\"Unhandled\",\"statusCode\":200},\"responsePayload\":\"Task timed out\"}\n"
        );
        serde_json::from_str::<Value>(&line).unwrap();
        assert_eq!(record.reason(), "Task timed out");
    }
}
