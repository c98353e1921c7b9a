//! The payload of a function error: a JSON object with `errorType` and `errorMessage`, and often
//! `stackTrace`.
//!
//! AWS marks such a payload by the header
//! [`headers::FUNCTION_ERROR`](crate::headers::FUNCTION_ERROR). The Runtime Interface Emulator sends
//! it like any other response, so that only the payload tells. The rule for this is here:
//! [`Members`] for JSON, whichever reader reads it, and [`is_timeout`] for the one text that is no
//! JSON.
//!
//! Source: "Invocation errors" in the "Runtime API" chapter of the AWS Lambda developer guide; the
//! emulator's `/2018-06-01/runtime/invocation/{id}/error`.

/// The member with the error's type, a string: `KeyError`, `Sandbox.Timedout`.
pub const ERROR_TYPE: &str = "errorType";

/// The type of the error if the function has not responded in time.
pub const TIMED_OUT: &str = "Sandbox.Timedout";

/// The type of the error if the function's response is larger than Lambda allows.
pub const RESPONSE_TOO_LARGE: &str = "Function.ResponseSizeTooLarge";

/// The member with the error's message, a string.
pub const ERROR_MESSAGE: &str = "errorMessage";

/// The member with the stack trace, a list. Not every runtime sends it.
pub const STACK_TRACE: &str = "stackTrace";

/// The member that makes an object an HTTP response, whatever else it has.
const STATUS_CODE: &str = "statusCode";

/// The members of an object that tell a function error from a response.
///
/// An object is a function error if it has [`ERROR_TYPE`] and [`ERROR_MESSAGE`], of any type, and
/// no `statusCode`.
///
/// ```
/// let mut members = lambda_api::function_error::Members::default();
/// for name in ["errorMessage", "errorType", "stackTrace"] {
///     members.add(name);
/// }
/// assert!(members.is_error());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Members {
    has_type: bool,
    has_message: bool,
    has_status: bool,
}

impl Members {
    /// Records that the object has a member of this name.
    pub fn add(&mut self, name: &str) {
        match name {
            ERROR_TYPE => self.has_type = true,
            ERROR_MESSAGE => self.has_message = true,
            STATUS_CODE => self.has_status = true,
            _ => {}
        }
    }

    /// Returns whether the members so far are those of a function error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.has_type && self.has_message && !self.has_status
    }
}

/// Returns whether a payload that is no JSON is the emulator's report of a timeout:
/// `Task timed out after 3.00 seconds`.
#[must_use]
pub fn is_timeout(payload: &[u8]) -> bool {
    payload.starts_with(b"Task timed out after ")
}

/// Returns the payload of a function error: `{"errorType":"…","errorMessage":"…"}`, in AWS's order.
///
/// ```
/// let payload = lambda_api::function_error::payload("Runtime.ExitError", "it \"ended\"");
/// assert_eq!(payload, r#"{"errorType":"Runtime.ExitError","errorMessage":"it \"ended\""}"#);
/// ```
#[must_use]
pub fn payload(error_type: &str, message: &str) -> String {
    let mut json = String::with_capacity(error_type.len() + message.len() + 40);
    for (before, name, text) in [('{', ERROR_TYPE, error_type), (',', ERROR_MESSAGE, message)] {
        json.push(before);
        push_string(&mut json, name);
        json.push(':');
        push_string(&mut json, text);
    }
    json.push('}');
    json
}

/// Appends a JSON string: RFC 8259, section 7.
fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\0'..' ' => json.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_error_has_a_type_and_a_message_and_no_status() {
        for (names, is_error) in [
            (&["errorType", "errorMessage", "stackTrace"][..], true),
            (&["errorMessage", "errorType"], true),
            (&["errorType"], false),
            (&["errorType", "errorMessage", "statusCode"], false),
            (&[], false),
        ] {
            let mut members = Members::default();
            names.iter().for_each(|name| members.add(name));
            assert_eq!(members.is_error(), is_error, "{names:?}");
        }
    }

    #[test]
    fn a_payload_is_json_whatever_its_texts_are() {
        let text: String = (0..0x300).filter_map(char::from_u32).collect();
        let parsed: Value = serde_json::from_str(&payload(&text, &text)).unwrap();
        assert_eq!(parsed, json!({ "errorType": text, "errorMessage": text }));
    }

    #[test]
    fn the_emulator_reports_a_timeout_as_text() {
        assert!(is_timeout(b"Task timed out after 3.00 seconds"));
        assert!(!is_timeout(b"\"Task timed out after 3.00 seconds\""));
    }
}
