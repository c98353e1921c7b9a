//! The body of a function's answer.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::headers::invalid;
use super::surrogates;
use crate::error::Error;
use crate::node::Node;

/// Padding is optional: some encoders leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of `body`, which is JSON: a string or nothing.
///
/// # Errors
/// [`Error::Answer`] for another value, and for base64 that is none.
pub fn decode(body: Option<&str>, is_base64: Option<&Node<'_>>) -> Result<Vec<u8>, Error> {
    let text = match body {
        None | Some("null") => return Ok(Vec::new()),
        Some(json) => text(json)?,
    };
    match is_base64 {
        None | Some(Node::Null | Node::Bool(false)) => Ok(text.into_owned()),
        Some(Node::Bool(true)) => {
            let decoded = BASE64.decode(&text).or_else(|_| {
                // Some encoders break lines, as mail needs it.
                let text: Vec<u8> = text
                    .iter()
                    .copied()
                    .filter(|byte| !byte.is_ascii_whitespace())
                    .collect();
                BASE64.decode(text)
            });
            decoded.or_else(|error| invalid(format!("`body` is not base64: {error}")))
        }
        Some(_) => invalid("`isBase64Encoded` is neither true nor false"),
    }
}

/// Whether JSON can be a body as it stands in any contract.
pub fn is_text_or_null(json: &str) -> bool {
    json == "null" || json.starts_with('"')
}

/// What a string of JSON says. JSON within JSON has an escape every few bytes, for which the parser's
/// own way is a slow one.
fn text(json: &str) -> Result<Cow<'_, [u8]>, Error> {
    let quoted = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(quoted) = quoted else {
        return invalid("`body` is not a string");
    };
    let Some((plain, _)) = quoted.split_once('\\') else {
        return Ok(Cow::Borrowed(quoted.as_bytes()));
    };
    let mut out = Vec::with_capacity(quoted.len());
    out.extend_from_slice(plain.as_bytes());
    let mut rest = quoted.as_bytes().iter().copied().skip(plain.len());
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'\\' => match rest.next() {
                Some(escaped @ (b'"' | b'\\' | b'/')) => escaped,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'b') => 8,
                Some(b'f') => 12,
                _ => return with_code_units(json),
            },
            byte => byte,
        });
    }
    Ok(Cow::Owned(out))
}

/// A string with `\\u` in it. Half a surrogate pair is no character, and stands as `\u{fffd}`.
fn with_code_units(json: &str) -> Result<Cow<'_, [u8]>, Error> {
    let parse = |json: &[u8]| match Node::parse(json) {
        Ok(Node::Text(text)) => Some(text.into_owned().into_bytes()),
        _ => None,
    };
    let bytes = parse(json.as_bytes()).or_else(|| parse(&surrogates::mended(json.as_bytes())?));
    match bytes {
        Some(bytes) => Ok(Cow::Owned(bytes)),
        None => invalid("`body` is not a string"),
    }
}

/// JSON without white space between its parts: how a Function URL serialises an answer anew.
pub fn compact(json: &[u8]) -> Vec<u8> {
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

    /// As Python writes it.
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
        for text in [r#""aGk=""#, r#""aGk""#, r#""aG\r\nk=\n""#] {
            let body = decode(Some(text), Some(&Node::Bool(true)));
            assert_eq!(body.unwrap(), b"hi");
        }
    }
}
