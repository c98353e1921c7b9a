//! What the service, not the function, says of an invocation that failed, in AWS's words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use lambda_api::function_error;

use crate::invocation::RequestId;

/// Why an execution environment gave no answer.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The command could not be started: program and reason.
    Entrypoint { program: String, reason: String },
    /// The function itself reported that it cannot be initialised; this is its own error.
    InitError(Bytes),
    /// The process ended.
    Exit(ExitStatus),
    /// The time limit passed.
    TimedOut(Duration),
    /// The answer was larger than a payload, or a stream, may be; in bytes.
    ResponseTooLarge(usize),
    /// The process broke off its answer and went on.
    Truncated,
    /// An extension ended, could not be started, or reported an error.
    Extension {
        error_type: String,
        name: String,
        reason: String,
    },
}

impl Failure {
    /// In AWS's terms; of an error of the function's own, which only its payload tells, the general
    /// one.
    pub(crate) fn error_type(&self) -> &str {
        match self {
            Self::InitError(_) => "Runtime.Unknown",
            Self::Entrypoint { .. } => "Runtime.InvalidEntrypoint",
            Self::Exit(_) => "Runtime.ExitError",
            Self::TimedOut(_) => "Sandbox.Timedout",
            Self::ResponseTooLarge(_) => "Function.ResponseSizeTooLarge",
            Self::Truncated => "Runtime.TruncatedResponse",
            Self::Extension { error_type, .. } => error_type,
        }
    }

    /// The function error that the caller of invocation `id` gets.
    pub(crate) fn payload(&self, id: &RequestId) -> Bytes {
        let message = match self {
            Self::InitError(payload) => return payload.clone(),
            Self::ResponseTooLarge(_) => self.to_string(),
            _ => format!("RequestId: {id} Error: {self}"),
        };
        function_error::payload(self.error_type(), &message).into()
    }
}

impl Failure {
    /// What to look at if this happened before the first invocation: for the log.
    pub(crate) fn start_hint(&self) -> &'static str {
        match self {
            Self::Exit(_) => {
                "; it ended before it asked for an invocation: is `command` a Lambda runtime?"
            }
            Self::TimedOut(_) => {
                "; it did not ask for an invocation within `init_timeout`: is `command` a Lambda \
                 runtime?"
            }
            Self::Extension { .. } => {
                "; every file in `extensions` has to be an extension that registers"
            }
            Self::Entrypoint { .. }
            | Self::InitError(_)
            | Self::ResponseTooLarge(_)
            | Self::Truncated => "",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Entrypoint { program, reason } => write!(out, "fork/exec {program}: {reason}"),
            Self::InitError(_) => {
                out.write_str("the function reported an error of its initialisation")
            }
            Self::Exit(status) => match (status.code(), status.signal()) {
                (Some(0), _) => out.write_str("Runtime exited without providing a reason"),
                (Some(code), _) => write!(out, "Runtime exited with error: exit status {code}"),
                (None, signal) => {
                    write!(
                        out,
                        "Runtime exited with error: signal: {}",
                        signal_name(signal.unwrap_or_default())
                    )
                }
            },
            Self::TimedOut(limit) => write!(
                out,
                "Task timed out after {:.2} seconds",
                limit.as_secs_f64()
            ),
            Self::ResponseTooLarge(limit) => write!(
                out,
                "Response payload size exceeded maximum allowed payload size ({limit} bytes)."
            ),
            Self::Truncated => out.write_str("Response payload has been truncated"),
            Self::Extension { name, reason, .. } => write!(out, "extension {name}: {reason}"),
        }
    }
}

/// The names that AWS gives signals, which are Go's.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        4 => "illegal instruction",
        6 => "aborted",
        8 => "floating point exception",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        15 => "terminated",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// The error of a function that posted one without a body.
pub(crate) fn unexplained(error_type: &str) -> Bytes {
    let error_type = if error_type.is_empty() {
        "Function.Unknown"
    } else {
        error_type
    };
    function_error::payload(error_type, "Unknown application error occurred").into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_words_are_aws_s() {
        let id = RequestId::parse("11111111-2222-4333-8444-555555555555").unwrap();
        let cases = [
            (
                Failure::Exit(ExitStatus::from_raw(1 << 8)),
                "Runtime.ExitError",
                "Runtime exited with error: exit status 1",
            ),
            (
                Failure::Exit(ExitStatus::from_raw(0)),
                "Runtime.ExitError",
                "Runtime exited without providing a reason",
            ),
            (
                Failure::Exit(ExitStatus::from_raw(9)),
                "Runtime.ExitError",
                "Runtime exited with error: signal: killed",
            ),
            (
                Failure::TimedOut(Duration::from_secs(3)),
                "Sandbox.Timedout",
                "Task timed out after 3.00 seconds",
            ),
        ];
        for (failure, error_type, message) in cases {
            let payload = failure.payload(&id);
            let message = format!("RequestId: {id} Error: {message}");
            let expected = json!({ "errorType": error_type, "errorMessage": message });
            let payload: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(payload, expected);
        }
    }
}
