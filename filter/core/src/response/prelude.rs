//! Detects the prelude of a streamed payload while the payload comes.

use lambda_api::event_stream::HTTP_PRELUDE_DELIMITER;

/// The beginning of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PreludeMatch {
    /// It may be that of a prelude, or of a single JSON value.
    Undecided,
    /// It is a prelude with its delimiter, and the body begins at this position.
    Prelude(usize),
    /// It is neither.
    NotPrelude,
}

/// The number of NULs that end a prelude.
const DELIMITER: usize = HTTP_PRELUDE_DELIMITER.len();

/// The longest number that is read. The words of JSON are shorter.
const MAX_SCALAR: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    /// After the first `{`.
    Object,
    /// Within this many objects and arrays.
    Within(usize),
    /// In a string within this many objects and arrays.
    Text(usize),
    /// After a backslash in a string.
    Escaped(usize),
    /// In a number or a word.
    Scalar,
    /// After the value.
    After,
    /// Within the delimiter.
    Delimiter(usize),
    Other,
}

/// Reads the beginning of a payload. It does not validate the JSON: the parser does.
#[derive(Debug)]
pub(super) struct PreludeScanner {
    state: State,
    read: usize,
}

impl PreludeScanner {
    pub(super) fn new() -> Self {
        Self {
            state: State::Start,
            read: 0,
        }
    }

    /// Returns the match for the whole payload so far. Bytes of earlier calls are not read again.
    pub(super) fn scan(&mut self, payload: &[u8]) -> PreludeMatch {
        for &byte in payload.get(self.read..).unwrap_or_default() {
            self.read += 1;
            self.state = self.next(byte);
            match self.state {
                State::Delimiter(DELIMITER) => return PreludeMatch::Prelude(self.read),
                State::Other => return PreludeMatch::NotPrelude,
                _ => {}
            }
        }
        PreludeMatch::Undecided
    }

    fn next(&self, byte: u8) -> State {
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match (self.state, byte) {
            (State::Start, b'{') => State::Object,
            (State::Start, b'[') => State::Within(1),
            (State::Start, b'"') => State::Text(0),
            (State::Start, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => State::Scalar,
            (state @ (State::Start | State::Object | State::After), _) if is_space => state,

            (State::Object, b'"') => State::Text(1),
            (State::Object, b'}') => State::After,

            (State::Within(depth), b'"') => State::Text(depth),
            (State::Within(depth), b'{' | b'[') => State::Within(depth + 1),
            (State::Within(1), b'}' | b']') => State::After,
            (State::Within(depth), b'}' | b']') => State::Within(depth - 1),
            (State::Within(depth), byte) if byte != 0 => State::Within(depth),

            (State::Text(0), b'"') => State::After,
            (State::Text(depth), b'"') => State::Within(depth),
            (State::Text(depth), b'\\') => State::Escaped(depth),
            (State::Text(depth), byte) if byte != 0 => State::Text(depth),
            (State::Escaped(depth), byte) if byte != 0 => State::Text(depth),

            (State::Scalar, _) if is_space => State::After,
            (State::Scalar, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.')
                if self.read < MAX_SCALAR =>
            {
                State::Scalar
            }

            (State::After, 0) => State::Delimiter(1),
            (State::Delimiter(nulls), 0) => State::Delimiter(nulls + 1),
            _ => State::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(payload: &[u8]) -> PreludeMatch {
        let whole = PreludeScanner::new().scan(payload);
        let mut scanner = PreludeScanner::new();
        let mut piecewise = PreludeMatch::Undecided;
        for end in 0..=payload.len() {
            if piecewise == PreludeMatch::Undecided {
                piecewise = scanner.scan(&payload[..end]);
            }
        }
        assert_eq!(whole, piecewise, "{payload:?}");
        whole
    }

    #[test]
    fn a_prelude_ends_in_eight_nulls() {
        let prelude = b"{\"statusCode\":200,\"headers\":{\"a\":\"}\\\"\\\\\"}}\0\0\0\0\0\0\0\0";
        assert_eq!(scan(prelude), PreludeMatch::Prelude(prelude.len()));
        assert_eq!(scan(b"{}\0\0\0\0\0\0\0\0\0x"), PreludeMatch::Prelude(10));
        assert_eq!(scan(&prelude[..prelude.len() - 1]), PreludeMatch::Undecided);
        assert_eq!(scan(b"{}\0\0\0\0\0\0\0x"), PreludeMatch::NotPrelude);
    }

    #[test]
    fn one_json_value_stays_open_until_the_end() {
        for text in [
            "",
            " ",
            "{",
            "{}",
            " {\"a\":[{\"b\":\"]\"}]}\n",
            "[1,2]",
            "\"a\\\"b\"",
            "null",
            "-1.5e+3 ",
        ] {
            assert_eq!(scan(text.as_bytes()), PreludeMatch::Undecided, "{text}");
        }
    }

    #[test]
    fn anything_else_is_told_at_once() {
        for text in [
            "data: x",
            "<html>",
            "{hello}",
            "{\"a\":1}\n{\"a\":2}",
            "{}x",
            "true story",
            "\"a\" b",
            "{\"a\":\0",
            "\u{1}",
        ] {
            assert_eq!(scan(text.as_bytes()), PreludeMatch::NotPrelude, "{text}");
        }
        assert_eq!(scan(&[b'1'; 65]), PreludeMatch::NotPrelude);
    }
}
