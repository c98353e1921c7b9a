//! The labels of series.

use hyper::StatusCode;

/// The label of all functions that are not listed. Callers choose the names of these functions, and
/// each label costs memory.
pub(super) const OTHERS: &str = "(others)";

/// A label: its name and its value.
pub(super) type Label = (&'static str, String);

/// The way in which an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The function responded, or its event was accepted.
    Success,
    /// The function responded with an error. Emulators do not mark errors; theirs count as success.
    FunctionError,
    /// A concurrency limit or a full queue: status 429.
    Throttled,
    /// No response in time: status 504.
    TimedOut,
    /// A mistake in the request: any other status 4xx.
    Refused,
    /// Any other failure: any other status 5xx.
    Failed,
    /// The caller left before the response.
    Abandoned,
}

impl Outcome {
    pub(crate) const ALL: [Self; 7] = [
        Self::Success,
        Self::FunctionError,
        Self::Throttled,
        Self::TimedOut,
        Self::Refused,
        Self::Failed,
        Self::Abandoned,
    ];

    /// Returns the outcome of an invocation with this response.
    pub(crate) fn of(status: StatusCode, is_function_error: bool) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Self::Throttled,
            StatusCode::GATEWAY_TIMEOUT => Self::TimedOut,
            status if status.is_client_error() => Self::Refused,
            status if status.is_server_error() => Self::Failed,
            _ if is_function_error => Self::FunctionError,
            _ => Self::Success,
        }
    }

    /// Returns the name of the outcome.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::FunctionError => "function_error",
            Self::Throttled => "throttled",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}
