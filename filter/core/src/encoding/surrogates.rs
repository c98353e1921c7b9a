//! Lone surrogates in JSON: JavaScript writes `\\ud83d` for an emoji that was cut in two.

/// Returns the payload with each lone surrogate replaced by `\\ufffd`, and `None` if it has none. JSON
/// has backslashes only in strings, so it need not be parsed.
pub(crate) fn replace_lone_surrogates(payload: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(payload.len());
    let mut rest = payload;
    let mut changed = false;
    while let Some((&byte, tail)) = rest.split_first() {
        let unit = code_unit(rest);
        let length = match unit {
            Some(0xd800..=0xdbff) if is_low(rest.get(6..)) => 12,
            Some(0xd800..=0xdfff) => {
                changed = true;
                out.extend_from_slice(b"\\ufffd");
                rest = rest.get(6..).unwrap_or_default();
                continue;
            }
            // The second backslash of an escape begins no other one.
            _ if byte == b'\\' && !tail.is_empty() => 2,
            _ => 1,
        };
        let (copied, tail) = rest.split_at_checked(length)?;
        out.extend_from_slice(copied);
        rest = tail;
    }
    changed.then_some(out)
}

fn is_low(rest: Option<&[u8]>) -> bool {
    matches!(rest.and_then(code_unit), Some(0xdc00..=0xdfff))
}

/// Returns the code unit of an escape such as `\\ud83d`.
fn code_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_half_pairs_are_replaced() {
        for (text, expected) in [
            (r#""cut \ud83d""#, Some(r#""cut \ufffd""#)),
            (r#""\uDE00\uD83D""#, Some(r#""\ufffd\ufffd""#)),
            (r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#)),
            (r#""\ud83d\ude00 \u00e9""#, None),
            (r#""\\ud83d""#, None),
            (r#""\ud83""#, None),
            ("\\", None),
        ] {
            let mended =
                replace_lone_surrogates(text.as_bytes()).map(|m| String::from_utf8(m).unwrap());
            assert_eq!(mended.as_deref(), expected, "{text}");
        }
    }
}
