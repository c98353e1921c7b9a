//! The inside of a JSON string, read piece by piece as it comes.
//!
//! The string can be written again as it came, without a copy: an encoder writes a character always in the same way.
//! A string in which it does not is left to the parser.

use super::beginning::Beginning;
use super::encoder_choices::EncoderChoices;
use super::json_string::unescape;
use super::string_escape::{Escape, EscapeError, PAIR_LENGTH, unescaped_byte};

/// The number of bytes that may be written beyond those of a piece.
pub(crate) const EXTRA_SPACE: usize = 16;

/// A reader of the inside of a string.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StringReader {
    /// The number of bytes of the text so far.
    decoded: usize,
    /// The beginning of an escape.
    escape: Beginning<PAIR_LENGTH>,
    /// The beginning of a character.
    character: Beginning<4>,
    choices: EncoderChoices,
}

impl StringReader {
    /// Returns the number of bytes of the text so far.
    pub(crate) fn decoded(&self) -> usize {
        self.decoded
    }

    /// Reads the next piece, and writes its text to `space`, which is longer by [`EXTRA_SPACE`]. Returns the length
    /// of the text, and what is behind the string, from its quotation mark on. `None` if the piece is not valid, or
    /// cannot be written again.
    pub(crate) fn read<'a>(
        &mut self,
        piece: &'a [u8],
        space: &mut [u8],
    ) -> Option<(usize, &'a [u8])> {
        self.check_characters(piece)?;
        let mut rest = piece;
        let mut written = 0;
        let begun = self.escape.bytes().len();
        if begun > 0 {
            self.escape.fill(piece);
            rest = match Escape::read(self.escape.bytes()) {
                Ok(escape) => {
                    self.escape.clear();
                    written = self.add(escape, 0, space)?;
                    piece.get(escape.length - begun..)?
                }
                Err(EscapeError::Incomplete) => b"",
                Err(EscapeError::Invalid) => return None,
            };
        }
        loop {
            if !rest.starts_with(b"\\") {
                let choices = &mut self.choices;
                let byte_of = |letter| match letter {
                    b'/' => choices.slash(),
                    letter => unescaped_byte(letter),
                };
                let (read, text) = unescape(space.get_mut(written..)?, rest, byte_of)?;
                written += text;
                rest = rest.get(read..)?;
            }
            match rest.first() {
                None | Some(b'"') => break,
                Some(b'\\') => match Escape::read(rest) {
                    Ok(escape) => {
                        written += self.add(escape, written, space.get_mut(written..)?)?;
                        rest = rest.get(escape.length..)?;
                    }
                    Err(EscapeError::Incomplete) => rest = self.escape.fill(rest),
                    Err(EscapeError::Invalid) => return None,
                },
                Some(_) => return None,
            }
        }
        self.choices.check(space.get(..written)?, self.decoded)?;
        self.decoded += written;
        Some((written, rest))
    }

    /// Appends the string as it came to `out`. `text` is what was written of it.
    pub(crate) fn write_again(&self, text: &[u8], out: &mut Vec<u8>) {
        out.reserve(text.len());
        // The last character may not be whole.
        let whole = match std::str::from_utf8(text) {
            Ok(whole) => whole,
            Err(error) => {
                let whole = text.get(..error.valid_up_to()).unwrap_or_default();
                std::str::from_utf8(whole).unwrap_or_default()
            }
        };
        for (place, character) in whole.char_indices() {
            self.choices.write(character, place, out);
        }
        out.extend(text.iter().skip(whole.len()));
        out.extend_from_slice(self.escape.bytes());
    }

    /// Checks that the pieces are UTF-8.
    fn check_characters(&mut self, piece: &[u8]) -> Option<()> {
        let mut rest = piece;
        while !self.character.bytes().is_empty() {
            match std::str::from_utf8(self.character.bytes()) {
                Ok(_) => self.character.clear(),
                Err(error) if error.error_len().is_some() => return None,
                Err(_) => {
                    let Some((byte, tail)) = rest.split_at_checked(1) else {
                        return Some(());
                    };
                    self.character.fill(byte);
                    rest = tail;
                }
            }
        }
        if let Err(error) = std::str::from_utf8(rest) {
            if error.error_len().is_some() {
                return None;
            }
            self.character.fill(rest.get(error.valid_up_to()..)?);
        }
        Some(())
    }

    /// Writes the character of an escape behind `written` bytes of the piece's text. Returns its length.
    fn add(&mut self, escape: Escape, written: usize, space: &mut [u8]) -> Option<usize> {
        self.choices.add(escape, self.decoded + written)?;
        let mut bytes = [0; 4];
        let bytes = escape.character.encode_utf8(&mut bytes).as_bytes();
        space.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads the inside of a string in pieces that end at `ends`. Returns its text and what is behind it.
    fn read(quoted: &[u8], ends: &[usize]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut reader = StringReader::default();
        let mut ends: Vec<usize> = ends.iter().map(|end| end % (quoted.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(quoted.len());
        let (mut text, mut behind, mut start) = (Vec::new(), Vec::new(), 0);
        for end in ends {
            let piece = &quoted[start..end];
            start = end;
            if !behind.is_empty() {
                behind.extend_from_slice(piece);
                continue;
            }
            let mut space = vec![b'?'; piece.len() + EXTRA_SPACE];
            let (written, rest) = reader.read(piece, &mut space)?;
            text.extend_from_slice(&space[..written]);
            behind = rest.to_vec();
            assert_eq!(reader.decoded(), text.len());
            let mut again = Vec::new();
            reader.write_again(&text, &mut again);
            assert_eq!(again, quoted[..end - rest.len()]);
        }
        Some((text, behind))
    }

    /// Returns a text as an encoder writes it that has a choice for some characters.
    fn escaped(text: &str, encoder: &str) -> String {
        let hexadecimal = |c: char| {
            let mut units = [0; 2];
            let units = c.encode_utf16(&mut units).iter();
            let units = units.map(|unit| match encoder {
                ".NET" => format!("\\u{unit:04X}"),
                _ => format!("\\u{unit:04x}"),
            });
            units.collect::<String>()
        };
        let character = |c: char| match (encoder, c) {
            ("PHP", '/') => "\\/".to_owned(),
            ("Go", '<' | '>' | '&' | '\u{2028}') => hexadecimal(c),
            (".NET", '"' | '<' | '>' | '&' | '+' | '\'' | '`' | '\u{7f}') => hexadecimal(c),
            ("Python" | "PHP" | ".NET", c) if !c.is_ascii() => hexadecimal(c),
            (_, c) => {
                let quoted = serde_json::to_string(&c).unwrap();
                match quoted.get(1..quoted.len() - 1).unwrap() {
                    "\\\"" if encoder == ".NET" => "\\u0022".to_owned(),
                    escaped if escaped.starts_with("\\u") => hexadecimal(c),
                    escaped => escaped.to_owned(),
                }
            }
        };
        text.chars().map(character).collect()
    }

    #[test]
    fn an_escape_or_a_character_may_be_in_two_pieces() {
        let text = "a\u{1f600}\u{e9}\n/\u{7f}\u{1}\u{1f}\"";
        for encoder in ["JavaScript", "Python", "PHP", ".NET"] {
            let quoted = escaped(text, encoder) + "\",1";
            for one in 0..quoted.len() {
                for two in one..quoted.len() {
                    let (read, behind) = read(quoted.as_bytes(), &[one, two]).unwrap();
                    assert_eq!(read, text.as_bytes(), "{quoted}");
                    assert_eq!(behind, b"\",1");
                }
            }
        }
    }

    #[test]
    fn a_string_that_cannot_be_written_again_is_not_read() {
        for quoted in [
            r"//\/",
            r"a\/b/",
            r"\u00e9\u00E9",
            r"\u00e9é",
            r"\u000a\n",
            r#"\u0022\""#,
            r"\u00aB",
            r"\u006aj",
        ] {
            let whole = read(quoted.as_bytes(), &[]);
            // Before the first escape, a character may be as it is.
            assert_eq!(whole.is_some(), quoted == r"//\/", "{quoted}");
        }
        let all: String = (0x20..0x40).map(|unit| format!("\\u{unit:04x}")).collect();
        assert_eq!(read(all.as_bytes(), &[]), None);
    }

    #[test]
    fn a_string_that_is_not_valid_is_not_read() {
        for quoted in [
            &b"a\nb\""[..],
            b"\\x\"",
            b"\\u00g0\"",
            b"\\ud83d\\u0041\"",
            b"\\ud83d.\"",
            b"\\ude00\"",
            b"\xff\"",
            b"\xc3(\"",
            b"\xe2\x82\"",
        ] {
            for end in 0..quoted.len() {
                assert_eq!(read(quoted, &[end]), None, "{quoted:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_written_again(
            text in prop::collection::vec(prop_oneof!["[ -~]{0,90}", any::<String>(), "[\"\\\\/<\n\u{e9}\u{1f600}]{0,8}"], 0..6),
            encoder in prop::sample::select(vec!["JavaScript", "Python", "PHP", "Go", ".NET"]),
            ends in prop::collection::vec(0..600_usize, 0..5),
        ) {
            let text = text.concat();
            let quoted = escaped(&text, encoder);
            let result = read((quoted + "\"}").as_bytes(), &ends);
            prop_assert_eq!(result, Some((text.into_bytes(), b"\"}".to_vec())));
        }

        #[test]
        fn any_bytes_are_read_as_the_parser_reads_them(
            quoted in r#"([a-c/é"]|\\["/nu\\]|\\u[dD0][8-9cC0][0-9a-f]{2}){0,40}"#,
            ends in prop::collection::vec(0..100_usize, 0..4),
        ) {
            if let Some((text, behind)) = read(quoted.as_bytes(), &ends) {
                let string = quoted.get(..quoted.len() - behind.len()).unwrap();
                match serde_json::from_str::<String>(&format!("\"{string}\"")) {
                    Ok(parsed) => prop_assert_eq!(text, parsed.into_bytes()),
                    // The last escape is not whole.
                    Err(error) => prop_assert!(behind.is_empty(), "{error}"),
                }
            }
        }
    }
}
