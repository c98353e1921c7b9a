//! The check that an event is JSON, which AWS makes before it runs a function.
//!
//! The parser is serde_json's, which skips a document without building values. It takes no stack for
//! nested documents. Where AWS's own parser (Jackson) and others differ, this one does as follows:
//!
//! | document | |
//! |---|---|
//! | lone surrogates such as `"\ud800"`, duplicate names, numbers of any size, any depth | accepted, as by Jackson; the function gets them as they are |
//! | text that is not UTF-8, `NaN`, `'a'`, `01`, control characters in strings, comments | refused, as by Jackson |
//! | a byte order mark, anything after the document | refused, because most runtimes refuse them |

use serde::de::IgnoredAny;

/// The first mistake of bytes that are not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// The text is not UTF-8 from this byte on.
    #[error("Invalid UTF-8 at byte {0}")]
    InvalidUtf8(usize),
    /// The text begins with U+FEFF.
    #[error("a byte order mark at the beginning")]
    ByteOrderMark,
    /// The text has another form. The parser says it with the line and the column.
    #[error("{0}")]
    Syntax(String),
}

/// Checks that `bytes` are one JSON document.
pub(crate) fn check(bytes: &[u8]) -> Result<(), JsonError> {
    // The parser does not look at the characters of a text that it skips.
    let text =
        std::str::from_utf8(bytes).map_err(|error| JsonError::InvalidUtf8(error.valid_up_to()))?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    let document = serde_json::from_str::<IgnoredAny>(text);
    document
        .map(drop)
        .map_err(|error| JsonError::Syntax(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_json_document_is_an_event() {
        for event in [
            "{}",
            " {\"a\": [1, -0.5e+9, true, null]}\r\n\t",
            "\"text\"",
            "0",
            "null",
            "\"\\ud800 \\udc00\\ud83d\\ude00\"",
            "{\"a\":1,\"a\":2}",
            "123456789012345678901234567890.12345678901234567890e99999",
            "\"\u{7f}\u{2028}\u{1f600}\"",
        ] {
            assert_eq!(check(event.as_bytes()), Ok(()), "{event}");
        }
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert_eq!(check(deep.as_bytes()), Ok(()));
    }

    #[test]
    fn anything_else_is_none() {
        for event in [
            &b"no json"[..],
            b"",
            b" ",
            b"{} {}",
            b"{}x",
            b"{\"a\":1,}",
            b"[1,]",
            b"{a:1}",
            b"'a'",
            b"NaN",
            b"Infinity",
            b"01",
            b"+1",
            b"1.",
            b".5",
            b"tru",
            b"\"a",
            b"\"a\nb\"",
            b"\"\\x41\"",
            b"\"\\u00g0\"",
            b"// a\n{}",
            b"\xef\xbb\xbf{}",
            b"\"\xff\"",
            b"\"\xed\xa0\x80\"",
            b"{\0}",
            b"[[",
        ] {
            let shown = String::from_utf8_lossy(event);
            assert!(check(event).is_err(), "{shown}");
        }
    }
}
