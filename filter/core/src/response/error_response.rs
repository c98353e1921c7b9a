//! The client's response to an error: the table from errors to statuses, and the bodies that AWS's
//! services send.

use lambda_api::headers::ERROR_TYPE;

use super::http_response::HttpResponse;
use crate::config::Config;
use crate::config::values::Contract;
use crate::encoding::json;
use crate::encoding::json_writer::JsonWriter;
use crate::error::Error;

/// Returns the status for an error. For a failed function it depends on the service.
fn status(error: &Error, contract: Contract) -> u16 {
    match error {
        Error::NoPath | Error::NotJson(_) | Error::NotForm => 400,
        Error::NoResource => 404,
        Error::EventTooLarge { .. } => 413,
        Error::TooManyHeaders { .. } | Error::HeaderEventTooLarge { .. } => 431,
        Error::Configuration(_)
        | Error::NoBodyFilter
        | Error::HeadersNotHeld
        | Error::LostHeaders => 500,
        Error::TrailersOnly => 501,
        Error::InvalidResponse(_) if contract == Contract::Envoy => 500,
        Error::Function { .. } | Error::InvalidResponse(_) => match contract {
            Contract::HttpApi => 500,
            _ => 502,
        },
        Error::Stream(_) => 502,
        Error::Service { status, .. } => match status {
            408 | 504 => 504,
            413 | 429 | 503 => *status,
            _ => 502,
        },
    }
}

/// Returns the response to an error. Without a configuration, as when it is wrong, it exposes nothing.
#[must_use]
pub fn error_response(error: &Error, config: Option<&Config>) -> HttpResponse {
    let exposed = config.is_some_and(|config| config.expose_errors);
    let contract = config.map_or(Contract::HttpApi, |config| config.format.contract());
    let status = status(error, contract);
    let (media_type, body) = match error {
        Error::Function { payload } if exposed && json::check(payload).is_ok() => {
            (JSON, payload.clone())
        }
        error if exposed => (JSON, message(&error.to_string())),
        _ => safe_body(status, contract),
    };
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
    if !body.is_empty() {
        add("content-type", media_type);
    }
    if contract == Contract::RestApi && status == 502 {
        add(ERROR_TYPE, "InternalServerErrorException");
    }
    if let Error::Service {
        retry_after: Some(seconds),
        ..
    } = error
    {
        add("retry-after", seconds);
    }
    HttpResponse {
        status,
        headers,
        body,
        declared_length: None,
    }
}

const JSON: &str = "application/json";

/// Returns the media type and the body of AWS's own error responses.
fn safe_body(status: u16, contract: Contract) -> (&'static str, Vec<u8>) {
    let reason = reason(status);
    match contract {
        // A failed integration has the same message for both statuses. The space is AWS's.
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

/// Returns the error body of API Gateway.
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
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
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
                status(&service(upstream), Contract::HttpApi),
                client,
                "{upstream}"
            );
        }
    }

    #[test]
    fn a_client_is_told_when_to_try_again() {
        let response = error_response(&service(429), None);
        assert_eq!(response.body, br#"{"message":"Too Many Requests"}"#);
        assert!(
            response
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
        let hidden = error_response(&error, Some(&config(r#"{"function":"f"}"#)));
        assert_eq!(hidden.status, 500);
        assert_eq!(hidden.body, br#"{"message":"Internal Server Error"}"#);

        let shown = config(r#"{"function":"f","expose_errors":true}"#);
        assert_eq!(error_response(&error, Some(&shown)).body, payload);
        let text = Error::Function {
            payload: b"Task timed out after 3.00 seconds".to_vec(),
        };
        assert_eq!(
            error_response(&text, Some(&shown)).body,
            br#"{"message":"the function failed: Task timed out after 3.00 seconds"}"#
        );
    }
}
