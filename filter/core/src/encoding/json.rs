//! Reads JSON.

use std::fmt;
use std::str::Utf8Error;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The reason why bytes are not a single JSON value in UTF-8. Its text has the place.
#[derive(Debug)]
pub(crate) enum JsonError {
    Encoding(Utf8Error),
    Syntax(serde_json::Error),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding(error) => error.fmt(f),
            Self::Syntax(error) => error.fmt(f),
        }
    }
}

/// Checks that bytes are a single JSON value in UTF-8.
pub(crate) fn check(bytes: &[u8]) -> Result<(), JsonError> {
    read::<IgnoredAny>(bytes).map(|_| ())
}

/// Reads a single JSON value in UTF-8 as a tree.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    read(bytes)
}

/// Reads a single JSON value in UTF-8. It reads from text only, because reading from bytes would add
/// a second copy of the parser to the module.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(JsonError::Encoding)?;
    serde_json::from_str(text).map_err(JsonError::Syntax)
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
