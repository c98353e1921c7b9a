//! Reads JSON.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Whether bytes are one JSON value in UTF-8, of any depth.
///
/// # Errors
/// Where they are not.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    read::<IgnoredAny>(bytes).map(|_| ())
}

/// One JSON value in UTF-8, as a tree.
///
/// # Errors
/// Where the bytes are not one.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    read(bytes)
}

/// One JSON value in UTF-8. Always from text: reading from bytes would bring the parser a second
/// time.
///
/// # Errors
/// Where the bytes are not one.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_one_value_in_utf8() {
        for (text, is_json) in [
            (&b"{}"[..], true),
            (b"[\"\xc3\xa9\"]", true),
            (b"[\"\xff\"]", false),
            (b"{} {}", false),
            (b"", false),
        ] {
            assert_eq!(check(text).is_ok(), is_json, "{text:?}");
        }
        assert!(check("[".repeat(100_000).as_bytes()).is_err());
    }
}
