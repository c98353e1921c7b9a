//! Headers as Envoy has them.

use std::borrow::Cow;

/// A header map as Envoy has it: pseudo-headers first, names in lower case, values of any bytes.
pub type HeaderMap = Vec<(String, Vec<u8>)>;

/// Returns a header map as bytes that [`decode`] reads.
#[must_use]
pub(crate) fn encode(headers: &HeaderMap) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        for part in [name.as_bytes(), value] {
            // Envoy's limits are far below four gigabytes.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend(length.to_le_bytes());
            bytes.extend(part);
        }
    }
    bytes
}

/// Reads the bytes that [`encode`] returned; `None` for other bytes.
#[must_use]
pub(crate) fn decode(mut bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    while !bytes.is_empty() {
        let [name, value] = [(); 2].map(|()| {
            let (length, rest) = bytes.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (part, rest) = rest.split_at_checked(length)?;
            bytes = rest;
            Some(part.to_vec())
        });
        headers.push((String::from_utf8(name?).ok()?, value?));
    }
    Some(headers)
}

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

/// Returns a media type without its parameters, in lower case.
pub(crate) fn essence(media_type: &str) -> String {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Returns the value of the first parameter of this name, without its quotes.
pub(crate) fn parameter<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    split_quoted(header, ';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim_matches('"'))
    })
}

/// Returns the parts between separators that are not in quotes.
pub(crate) fn split_quoted(text: &str, separator: char) -> impl DoubleEndedIterator<Item = &str> {
    let mut quoted = false;
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        if c == '"' {
            quoted = !quoted;
        } else if c == separator && !quoted {
            parts.extend(text.get(start..at));
            start = at + c.len_utf8();
        }
    }
    parts.extend(text.get(start..));
    parts.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_map_is_read_as_it_was_written() {
        let headers = [(":path", b"/".as_slice()), ("x-empty", b""), ("x", b"\xff")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_vec()));
        let bytes = encode(&headers.to_vec());
        assert_eq!(decode(&bytes).unwrap(), headers);
        assert_eq!(decode(b"").unwrap(), []);
        for length in 1..bytes.len() {
            let cut = bytes.get(..length).unwrap();
            assert!(decode(cut).is_none_or(|read| read.len() < 3), "{length}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_latin_1() {
        assert_eq!(text(b"caf\xc3\xa9"), "caf\u{e9}");
        assert_eq!(text(b"caf\xe9"), "caf\u{e9}");
    }
}
