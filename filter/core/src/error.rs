//! The errors of a request, distinguished by their source. The log gets the details; the client gets
//! the response that `response::error_response` makes.

use std::fmt;

use lambda_api::function_error::{self, ERROR_TYPE};
use lambda_api::headers::UNHANDLED;
pub(crate) use lambda_api::log_line::single_line;

use crate::config::ConfigError;
use crate::encoding::shallow_json::ShallowJson;
use crate::metrics::ErrorKind;

/// The reason for which a request gets no response of its function.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// The operator's: the configuration of this route is wrong.
    Configuration(ConfigError),
    /// The operator's: the event of a request without a body has no place.
    NoBodyFilter,
    /// The caller's: the request has headers and trailers only. Envoy has no buffer for a body between
    /// them.
    TrailersOnly,
    /// The caller's: the request has no path, as for `CONNECT`.
    NoPath,
    /// The caller's: the method or the path does not match `resource`.
    NoResource,
    /// The caller's: the event needs the body as JSON, which it is not.
    NotJson(String),
    /// The caller's: the event needs the body as a form, which it is not.
    NotForm,
    /// The operator's: Envoy does not hold headers alone, so that no body comes.
    HeadersNotHeld,
    /// Envoy's: the client's headers are lost, because another VM replaced them.
    LostHeaders,
    /// The caller's: the request has more headers than the filter can put back.
    TooManyHeaders {
        /// The number of headers.
        found: usize,
        /// The largest number allowed.
        limit: usize,
    },
    /// The caller's: the event is larger than Lambda or the configuration allows.
    EventTooLarge {
        /// The event's size, or a part of it that is already too large, in bytes.
        found: usize,
        /// The largest one allowed, in bytes.
        limit: usize,
    },
    /// The caller's: the event of a request without a body is too large for a header.
    HeaderEventTooLarge {
        /// The event's size in bytes.
        found: usize,
        /// The largest one allowed, in bytes.
        limit: usize,
    },
    /// The function's: it raised an error, timed out or exited.
    Function {
        /// The error as the runtime reported it, usually `{"errorType","errorMessage",...}`.
        payload: Vec<u8>,
    },
    /// The function's: its response breaks the format's contract.
    InvalidResponse(String),
    /// The upstream's: the event stream is broken or ends early.
    Stream(String),
    /// Lambda's, the emulator's or the invoker's: the function did not run.
    Service {
        /// The upstream's status.
        status: u16,
        /// AWS's name of the error, from `x-amzn-errortype`.
        kind: String,
        /// The seconds after which the client may try again, if the upstream sent them.
        retry_after: Option<String>,
    },
}

