//! The body in a function's response.

use super::headers::invalid;
use crate::encoding::shallow_json::ShallowJson;
use crate::encoding::{base64, json_string};
use crate::error::Error;

/// Returns the bytes of the member `body`, which is a JSON string, null or absent.
///
/// # Errors
/// [`Error::InvalidResponse`] for any other value and for invalid base64.
pub(super) fn decode(
    body: Option<&str>,
    is_base64: Option<&ShallowJson<'_>>,
) -> Result<Vec<u8>, Error> {
    let json = match body {
        None | Some("null") => return Ok(Vec::new()),
        Some(json) => json,
    };
    let not_text = || invalid("`body` is not a string");
    let Some(quoted) = json.strip_prefix('"') else {
        return not_text();
    };
    let text = || {
        let text = json_string::read(quoted.as_bytes()).map(|(text, _)| text.into_owned());
        text.map_or_else(not_text, Ok)
    };
    match is_base64 {
        None | Some(ShallowJson::Null | ShallowJson::Bool(false)) => text(),
        Some(ShallowJson::Bool(true)) => {
            base64::decode(quoted.strip_suffix('"').unwrap_or(quoted).as_bytes()).or_else(|_| {
                // Some encoders break lines, as in mail, or escape each slash.
                let mut text = text()?;
                text.retain(|byte| !byte.is_ascii_whitespace());
                let decoded = base64::decode(&text);
                decoded.or_else(|error| invalid(format!("`body` is not base64: {error}")))
            })
        }
        Some(_) => invalid("`isBase64Encoded` is neither true nor false"),
    }
}

/// Returns whether JSON is a body in every contract.
pub(super) fn is_text_or_null(json: &str) -> bool {
    json == "null" || json.starts_with('"')
}

/// Returns JSON without white space between its tokens, in which a Function URL writes a response.
pub(super) fn compact(json: &[u8]) -> Vec<u8> {
    let mut in_string = false;
    let mut escaped = false;
    let keep = |byte: &&u8| {
        if in_string {
            in_string = escaped || **byte != b'"';
            escaped = !escaped && **byte == b'\\';
            return true;
        }
        in_string = **byte == b'"';
        !byte.is_ascii_whitespace()
    };
    json.iter().filter(keep).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_json_keeps_the_inside_of_strings() {
        assert_eq!(
            compact(b" { \"a b\" : [ 1 , \"\\\" \\\\\" , 2.50 ]\n}\t"),
            b"{\"a b\":[1,\"\\\" \\\\\",2.50]}"
        );
    }

    #[test]
    fn a_string_is_read_as_the_parser_reads_it() {
        for text in [
            "",
            "plain",
            "\"\\/\u{8}\u{c}\n\r\t",
            "{\"a\":\"\\\"\"}",
            "\u{0}\u{1f}\u{7f}\u{e9}\u{1f600}",
        ] {
            let json = serde_json::to_string(text).unwrap();
            let ascii: String = json.chars().flat_map(in_ascii).collect();
            for json in [json.replace('/', "\\/"), json, ascii] {
                let expected: String = serde_json::from_str(&json).unwrap();
                let body = decode(Some(&json), None).unwrap();
                assert_eq!(body, expected.as_bytes(), "{json}");
            }
        }
        assert_eq!(
            decode(Some(r#""\/cut \ud83d""#), None).unwrap(),
            "/cut \u{fffd}".as_bytes()
        );
        for json in ["1", "[]", "{}", "true"] {
            assert!(decode(Some(json), None).is_err(), "{json}");
        }
    }

    /// Returns a character as Python's `json` writes it.
    fn in_ascii(c: char) -> Vec<char> {
        if c.is_ascii() {
            return vec![c];
        }
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        units
            .flat_map(|unit| format!("\\u{unit:04x}").chars().collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn padding_is_optional_and_lines_may_be_broken() {
        for text in [
            r#""/w=""#,
            r#""/w==""#,
            r#""/w""#,
            r#""\/w==""#,
            r#""/\r\nw==\n""#,
            r#""\u002fw==""#,
        ] {
            let body = decode(Some(text), Some(&ShallowJson::Bool(true)));
            assert_eq!(body.unwrap(), b"\xff", "{text}");
        }
    }
}
