//! What can go wrong with one request, told apart by whose doing it is, and the one table from
//! each to a status. The log gets the detail, the client a safe message.

use std::fmt;

use crate::config::{Config, Problems};
use crate::event::json::JsonWriter;
use crate::reply::Reply;

/// Why a request gets no answer of its function's.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// The operator's: the configuration of this route is wrong.
    Configuration(Problems),
    /// The operator's: the metadata is not what Envoy is known to send.
    Metadata(String),
    /// The operator's: there is nowhere to put the event of a request without a body.
    NoBodyFilter,
    /// The caller's: `CONNECT` has no path, and so makes no event.
    NoPath,
    /// The caller's: the event would be larger than Lambda takes.
    EventTooLarge {
        /// The event's size, or what is known of it so far, in bytes.
        found: usize,
        /// The largest one allowed, in bytes.
        limit: usize,
    },
    /// The function's: it raised an error, ran out of time or ended.
    Function {
        /// The error as the runtime reported it, usually `{"errorType","errorMessage",...}`.
        payload: Vec<u8>,
    },
    /// The function's: its answer is not what the payload format's contract asks for.
    Answer(String),
    /// Lambda's, the emulator's or the invoker's: the function was not run.
    Service {
        /// The upstream's status.
        status: u16,
        /// AWS's name of the error, from `x-amzn-errortype`.
        kind: String,
        /// After how many seconds to try again, if the upstream said.
        retry_after: Option<String>,
    },
}

impl Error {
    /// The status that the client gets: API Gateway's own for an HTTP API where it has one.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NoPath => 400,
            Self::EventTooLarge { .. } => 413,
            Self::Configuration(_)
            | Self::Metadata(_)
            | Self::NoBodyFilter
            | Self::Function { .. }
            | Self::Answer(_) => 500,
            Self::Service { status, .. } => match status {
                408 | 504 => 504,
                413 | 429 | 503 => *status,
                _ => 502,
            },
        }
    }

    /// The response. Without a configuration (because it is wrong) nothing is exposed.
    #[must_use]
    pub fn reply(&self, config: Option<&Config>) -> Reply {
        let exposed = config.is_some_and(|config| config.expose_errors);
        let body = match self {
            Self::Function { payload } if exposed && is_json(payload) => payload.clone(),
            error if exposed => message(&error.to_string()),
            error => message(reason(error.status())),
        };
        let mut reply = Reply {
            status: self.status(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body,
        };
        if let Self::Service {
            retry_after: Some(seconds),
            ..
        } = self
        {
            reply
                .headers
                .push(("retry-after".to_owned(), seconds.clone()));
        }
        reply
    }
}

fn is_json(payload: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok()
}

/// The error body of an HTTP API.
fn message(text: &str) -> Vec<u8> {
    let mut json = JsonWriter::with_capacity(text.len() + 16);
    json.object(|json| json.key("message").string(text));
    json.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        413 => "Request Entity Too Large",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

/// At most so much of a function's own words goes into a line of the log.
const LOGGED_PAYLOAD: usize = 1024;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(problems) => write!(f, "the configuration is wrong: {problems}"),
            Self::Metadata(what) => write!(f, "Envoy's metadata cannot be read: {what}"),
            Self::NoBodyFilter => f.write_str(
                "a request without a body has no place for its event: put the Lua filter \
                 `function envoy_on_request(handle) handle:body(true) end` in front of this one",
            ),
            Self::NoPath => f.write_str("the request has no path"),
            Self::EventTooLarge { found, limit } => write!(
                f,
                "the event has {found} bytes or more, and `max_request_bytes` is {limit}"
            ),
            Self::Function { payload } => {
                let shown = payload.get(..LOGGED_PAYLOAD).unwrap_or(payload);
                write!(f, "the function failed: {}", String::from_utf8_lossy(shown))
            }
            Self::Answer(what) => write!(f, "the function's answer is not valid: {what}"),
            Self::Service { status, kind, .. } => {
                let kind = if kind.is_empty() {
                    "no x-amzn-errortype"
                } else {
                    kind
                };
                write!(f, "the function was not run: {status} ({kind})")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn service(status: u16) -> Error {
        Error::Service {
            status,
            kind: "TooManyRequestsException".to_owned(),
            retry_after: Some("1".to_owned()),
        }
    }

    fn config(text: &str) -> Config {
        Settings::from_plugin(text.as_bytes())
            .unwrap()
            .into_config()
            .unwrap()
    }

    #[test]
    fn errors_of_the_service_have_a_status_that_says_what_to_do() {
        for (upstream, client) in [
            (429, 429),
            (413, 413),
            (408, 504),
            (504, 504),
            (503, 503),
            (400, 502),
            (403, 502),
            (404, 502),
            (500, 502),
            (502, 502),
            (302, 502),
        ] {
            assert_eq!(service(upstream).status(), client, "{upstream}");
        }
    }

    #[test]
    fn a_client_is_told_when_to_try_again() {
        let reply = service(429).reply(None);
        assert_eq!(reply.body, br#"{"message":"Too Many Requests"}"#);
        assert!(
            reply
                .headers
                .contains(&("retry-after".to_owned(), "1".to_owned()))
        );
    }

    #[test]
    fn a_function_error_is_shown_only_when_asked_for() {
        let payload = br#"{"errorType":"KeyError","errorMessage":"'id'"}"#;
        let error = Error::Function {
            payload: payload.to_vec(),
        };
        let hidden = error.reply(Some(&config(r#"{"function":"f"}"#)));
        assert_eq!(hidden.status, 500);
        assert_eq!(hidden.body, br#"{"message":"Internal Server Error"}"#);

        let shown = config(r#"{"function":"f","expose_errors":true}"#);
        assert_eq!(error.reply(Some(&shown)).body, payload);
        let text = Error::Function {
            payload: b"Task timed out after 3.00 seconds".to_vec(),
        };
        assert_eq!(
            text.reply(Some(&shown)).body,
            br#"{"message":"the function failed: Task timed out after 3.00 seconds"}"#
        );
    }
}