impl Error {
    /// Returns the kind of the error, for the filter's figures.
    #[must_use]
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Configuration(_)
            | Self::NoBodyFilter
            | Self::HeadersNotHeld
            | Self::LostHeaders => ErrorKind::Configuration,
            Self::TrailersOnly
            | Self::NoPath
            | Self::NoResource
            | Self::NotJson(_)
            | Self::NotForm => ErrorKind::BadRequest,
            Self::TooManyHeaders { .. }
            | Self::EventTooLarge { .. }
            | Self::HeaderEventTooLarge { .. }
            | Self::Service { status: 413, .. } => ErrorKind::RequestTooLarge,
            Self::Function { payload } => match self.error_type().as_deref() {
                Some(function_error::TIMED_OUT) => ErrorKind::Timeout,
                Some(function_error::RESPONSE_TOO_LARGE) => ErrorKind::ResponseTooLarge,
                Some(own) if own.starts_with("Runtime.") || own.starts_with("Extension.") => {
                    ErrorKind::Runtime
                }
                _ if function_error::is_timeout(payload) => ErrorKind::Timeout,
                _ => ErrorKind::Unhandled,
            },
            Self::InvalidResponse(_) => ErrorKind::Malformed,
            Self::Stream(_) => ErrorKind::Stream,
            Self::Service { status: 429, .. } => ErrorKind::Throttled,
            Self::Service { .. } => ErrorKind::Service,
        }
    }

    /// Returns AWS's or the function's own type of the error, for access logs.
    #[must_use]
    pub(crate) fn error_type(&self) -> Option<String> {
        match self {
            Self::Service { status, kind, .. } if kind.is_empty() => Some(status.to_string()),
            Self::Service { kind, .. } => Some(single_line(kind)),
            Self::Function { payload } => {
                let error = ShallowJson::parse(payload).ok();
                match error.as_ref().and_then(|error| error.member(ERROR_TYPE)) {
                    Some(ShallowJson::Text(error_type)) => Some(single_line(error_type)),
                    _ => Some(UNHANDLED.to_owned()),
                }
            }
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(error) => error.fmt(f),
            Self::NoBodyFilter => f.write_str(
                "a request without a body has no place for its event: put the Lua filter \
                 `function envoy_on_request(handle) handle:body(true) end` in front of this one, or \
                 set `bodyless_event: header` if the upstream is the sidecar-invoker",
            ),
            Self::HeadersNotHeld => f.write_str(
                "Envoy does not hold headers until their body has come: set \
                 `allow_on_headers_stop_iteration: true` beside `failure_policy` (Envoy 1.35 or newer; \
                 Istio 1.28 or newer, because older ones drop it)",
            ),
            Self::TrailersOnly => f.write_str(
                "the request has trailers but no body, which Envoy leaves no room to replace",
            ),
            Self::NoPath => f.write_str("the request has no path"),
            Self::LostHeaders => f.write_str(
                "another try of this request, in a VM of its own, has not put the client's headers \
                 back: give all clusters that a request may be tried on the same `vm_config`",
            ),
            Self::TooManyHeaders { found, limit } => {
                write!(
                    f,
                    "the request has {found} headers, and {limit} are the most"
                )
            }
            Self::NoResource => f.write_str("the request is not one of `resource`: its method or path is another"),
            Self::NotJson(what) => {
                write!(f, "the body has to be JSON, and is not: {}", single_line(what))
            }
            Self::NotForm => f.write_str(
                "the body has to be a form, application/x-www-form-urlencoded, and is not",
            ),
            Self::EventTooLarge { found, limit } => write!(
                f,
                "the event has {found} bytes or more, and {limit} are the most \
                 (`max_request_bytes`; Lambda takes 1,048,576 for `invocation: event`)"
            ),
            Self::HeaderEventTooLarge { found, limit } => write!(
                f,
                "the event of a request without a body has {found} bytes, and {limit} are \
                 the most in a header (`bodyless_event: body` has room for more)"
            ),
            Self::Function { payload } => {
                write!(
                    f,
                    "the function failed: {}",
                    single_line(&String::from_utf8_lossy(payload))
                )
            }
            Self::InvalidResponse(what) => {
                write!(f, "the function's answer is not valid: {}", single_line(what))
            }
            Self::Stream(what) => {
                write!(
                    f,
                    "the event stream of the answer is broken: {}",
                    single_line(what)
                )
            }
            Self::Service { status, kind, .. } => {
                let kind = match kind.as_str() {
                    "" => "no x-amzn-errortype".to_owned(),
                    kind => single_line(kind),
                };
                write!(f, "the function was not run: {status} ({kind})")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_has_a_second_line() {
        let hostile = "a\n[critical] forged \u{1b}[0m".to_owned() + &"x".repeat(1_000_000);
        for error in [
            Error::Function {
                payload: hostile.clone().into_bytes(),
            },
            Error::InvalidResponse(hostile.clone()),
            Error::Stream(hostile.clone()),
            Error::NotJson(hostile.clone()),
            Error::Service {
                status: 500,
                kind: hostile.clone(),
                retry_after: None,
            },
        ] {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message}");
            assert!(message.len() < 1200, "{}", message.len());
            let error_type = error.error_type().unwrap_or_default();
            assert!(!error_type.contains(char::is_control), "{error_type}");
            assert!(error_type.len() < 1200);
        }
    }
}
