//! The body of a function's answer.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::headers::invalid;
use crate::error::Error;
use crate::node::Node;

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

/// The JSON of the member `body` of an object; `None` if it stands there twice.
pub fn member(object: &[u8]) -> Option<&[u8]> {
    let members = object.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    let mut found = parts(members, b',').filter_map(|member| {
        let mut pair = parts(member, b':');
        let key = Node::parse(pair.next()?).ok()?;
        let value = pair.next()?;
        (key == Node::Text("body".into())).then_some(value)
    });
    found.next().filter(|_| found.next().is_none())
}

/// What stands between separators, but for those in strings, arrays and objects.
fn parts(json: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    json.split(move |&byte| {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            return false;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => return byte == separator && depth == 0,
        }
        false
    })
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
    fn the_body_is_that_of_the_object_itself() {
        for (object, expected) in [
            (
                r#" {"a":{"body":1},"b":"\",{","body" : [1, {"x":2}] } "#,
                Some(" [1, {\"x\":2}] "),
            ),
            (r#"{"\u0062ody":1}"#, Some("1")),
            (r#"{"body":1,"body":2}"#, None),
            (r#"{"a":"body"}"#, None),
        ] {
            assert_eq!(
                member(object.as_bytes()),
                expected.map(str::as_bytes),
                "{object}"
            );
        }
    }

    #[test]
    fn padding_is_optional_and_lines_may_be_broken() {
        for text in ["aGk=", "aGk", "aG\r\nk=\n"] {
            let body = decode(Some(Node::Text(text.into())), Some(&Node::Bool(true)));
            assert_eq!(body.unwrap(), b"hi");
        }
    }
}
