//! Foreign text in a log: the text of clients, functions, AWS and configurations.

/// The length in bytes at which a text is cut.
const MAX_BYTES: usize = 1024;

/// Returns a foreign text as it may stand in a line of a log.
///
/// It is cut at a limited length. Characters that could begin another line, control a terminal or
/// change the order of what is read are escaped.
///
/// ```
/// assert_eq!(lambda_api::log_line::single_line("a\n\u{1b}[2J"), r"a\n\u{1b}[2J");
/// ```
#[must_use]
pub fn single_line(text: &str) -> String {
    single_line_of(text, MAX_BYTES)
}

/// Returns a foreign text as [`single_line`] does, cut at `max_bytes`.
#[must_use]
pub fn single_line_of(text: &str, max_bytes: usize) -> String {
    let mut line = String::new();
    for c in text.chars() {
        if line.len() >= max_bytes {
            line.push('…');
            break;
        }
        match c {
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                line.extend(c.escape_default());
            }
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_text_is_one_line_of_limited_length() {
        for (text, line) in [
            ("plain é €", "plain é €"),
            ("a\nb\r\n\tc\0\u{1b}[2J", r"a\nb\r\n\tc\u{0}\u{1b}[2J"),
            ("a\u{85}b\u{2028}c\u{202e}d", r"a\u{85}b\u{2028}c\u{202e}d"),
        ] {
            assert_eq!(single_line(text), line);
        }
        assert_eq!(single_line(&"x".repeat(1024)), "x".repeat(1024));
        assert_eq!(
            single_line(&"x".repeat(1025)),
            format!("{}…", "x".repeat(1024))
        );
        assert!(single_line(&"\n€".repeat(1_000_000)).len() < 1040);
    }

    #[test]
    fn an_escaped_line_stays_as_it_is() {
        let line = single_line("a\n\u{1b}b");
        assert_eq!(single_line(&line), line);
    }
}
