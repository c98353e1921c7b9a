//! A header map as bytes, to keep in filter state from one try to the next.

use crate::request::HeaderMap;

/// Each name and value with its length, four bytes, in front.
#[must_use]
pub fn encode(headers: &HeaderMap) -> Vec<u8> {
    let size = headers.iter().map(|(n, v)| n.len() + v.len() + 8).sum();
    let mut out = Vec::with_capacity(size);
    for (name, value) in headers {
        for part in [name.as_bytes(), value] {
            // A header map of Envoy's is far below 4 GiB.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(part);
        }
    }
    out
}

/// The map that [`encode`] wrote; `None` for other bytes.
#[must_use]
pub fn decode(mut bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    while !bytes.is_empty() {
        let name = part(&mut bytes)?;
        let value = part(&mut bytes)?;
        headers.push((String::from_utf8(name.to_vec()).ok()?, value.to_vec()));
    }
    Some(headers)
}

fn part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *bytes = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_comes_back_as_it_was() {
        let headers = vec![
            (":path".to_owned(), b"/x?y".to_vec()),
            ("x-bytes".to_owned(), vec![0xff, 0]),
            ("x-empty".to_owned(), Vec::new()),
        ];
        assert_eq!(decode(&encode(&headers)), Some(headers));
        assert_eq!(decode(b""), Some(HeaderMap::new()));
    }

    #[test]
    fn other_bytes_are_no_map() {
        for bytes in [
            &b"\x01"[..],
            b"\x05\0\0\0ab",
            b"\x01\0\0\0a",
            b"\x01\0\0\0\xff\0\0\0\0",
        ] {
            assert_eq!(decode(bytes), None);
        }
    }
}
