//! The parameters of a query string.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::request::text;

/// The pairs of a query string, decoded as a form is (`+` is a space), sorted by key; the values
/// of one key keep their order. A key without `=` has an empty value. What is not valid
/// percent-encoding, or not UTF-8 when decoded, stays as it was sent.
pub fn decoded_pairs(query: &[u8]) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut pairs: Vec<_> = query
        .split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut parts = pair.splitn(2, |&byte| byte == b'=');
            let mut part = || form_decoded(parts.next().unwrap_or_default());
            (part(), part())
        })
        .collect();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    pairs
}

fn form_decoded(bytes: &[u8]) -> Cow<'_, str> {
    if !bytes.contains(&b'+') {
        return percent_decoded(bytes);
    }
    let spaced: Vec<u8> = bytes
        .iter()
        .map(|&byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    match percent_decode(&spaced).decode_utf8() {
        Ok(decoded) => Cow::Owned(decoded.into_owned()),
        Err(_) => text(bytes),
    }
}

/// Percent-decoding; bytes that do not decode to UTF-8 stay as they were sent.
pub fn percent_decoded(bytes: &[u8]) -> Cow<'_, str> {
    percent_decode(bytes)
        .decode_utf8()
        .unwrap_or_else(|_| text(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_grouped_by_key() {
        let pairs = decoded_pairs(b"b=2&a=x%20y&&flag&b=1+1&=v&e=&plus=%2B");
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(
            pairs,
            [
                ("", "v"),
                ("a", "x y"),
                ("b", "2"),
                ("b", "1 1"),
                ("e", ""),
                ("flag", ""),
                ("plus", "+"),
            ]
        );
    }

    #[test]
    fn what_does_not_decode_stays_as_it_was_sent() {
        let pairs = decoded_pairs(b"a=%zz&b=%ff&c=%ff+&d=%");
        let values: Vec<&str> = pairs.iter().map(|(_, v)| &**v).collect();
        assert_eq!(values, ["%zz", "%ff", "%ff+", "%"]);
    }
}
