//! What can go wrong with one request, told apart by whose doing it is, and the one table from
//! each to a status. The log gets the detail, the client a safe message.

use std::fmt;

use crate::config::{Config, Contract, Problems};
use crate::event::json::{self, JsonWriter};
use crate::reply::Reply;

/// Why a request gets no answer of its function's.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// The operator's: the configuration of this route is wrong.
    Configuration(Problems),
    /// Envoy's: what it gave as metadata is no such message.
    Metadata(String),
    /// The operator's: there is nowhere to put the event of a request without a body.
    NoBodyFilter,
    /// The caller's: a request of headers and trailers alone. Envoy gives no filter a place for
    /// a body between the two.
    TrailersOnly,
    /// The caller's: `CONNECT` has no path, and so makes no event.
    NoPath,
    /// The caller's: the path is not of the form that `resource` gives.
    NoResource,
    /// The caller's: the body is to be the event, and is not JSON.
    NotJson(String),
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
    /// The status that the client gets. What AWS's own service answers where a function fails
    /// differs from service to service.
    #[must_use]
    pub fn status(&self, contract: Contract) -> u16 {
        match self {
            Self::NoPath | Self::NotJson(_) => 400,
            Self::NoResource => 404,
            Self::EventTooLarge { .. } => 413,
            Self::Configuration(_) | Self::Metadata(_) | Self::NoBodyFilter => 500,
            Self::TrailersOnly => 501,
            Self::Answer(_) if contract == Contract::Envoy => 500,
            Self::Function { .. } | Self::Answer(_) => match contract {
                Contract::HttpApi => 500,
                _ => 502,
            },
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
        let contract = config.map_or(Contract::HttpApi, |config| config.payload.contract());
        let status = self.status(contract);
        let (media_type, body) = match self {
            Self::Function { payload } if exposed && json::check(payload).is_ok() => {
                (JSON, payload.clone())
            }
            error if exposed => (JSON, message(&error.to_string())),
            _ => safe_body(status, contract),
        };
        let mut headers = Vec::new();
        if !body.is_empty() {
            headers.push(("content-type".to_owned(), media_type.to_owned()));
        }
        if let Self::Service {
            retry_after: Some(seconds),
            ..
        } = self
        {
            headers.push(("retry-after".to_owned(), seconds.clone()));
        }
        Reply {
            status,
            headers,
            body,
            declared_length: None,
        }
    }
}

const JSON: &str = "application/json";

/// The media type and the body of AWS's own error responses.
fn safe_body(status: u16, contract: Contract) -> (&'static str, Vec<u8>) {
    let reason = reason(status);
    match contract {
        // A failed integration has one message, whatever the status; the space is AWS's.
        Contract::RestApi if matches!(status, 500 | 502) => {
            (JSON, br#"{"message": "Internal server error"}"#.to_vec())
        }
        Contract::RestApi | Contract::HttpApi | Contract::Raw => (JSON, message(reason)),
        Contract::FunctionUrl if status == 502 => ("text/plain", b"Internal Server Error".to_vec()),
        Contract::FunctionUrl | Contract::VpcLattice => ("text/plain", reason.into()),
        Contract::LoadBalancer => {
            let title = format!("{status} {reason}");
            let body = format!(
                "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n\
                 <center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
            );
            ("text/html", body.into_bytes())
        }
        Contract::Envoy => (JSON, Vec::new()),
    }
}

/// The error body of API Gateway.
fn message(text: &str) -> Vec<u8> {
    let mut json = JsonWriter::with_capacity(text.len() + 16);
    json.object(|json| json.key("message").string(text));
    json.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        404 => "Not Found",
        413 => "Request Entity Too Large",
        429 => "Too Many Requests",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

/// A function's own words, in one line of bounded length.
fn shown(text: &str) -> String {
    const CHARACTERS: usize = 1024;
    let line = text.chars().take(CHARACTERS);
    line.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(problems) => write!(f, "the configuration is wrong: {problems}"),
            Self::Metadata(what) => write!(f, "Envoy's metadata cannot be read: {what}"),
            Self::NoBodyFilter => f.write_str(
                "a request without a body has no place for its event: put the Lua filter \
                 `function envoy_on_request(handle) handle:body(true) end` in front of this one",
            ),
            Self::TrailersOnly => f.write_str(
                "the request has trailers but no body, which Envoy leaves no room to replace",
            ),
            Self::NoPath => f.write_str("the request has no path"),
            Self::NoResource => f.write_str("the path is not of the form that `resource` gives"),
            Self::NotJson(what) => {
                write!(f, "the body, which is to be the event, is not JSON: {what}")
            }
            Self::EventTooLarge { found, limit } => write!(
                f,
                "the event has {found} bytes or more, and `max_request_bytes` is {limit}"
            ),
            Self::Function { payload } => {
                write!(
                    f,
                    "the function failed: {}",
                    shown(&String::from_utf8_lossy(payload))
                )
            }
            Self::Answer(what) => {
                write!(f, "the function's answer is not valid: {}", shown(what))
            }
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
            assert_eq!(
                service(upstream).status(Contract::HttpApi),
                client,
                "{upstream}"
            );
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
