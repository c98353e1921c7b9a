//! Headers as Envoy has them.

use std::borrow::Cow;

/// A header map as Envoy has it: pseudo-headers first, names in lower case, values of any bytes.
pub type HeaderMap = Vec<(String, Vec<u8>)>;

/// Returns the first value of a header.
#[must_use]
pub(crate) fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut headers = headers.iter();
    let header = headers.find(|(key, _)| key == name)?;
    Some(&header.1)
}

/// Returns whether a header is Envoy's own, for its upstreams or from them.
#[must_use]
pub(crate) fn is_envoys(name: &str) -> bool {
    name.starts_with("x-envoy-")
}

/// Returns the bytes of a header as text. Bytes that are not UTF-8 are read as ISO-8859-1, in which
/// every byte is a character, so that none is lost.
#[must_use]
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_latin_1() {
        assert_eq!(text(b"caf\xc3\xa9"), "caf\u{e9}");
        assert_eq!(text(b"caf\xe9"), "caf\u{e9}");
    }
}
