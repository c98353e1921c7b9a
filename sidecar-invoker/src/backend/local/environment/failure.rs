//! The failures that the service itself reports for an invocation, in AWS's words.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambda_api::function_error;

use crate::backend::local::process::command::LaunchError;
use crate::invocation::RequestId;

/// A failure of an execution environment. Its text is AWS's.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// The runtime could not be started.
    #[error("fork/exec {program}: {reason}")]
    Entrypoint {
        program: String,
        reason: Arc<LaunchError>,
    },
    /// The function reported that its initialisation failed. The payload is the function's own
    /// error.
    #[error("the function reported an error of its initialisation")]
    InitError(Bytes),
    /// The runtime process ended.
    #[error("Runtime exited {}", exit_text(*.0))]
    Exit(ExitStatus),
    /// The time limit passed.
    #[error("Task timed out after {:.2} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The response was larger than this limit in bytes.
    #[error("Response payload size exceeded maximum allowed payload size ({0} bytes).")]
    ResponseTooLarge(usize),
    /// The runtime asked for its next invocation without completing its response.
    #[error("Response payload has been truncated")]
    Truncated,
    /// An extension failed.
    #[error("extension {name}: {reason}")]
    Extension {
        name: String,
        reason: ExtensionFailure,
    },
}

/// A failure of one extension.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ExtensionFailure {
    /// The extension could not be started.
    #[error("{0}")]
    Launch(Arc<io::Error>),
    /// The extension ended. The status may be unknown.
    #[error("{}", .0.map_or("ended".to_owned(), |status| status.to_string()))]
    Exit(Option<ExitStatus>),
    /// The extension reported an error of this type.
    #[error("it reported an error")]
    Reported(String),
}

impl Failure {
    /// Returns AWS's name of the failure.
    ///
    /// An error that the function reported itself has its name only in the payload. The result is then
    /// `Runtime.Unknown`.
    pub(crate) fn error_type(&self) -> &str {
        match self {
            Self::InitError(_) => "Runtime.Unknown",
            Self::Entrypoint { .. } => "Runtime.InvalidEntrypoint",
            Self::Exit(_) => "Runtime.ExitError",
            Self::TimedOut(_) => "Sandbox.Timedout",
            Self::ResponseTooLarge(_) => "Function.ResponseSizeTooLarge",
            Self::Truncated => "Runtime.TruncatedResponse",
            Self::Extension { reason, .. } => match reason {
                ExtensionFailure::Launch(_) => "Extension.LaunchError",
                ExtensionFailure::Exit(_) => "Extension.Crash",
                ExtensionFailure::Reported(error_type) => error_type,
            },
        }
    }

    /// Returns the function error for the caller of invocation `id`.
    pub(crate) fn payload(&self, id: &RequestId) -> Bytes {
        let message = match self {
            Self::InitError(payload) => return payload.clone(),
            Self::ResponseTooLarge(_) => self.to_string(),
            _ => format!("RequestId: {id} Error: {self}"),
        };
        function_error::payload(self.error_type(), &message).into()
    }

    /// Returns a hint for the log about a failure before the first invocation.
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

fn exit_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "without providing a reason".to_owned(),
        (Some(code), _) => format!("with error: exit status {code}"),
        (None, signal) => {
            let signal = signal_name(signal.unwrap_or_default());
            format!("with error: signal: {signal}")
        }
    }
}

/// Returns AWS's name of a signal. AWS uses the names of Go's runtime.
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

/// Returns the payload of an error that a function reported without a body.
pub(crate) fn error_without_body(error_type: &str) -> Bytes {
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
    fn failures_have_the_types_and_messages_of_aws() {
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
