//! The body of a function's answer.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::headers::invalid;
use super::payload::Node;
use crate::error::Error;

/// Padding is optional: some encoders leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of `body`, which is a string or nothing.
///
/// # Errors
/// [`Error::Answer`] for another value, and for base64 that is none.
pub fn decode(body: Option<Node<'_>>, is_base64: Option<&Node<'_>>) -> Result<Vec<u8>, Error> {
    let text = match body {
        None | Some(Node::Null) => return Ok(Vec::new()),
        Some(Node::Text(text)) => text,
        Some(_) => return invalid("`body` is not a string"),
    };
    match is_base64 {
        None | Some(Node::Null | Node::Bool(false)) => Ok(text.into_owned().into_bytes()),
        Some(Node::Bool(true)) => {
            let decoded = BASE64.decode(text.as_bytes()).or_else(|_| {
                // Some encoders break lines, as mail needs it.
                let text: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
                BASE64.decode(text)
            });
            decoded.or_else(|error| invalid(format!("`body` is not base64: {error}")))
        }
        Some(_) => invalid("`isBase64Encoded` is neither true nor false"),
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
    fn padding_is_optional_and_lines_may_be_broken() {
        for text in ["aGk=", "aGk", "aG\r\nk=\n"] {
            let body = decode(Some(Node::Text(text.into())), Some(&Node::Bool(true)));
            assert_eq!(body.unwrap(), b"hi");
        }
    }
}
