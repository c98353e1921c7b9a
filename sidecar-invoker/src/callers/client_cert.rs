//! The header `x-forwarded-client-cert`, by which a proxy says whose certificate it has verified.
//!
//! The value is a list with an element for each proxy on the way, and the last one is that of the proxy
//! in front of the invoker. The elements before it come from the client, which may send anything:
//! above all a quotation mark that does not end. So the value is read from its end.
//!
//! Source: "x-forwarded-client-cert" in Envoy's documentation of HTTP headers.

use hyper::header::{HeaderMap, HeaderName};

static CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Returns the URIs in the certificate of the peer that the proxy in front of the invoker saw. `None` if
/// there is no header, or if its last element is malformed.
pub(super) fn uris(headers: &HeaderMap) -> Option<Vec<String>> {
    let value = headers.get_all(&CLIENT_CERT).iter().next_back()?;
    let value = value.to_str().ok()?;
    let element = last_element(value)?;
    let mut uris = Vec::new();
    for pair in split(element)? {
        let (key, value) = pair.split_once('=')?;
        let value = unquoted(value)?;
        if key.trim().eq_ignore_ascii_case("uri") && !value.is_empty() {
            uris.push(value);
        }
    }
    Some(uris)
}

/// Returns the last element, whatever stands in front of it.
fn last_element(value: &str) -> Option<&str> {
    let mut is_quoted = false;
    for (at, byte) in value.bytes().enumerate().rev() {
        match byte {
            b'"' if !is_escaped(value, at) => is_quoted = !is_quoted,
            b',' if !is_quoted => return value.get(at + 1..),
            _ => {}
        }
    }
    (!is_quoted).then_some(value)
}

/// Returns whether the character at `at` stands behind an odd number of backslashes.
fn is_escaped(value: &str, at: usize) -> bool {
    let before = value.bytes().take(at).rev();
    before.take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Splits an element at its semicolons outside of quotation marks.
fn split(element: &str) -> Option<Vec<&str>> {
    let mut pairs = Vec::new();
    let (mut start, mut is_quoted) = (0, false);
    for (at, byte) in element.bytes().enumerate() {
        match byte {
            b'"' if !is_escaped(element, at) => is_quoted = !is_quoted,
            b';' if !is_quoted => {
                pairs.push(element.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    pairs.push(element.get(start..)?);
    (!is_quoted).then_some(pairs)
}

/// Returns a value without its quotation marks and escapes; `None` if a mark stands inside of it.
fn unquoted(value: &str) -> Option<String> {
    let value = value.trim();
    let Some(inner) = value.strip_prefix('"') else {
        return (!value.contains('"')).then(|| value.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const OWN: &str = "By=spiffe://td/ns/mesh/sa/invoker;Hash=ab12;Subject=\"CN=a,O=\\\"b;c\\\" \\\\\";URI=spiffe://td/ns/shop/sa/cart";

    fn uris_of(values: &[&str]) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(&CLIENT_CERT, value);
        }
        uris(&headers)
    }

    #[test]
    fn the_last_element_is_the_peers_whatever_the_client_sent() {
        let cart = Some(vec!["spiffe://td/ns/shop/sa/cart".to_owned()]);
        assert_eq!(uris_of(&[OWN]), cart);
        let forged = "URI=spiffe://td/ns/admin/sa/root";
        for client in [
            forged.to_owned(),
            format!("{forged};Subject=\""),
            format!("{forged};Subject=\"\\"),
            format!("{forged};Subject=\"\\\""),
            "\"".to_owned(),
            "\\".to_owned(),
            ",,,".to_owned(),
            format!("{forged};Subject=\"x\",\""),
        ] {
            assert_eq!(uris_of(&[&format!("{client},{OWN}")]), cart, "{client}");
            assert_eq!(uris_of(&[&client, OWN]), cart, "{client}");
        }
    }

    #[test]
    fn values_may_be_quoted_and_keys_have_any_case() {
        let uris = |value| uris_of(&[value]);
        let two = Some(vec!["spiffe://a".to_owned(), "spiffe://b;\"c".to_owned()]);
        assert_eq!(uris("uri=spiffe://a;URI=\"spiffe://b;\\\"c\""), two);
        assert_eq!(
            uris("Hash=ab; Uri=\"spiffe://a\" ;DNS=b"),
            Some(vec!["spiffe://a".to_owned()])
        );
        for without in [
            "Hash=ab;URI=",
            "Hash=ab;URI=\"\"",
            "Subject=\"URI=spiffe://a\"",
            "XURI=spiffe://a",
        ] {
            assert_eq!(uris(without), Some(vec![]), "{without}");
        }
    }

    #[test]
    fn a_malformed_element_has_no_identity() {
        assert_eq!(uris_of(&[]), None);
        for wrong in [
            "",
            "x",
            "URI=spiffe://a;",
            "URI=\"spiffe://a",
            "URI=spiffe://a\"b\"",
            "URI=\"a\"b\"c\"",
            "URI=spiffe://a,",
            "URI=\"spiffe://a\\\"",
            "URI=caf\u{e9}",
        ] {
            assert_eq!(uris_of(&[wrong]), None, "{wrong}");
        }
        let long = "\"\\".repeat(100_000);
        assert_eq!(uris_of(&[&long]), None);
    }
}
