//! The characters that the encoder of a string escapes without need.

use super::string_escape::{Digits, Escape, Form};

/// The largest number of characters that an encoder escapes without need. Go escapes five, .NET more than ten.
const MAX_CHOICES: usize = 16;

/// The choices of an encoder: the characters that it writes otherwise than those that escape only what they must.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncoderChoices {
    list: [Choice; MAX_CHOICES],
    length: usize,
    digits: Digits,
}

/// A class of characters that the encoder always escapes, from some place on.
#[derive(Debug, Clone, Copy, Default)]
struct Choice {
    class: Class,
    form: Form,
    /// The place in the text of the first such character that is escaped.
    from: usize,
    /// The number of them that are escaped in the present piece.
    found: usize,
}

/// Characters that an encoder writes in the same way: one of ASCII, or all others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Class {
    #[default]
    Other,
    Ascii(u8),
}

impl Class {
    fn of(character: char) -> Self {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => Self::Ascii(byte),
            _ => Self::Other,
        }
    }

    fn count(self, text: &[u8]) -> usize {
        match self {
            Self::Ascii(ascii) => text.iter().filter(|&&byte| byte == ascii).count(),
            // The first bytes of longer characters.
            Self::Other => text.iter().filter(|&&byte| byte >= 0xc0).count(),
        }
    }
}

impl Default for EncoderChoices {
    fn default() -> Self {
        Self {
            list: [Choice::default(); MAX_CHOICES],
            length: 0,
            digits: Digits::Decimal,
        }
    }
}

impl EncoderChoices {
    fn iter(&self) -> impl Iterator<Item = &Choice> {
        self.list.iter().take(self.length)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Choice> {
        self.list.iter_mut().take(self.length)
    }

    /// Takes an escape whose character has this place in the text. Returns `None` if it cannot be written again.
    pub(super) fn add(&mut self, escape: Escape, place: usize) -> Option<()> {
        self.digits = self.digits.and(escape.digits)?;
        let form = escape.form;
        if form == Form::usual(escape.character) {
            return Some(());
        }
        let class = Class::of(escape.character);
        if let Some(choice) = self.iter_mut().find(|choice| choice.class == class) {
            choice.found += 1;
            return (choice.form == form).then_some(());
        }
        *self.list.get_mut(self.length)? = Choice {
            class,
            form,
            from: place,
            found: 1,
        };
        self.length += 1;
        Some(())
    }

    /// Takes a slash that is escaped, if it is not the first one.
    pub(super) fn slash(&mut self) -> Option<u8> {
        let slash = Form::Letter(b'/');
        let choice = self.iter_mut().find(|choice| choice.form == slash)?;
        choice.found += 1;
        Some(b'/')
    }

    /// Checks that characters are always escaped if they are once, for a piece of the text behind `before` bytes.
    pub(super) fn check(&mut self, piece: &[u8], before: usize) -> Option<()> {
        for choice in self.iter_mut() {
            let start = choice.from.saturating_sub(before);
            let count = choice.class.count(piece.get(start..)?);
            if std::mem::take(&mut choice.found) != count {
                return None;
            }
        }
        Some(())
    }

    /// Writes a character as the encoder does.
    pub(super) fn write(&self, character: char, place: usize, out: &mut Vec<u8>) {
        let class = Class::of(character);
        let choice = self
            .iter()
            .find(|choice| choice.class == class && choice.from <= place);
        match choice.map_or_else(|| Form::usual(character), |choice| choice.form) {
            Form::Plain => {
                let mut bytes = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
            }
            Form::Letter(letter) => out.extend([b'\\', letter]),
            Form::Hexadecimal => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    let escape = match self.digits {
                        Digits::Upper => format!("\\u{unit:04X}"),
                        _ => format!("\\u{unit:04x}"),
                    };
                    out.extend_from_slice(escape.as_bytes());
                }
            }
        }
    }
}
