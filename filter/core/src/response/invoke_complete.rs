//! The payload of `InvokeComplete`, with which a streamed response ends.

use lambda_api::event_stream;
use lambda_api::function_error::{ERROR_MESSAGE, ERROR_TYPE};

use crate::encoding::json;
use crate::encoding::json_writer::JsonWriter;
use crate::encoding::shallow_json::ShallowJson;
use crate::error::Error;

/// Returns the function's error as runtimes report one; `None` if the function has not failed.
///
/// # Errors
/// [`Error::Stream`] with the part of the payload that is not as Lambda sends it.
pub(super) fn function_error(payload: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    if payload.trim_ascii().is_empty() {
        return Ok(None);
    }
    let wrong =
        |what: &str| Error::Stream(format!("InvokeComplete is not what Lambda sends: {what}"));
    let complete = ShallowJson::parse(payload).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(complete, ShallowJson::Map(_)) {
        return Err(wrong("it is not an object"));
    }
    let text = |name| match complete.member(name) {
        None | Some(ShallowJson::Null) => Ok(None),
        Some(ShallowJson::Text(text)) => Ok(Some(&**text)),
        Some(_) => Err(wrong(&format!("`{name}` is not a string"))),
    };
    let code = text(event_stream::ERROR_CODE)?;
    let details = text(event_stream::ERROR_DETAILS)?.unwrap_or_default();
    Ok(code.map(|code| {
        // The details are the error as the runtime reported it, or a text.
        if details.starts_with('{') && json::check(details.as_bytes()).is_ok() {
            details.into()
        } else {
            error_payload(code, details)
        }
    }))
}

/// Returns an error as runtimes report one. [`JsonWriter`] is in the module anyway; the function of
/// `lambda_api` that writes the same would add 1 KB.
fn error_payload(error_type: &str, message: &str) -> Vec<u8> {
    let mut json = JsonWriter::with_capacity(error_type.len() + message.len() + 40);
    json.object(|json| {
        json.key(ERROR_TYPE).string(error_type);
        json.key(ERROR_MESSAGE).string(message);
    });
    json.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_runtimes_own_or_made_of_its_code_and_text() {
        for (payload, error) in [
            ("", None),
            ("{}", None),
            (r#"{"LogResult":"bG9n"}"#, None),
            (r#"{"ErrorCode":null,"ErrorDetails":"x"}"#, None),
            (
                r#"{"ErrorCode":"Unhandled","ErrorDetails":"{\"errorType\":\"E\"}"}"#,
                Some(r#"{"errorType":"E"}"#),
            ),
            (
                r#"{"ErrorCode":"Sandbox.Timedout","ErrorDetails":"Task timed out"}"#,
                Some(r#"{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out"}"#),
            ),
        ] {
            let found = function_error(payload.as_bytes()).unwrap();
            assert_eq!(found.as_deref(), error.map(str::as_bytes), "{payload}");
        }
        for payload in ["[]", "{", r#"{"ErrorCode":1}"#] {
            assert!(function_error(payload.as_bytes()).is_err(), "{payload}");
        }
    }
}
