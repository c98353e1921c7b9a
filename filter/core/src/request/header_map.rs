//! Headers as Envoy gives them.

use std::borrow::Cow;

/// A header map as Envoy gives it: pseudo-headers first, names in lower case, values any bytes.
pub type HeaderMap = Vec<(String, Vec<u8>)>;

/// The first value of a header.
#[must_use]
pub(crate) fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut headers = headers.iter();
    let header = headers.find(|(key, _)| key == name)?;
    Some(&header.1)
}

/// Headers of one hop (RFC 9110, section 7.6.1): about the connection, not the message.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header is about one connection only.
#[must_use]
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
}

/// Whether a header is Envoy's own: what it tells its upstreams, or takes from them.
#[must_use]
pub(crate) fn is_envoys(name: &str) -> bool {
    name.starts_with("x-envoy-")
}

/// The whole invocation of a request without a body, for an upstream that looks there: the invoker.
/// Its value is the invocation type, the trace, the path of the Invoke API with its query, and the
/// event, with a space between them.
pub(crate) const INVOCATION: &str = "x-lambda-mesh-invocation";

/// How many headers can be set at once: Envoy takes 1,024, and drops them all if there are more.
pub(crate) const MAX_HEADERS: usize = 1000;

/// Bytes of a header as text: UTF-8 if they are that, else ISO-8859-1, in which every byte is a
/// character and so none is lost.
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
