//! Escapes of JSON that YAML does not have: `\ud83d\ude00` is one character there, in two halves.

/// Returns the document with each pair of escapes replaced by its character in the double-quoted text that begins at
/// byte `start`. `None` if the text has no pair. Elsewhere the same characters may be meant as they are.
pub(super) fn joined(source: &str, start: usize) -> Option<String> {
    let text = source.get(start..)?.strip_prefix('"')?;
    let mut joined = source.strip_suffix(text)?.to_owned();
    let mut rest = text;
    let mut has_pair = false;
    while let Some((before, escape)) = rest
        .find(['\\', '"'])
        .and_then(|at| rest.split_at_checked(at))
    {
        joined.push_str(before);
        rest = escape;
        if escape.starts_with('"') {
            break;
        }
        let end = match pair(escape) {
            Some(character) => {
                has_pair = true;
                joined.push(character);
                PAIR
            }
            None => {
                // The second backslash of an escape begins no other one.
                let end = escape
                    .char_indices()
                    .nth(2)
                    .map_or(escape.len(), |(end, _)| end);
                joined.push_str(escape.get(..end)?);
                end
            }
        };
        rest = escape.get(end..)?;
    }
    joined.push_str(rest);
    has_pair.then_some(joined)
}

/// The length of two escapes.
const PAIR: usize = 12;

/// Returns the character for which two escapes stand together.
fn pair(escape: &str) -> Option<char> {
    let unit = |start: usize| {
        let digits = escape.get(start..start + PAIR / 2)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let character = char::decode_utf16([unit(0)?, unit(PAIR / 2)?])
        .next()?
        .ok()?;
    (character > '\u{ffff}').then_some(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pairs_are_joined() {
        for (text, expected) in [
            (
                r#""\ud83d\ude00 \u00e9\uD83D\uDE00""#,
                Some("\"\u{1f600} \\u00e9\u{1f600}\""),
            ),
            (r#""\\ud83d\ude00""#, None),
            (r#""\ud83d \ude00\ud83d""#, None),
            (r#""\ude00\ud83d""#, None),
            (r#""\ud83d\u+e00""#, None),
            (
                r#""\"\ud83d\ude00" '\ud83d\ude00'"#,
                Some("\"\\\"\u{1f600}\" '\\ud83d\\ude00'"),
            ),
            (r#"\ud83d\ude00"#, None),
            (r#""" \ud83d\ude00"#, None),
            ("\"", None),
            ("\"\\", None),
            ("\"\\\u{e9}", None),
        ] {
            assert_eq!(joined(text, 0).as_deref(), expected, "{text}");
        }
    }
}
