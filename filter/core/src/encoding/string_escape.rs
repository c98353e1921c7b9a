//! A single escape in a JSON string.

/// The length of the longest escape, a pair such as `\ud83d\ude00`.
pub(super) const LONGEST_ESCAPE: usize = 12;

/// An escape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escape {
    pub(super) character: char,
    pub(super) length: usize,
    /// It is in hexadecimal, with these digits.
    pub(super) digits: Option<Digits>,
}

/// The digits of a number in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    /// No letter is among them.
    Decimal,
    Lower,
    Upper,
}

impl Digits {
    /// Returns the digits of both. `None` if they do not go together.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Decimal, digits) | (digits, Self::Decimal) => Some(digits),
            _ => (self == other).then_some(self),
        }
    }
}

impl Escape {
    /// Reads the escape at the beginning of `text`: `Some(None)` if it is not whole, and `None` if it is not valid.
    pub(super) fn read(text: &[u8]) -> Option<Option<Self>> {
        let Some(&letter) = text.get(1) else {
            return Some(None);
        };
        if letter != b'u' {
            let byte = if letter == b'/' {
                b'/'
            } else {
                unescaped_byte(letter)?
            };
            return Some(Some(Self {
                character: char::from(byte),
                length: 2,
                digits: None,
            }));
        }
        let Some((unit, digits)) = code_unit(text)? else {
            return Some(None);
        };
        if let Some(character) = char::from_u32(unit) {
            return Some(Some(Self {
                character,
                length: 6,
                digits: Some(digits),
            }));
        }
        let Some((low, low_digits)) = code_unit(text.get(6..)?)? else {
            return Some(None);
        };
        let units = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
        let character = char::decode_utf16(units).next()?.ok()?;
        Some(Some(Self {
            character,
            length: 12,
            digits: Some(digits.and(low_digits)?),
        }))
    }

    /// Reads half of a pair at the beginning of `text`, which JavaScript writes for a character that was cut in two.
    pub(super) fn lone_surrogate(text: &[u8]) -> Option<Self> {
        let (unit, digits) = code_unit(text)??;
        char::from_u32(unit).is_none().then_some(Self {
            character: char::REPLACEMENT_CHARACTER,
            length: 6,
            digits: Some(digits),
        })
    }
}

/// Returns the byte that an escape stands for, if it is one of those that every encoder writes for it.
pub(super) fn unescaped_byte(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' | b'\\' => letter,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        _ => return None,
    })
}

/// Reads the number of an escape such as `\u00e9`: `Some(None)` if it is not whole.
fn code_unit(text: &[u8]) -> Option<Option<(u32, Digits)>> {
    if !text.starts_with(b"\\u") {
        return b"\\u".starts_with(text).then_some(None);
    }
    let mut number = 0;
    let mut digits = Digits::Decimal;
    for index in 2..6 {
        let Some(&byte) = text.get(index) else {
            return Some(None);
        };
        number = number * 16 + char::from(byte).to_digit(16)?;
        digits = digits.and(match byte {
            b'a'..=b'f' => Digits::Lower,
            b'A'..=b'F' => Digits::Upper,
            _ => Digits::Decimal,
        })?;
    }
    Some(Some((number, digits)))
}
