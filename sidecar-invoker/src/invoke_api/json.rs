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

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::error::ServiceError;

/// A larger event is checked on a blocking thread, where that delays no other caller. A check takes about
/// a millisecond per megabyte.
const LARGE_EVENT_BYTES: usize = 128 << 10;

/// Checks that an event is JSON.
///
/// # Errors
/// Returns AWS's error with the place of the first mistake.
pub(crate) async fn check_event(event: &Bytes) -> Result<(), ServiceError> {
    let checked = if event.len() < LARGE_EVENT_BYTES {
        check(event)
    } else {
        let event = event.clone();
        let checked = tokio::task::spawn_blocking(move || check(&event)).await;
        checked.map_err(|_| ServiceError::ShuttingDown)?
    };
    checked.map_err(ServiceError::InvalidJson)
}

/// Checks that `bytes` are one JSON document.
///
/// # Errors
/// Returns the first mistake and its place.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    // The parser does not look at the characters of a text that it skips.
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let place = error.valid_up_to();
        format!("Invalid UTF-8 at byte {place}")
    })?;
    if text.starts_with('\u{feff}') {
        return Err("a byte order mark at the beginning".to_owned());
    }
    let document = serde_json::from_str::<IgnoredAny>(text);
    document.map(drop).map_err(|error| error.to_string())
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

    #[tokio::test]
    async fn the_error_has_the_words_of_aws_and_no_content() {
        let large = [b"\"".to_vec(), b"x".repeat(LARGE_EVENT_BYTES)].concat();
        for event in [b"secret".to_vec(), large, b"\"secret \xff".to_vec()] {
            let error = check_event(&event.into()).await.unwrap_err().to_string();
            let prefix =
                "Could not parse request body into json: Could not parse payload into json: ";
            assert!(error.starts_with(prefix), "{error}");
            assert!(!error.contains("secret") && error.len() < 200, "{error}");
        }
    }
}
