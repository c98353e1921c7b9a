//! The lines of a process's output.

/// The length at which a line is cut.
const MAX_LINE_BYTES: usize = 60 * 1024;

/// A line splitter for a byte stream.
///
/// The codecs of `tokio-util` do not end a line at a carriage return, and fail at a line that is too
/// long.
#[derive(Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    /// The last line ended in a carriage return. A line feed may follow and belongs to it.
    after_return: bool,
}

impl Lines {
    /// Adds `chunk`, and returns the lines that are complete, each with a line feed.
    ///
    /// A carriage return ends a line too. The runtime client of Python separates the lines of a stack
    /// trace by it. On a terminal each line would overwrite the previous one.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut complete = Vec::with_capacity(chunk.len());
        for line in chunk.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            if std::mem::take(&mut self.after_return) && line == b"\n" {
                continue;
            }
            self.partial.extend_from_slice(line);
            if let Some(end @ (b'\n' | b'\r')) = self.partial.last_mut() {
                self.after_return = *end == b'\r';
                *end = b'\n';
                complete.append(&mut self.partial);
            } else if self.partial.len() >= MAX_LINE_BYTES {
                let end = self.partial.len() - incomplete_character(&self.partial);
                let rest = self.partial.split_off(end);
                self.partial.push(b'\n');
                complete.append(&mut self.partial);
                self.partial = rest;
            }
        }
        complete
    }

    /// Returns the last line if it has no end yet. What follows begins another line.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
        }
        std::mem::take(&mut self.partial)
    }
}

/// Returns the number of bytes at the end of `text` that begin a character of UTF-8.
fn incomplete_character(text: &[u8]) -> usize {
    let is_first = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
    let first = text.iter().rposition(is_first).unwrap_or_default();
    let (_, last) = text.split_at(first);
    match std::str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => last.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_complete_wherever_the_chunks_end() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\nb"), b"a\n");
        assert_eq!(lines.push(b"c\n\n"), b"bc\n\n");
        assert_eq!(lines.push(b"end"), b"");
        assert_eq!(lines.finish(), b"end\n");
        assert_eq!(lines.finish(), b"");
    }

    #[test]
    fn a_carriage_return_ends_a_line_with_or_without_a_line_feed() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\rb\r\nc\r"), b"a\nb\nc\n");
        assert_eq!(lines.push(b"\n\nd\n"), b"\nd\n");
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut lines = Lines::default();
        let mut kept = 0;
        for _ in 0..1_000 {
            kept += lines
                .push(&[b'x'; 1_024])
                .iter()
                .filter(|&&byte| byte == b'x')
                .count();
            assert!(lines.partial.len() < MAX_LINE_BYTES);
        }
        assert_eq!(kept + lines.partial.len(), 1_000 * 1_024);
    }

    #[test]
    fn an_endless_line_is_not_cut_within_a_character() {
        let mut lines = Lines::default();
        let text = "ä€𝄞".repeat(MAX_LINE_BYTES / 4);
        let mut written = Vec::new();
        for chunk in text.as_bytes().chunks(1_021) {
            written.append(&mut lines.push(chunk));
        }
        written.append(&mut lines.finish());
        let written = String::from_utf8_lossy(&written);
        assert!(written.lines().count() > 2);
        assert!(written.replace('\n', "") == text, "a character is cut");
    }
}
