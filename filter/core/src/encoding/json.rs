//! Reads JSON.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Checks that bytes are a single JSON value in UTF-8.
///
/// # Errors
/// The place where they are not.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    read::<IgnoredAny>(bytes).map(|_| ())
}

/// Reads a single JSON value in UTF-8 as a tree.
///
/// # Errors
/// The place where the bytes are none.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    read(bytes)
}

/// Reads a single JSON value in UTF-8. It reads from text only, because reading from bytes would add
/// a second copy of the parser to the module.
///
/// # Errors
/// The place where the bytes are none.
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
