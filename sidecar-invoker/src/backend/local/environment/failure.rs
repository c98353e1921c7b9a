//! The failures that the service itself reports for an invocation, in AWS's words.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambda_api::function_error;

use crate::backend::local::process::command::LaunchError;
use crate::config::HostPort;
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
    /// The function could not be built.
    #[error("{0}")]
    Build(String),
    /// The function reported that its initialisation failed. The payload is the function's own
    /// error.
    #[error("the function reported an error of its initialisation")]
    InitError {
        /// A type that [`valid_error_type`] has returned.
        error_type: String,
        payload: Bytes,
    },
    /// The runtime process ended.
    #[error("Runtime exited {}", exit_text(*.0))]
    Exit(ExitStatus),
    /// No process has attached in time.
    #[error("no process is attached; start the function with AWS_LAMBDA_RUNTIME_API={0}")]
    NotAttached(HostPort),
    /// The attached process has ended.
    #[error("Runtime exited: the attached process has ended")]
    Detached,
    /// The time limit passed.
    #[error("Task timed out after {:.2} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The response was larger than this limit in bytes.
    #[error("Response payload size exceeded maximum allowed payload size ({0} bytes).")]
    ResponseTooLarge(usize),
    /// The response had a mode that does not exist.
    #[error("Invalid function response mode")]
    InvalidResponseMode,
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
    pub(crate) fn error_type(&self) -> &str {
        match self {
            Self::InitError { error_type, .. } => error_type,
            Self::InvalidResponseMode => "Runtime.InvalidResponseModeHeader",
            Self::Entrypoint { .. } | Self::Build(_) => "Runtime.InvalidEntrypoint",
            Self::Exit(_) | Self::Detached => "Runtime.ExitError",
            Self::NotAttached(_) => "Runtime.NotAttached",
            Self::TimedOut(_) => function_error::TIMED_OUT,
            Self::ResponseTooLarge(_) => function_error::RESPONSE_TOO_LARGE,
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
            Self::InitError { payload, .. } => return payload.clone(),
            Self::ResponseTooLarge(_) => self.to_string(),
            _ => format!("RequestId: {id} Error: {self}"),
        };
        function_error::payload(self.error_type(), &message).into()
    }

    /// Returns a hint for the log about a failure before the first invocation.
    pub(crate) fn start_hint(&self) -> &'static str {
        match self {
            Self::Exit(status) if matches!(status.code(), Some(126 | 127)) => {
                "; it ended as if a program were missing or not executable: its output names the \
                 program"
            }
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
            | Self::Build(_)
            | Self::NotAttached(_)
            | Self::Detached
            | Self::InitError { .. }
            | Self::InvalidResponseMode
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

/// The longest error type that is kept as it was sent.
const MAX_ERROR_TYPE_BYTES: usize = 128;

/// Returns the type of an error as a runtime sent it, or a general one if it is not
/// `Runtime.Name` or `Function.Name`. It stands in the log, so it may not be just any text.
///
/// Source: the Runtime Interface Emulator.
pub(crate) fn valid_error_type(sent: &str) -> &str {
    match is_error_type(sent, &["Runtime.", "Function."]) {
        true => sent,
        false if sent.starts_with("Function.") => "Function.Unknown",
        false => "Runtime.Unknown",
    }
}

/// Returns the type of an error as an extension sent it, or a general one if it is not
/// `Extension.Name`.
pub(crate) fn valid_extension_error_type(sent: &str) -> &str {
    match is_error_type(sent, &["Extension."]) {
        true => sent,
        false => "Extension.Unknown",
    }
}

fn is_error_type(sent: &str, categories: &[&str]) -> bool {
    let name = categories
        .iter()
        .find_map(|category| sent.strip_prefix(category))
        .unwrap_or_default();
    let mut first = name.bytes();
    let is_name_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    first.next().is_some_and(|byte| byte.is_ascii_uppercase())
        && first.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && name.bytes().all(is_name_byte)
        && sent.len() <= MAX_ERROR_TYPE_BYTES
}

/// Returns the payload of an error that a function reported without a body.
pub(crate) fn error_without_body(error_type: &str) -> Bytes {
    let error_type = match error_type {
        "" => "Function.Unknown",
        sent => valid_error_type(sent),
    };
    function_error::payload(error_type, "Unknown application error occurred").into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_a_well_formed_error_type_is_kept() {
        let long = format!("Runtime.A{}", "a".repeat(MAX_ERROR_TYPE_BYTES));
        for (sent, expected) in [
            ("Runtime.NoSuchHandler", "Runtime.NoSuchHandler"),
            ("Function.Error_2-x.y", "Function.Error_2-x.y"),
            ("Runtime.lower", "Runtime.Unknown"),
            ("Runtime.A", "Runtime.Unknown"),
            ("Runtime.", "Runtime.Unknown"),
            ("Runtime.NoSuchHandler\tStatus: success", "Runtime.Unknown"),
            ("MyRuntime.NoSuchHandler", "Runtime.Unknown"),
            ("Function.no", "Function.Unknown"),
            ("Sandbox.Timedout", "Runtime.Unknown"),
            ("", "Runtime.Unknown"),
            (&long, "Runtime.Unknown"),
        ] {
            assert_eq!(valid_error_type(sent), expected, "{sent}");
        }
        let of_extension = ["Extension.NoLuck", "Runtime.NoLuck", "Extension.a b"];
        let expected = ["Extension.NoLuck", "Extension.Unknown", "Extension.Unknown"];
        assert_eq!(of_extension.map(valid_extension_error_type), expected);
    }

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
