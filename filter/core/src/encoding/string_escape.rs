//! A single escape in a JSON string.

/// The length of an escape with the number of a UTF-16 code unit, such as `\u001f`.
pub(super) const UNIT_LENGTH: usize = 6;

/// The length of the longest escape, a pair such as `\ud83d\ude00`.
pub(super) const PAIR_LENGTH: usize = 2 * UNIT_LENGTH;

/// An escape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escape {
    pub(super) character: char,
    pub(super) length: usize,
    pub(super) form: Form,
    /// The digits of its numbers.
    pub(super) digits: Digits,
}

/// The form in which a character stands in a string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// The character itself.
    #[default]
    Plain,
    /// A backslash and this letter.
    Letter(u8),
    /// The numbers of its UTF-16 code units.
    Hexadecimal,
}

/// The digits of a number in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    /// No letter is among them.
    Decimal,
    Lower,
    Upper,
}

/// The reason why a text does not begin with an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EscapeError {
    /// The text ends before the escape does.
    Incomplete,
    /// No escape begins like this.
    Invalid,
}

impl Form {
    /// Returns the form that every encoder has for a character, unless it escapes more than it must.
    pub(super) fn usual(character: char) -> Self {
        match character {
            '"' => Self::Letter(b'"'),
            '\\' => Self::Letter(b'\\'),
            '\n' => Self::Letter(b'n'),
            '\r' => Self::Letter(b'r'),
            '\t' => Self::Letter(b't'),
            '\u{8}' => Self::Letter(b'b'),
            '\u{c}' => Self::Letter(b'f'),
            '\0'..='\u{1f}' => Self::Hexadecimal,
            _ => Self::Plain,
        }
    }
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
    /// Reads the escape at the beginning of `text`. All digits of a pair are of one kind.
    pub(super) fn read(text: &[u8]) -> Result<Self, EscapeError> {
        let letter = *text.get(1).ok_or(EscapeError::Incomplete)?;
        if letter != b'u' {
            let byte = unescaped_byte(letter).ok_or(EscapeError::Invalid)?;
            return Ok(Self {
                character: char::from(byte),
                length: 2,
                form: Form::Letter(letter),
                digits: Digits::Decimal,
            });
        }
        let (unit, digits) = code_unit(text)?;
        if let Some(character) = char::from_u32(u32::from(unit)) {
            return Ok(Self::unit(character, digits));
        }
        let (low, low_digits) = code_unit(text.get(UNIT_LENGTH..).unwrap_or_default())?;
        let digits = digits.and(low_digits).ok_or(EscapeError::Invalid)?;
        match char::decode_utf16([unit, low]).next() {
            Some(Ok(character)) => Ok(Self {
                length: PAIR_LENGTH,
                ..Self::unit(character, digits)
            }),
            _ => Err(EscapeError::Invalid),
        }
    }

    /// Reads half of a pair at the beginning of `text`, which JavaScript writes for a character that was cut in two.
    pub(super) fn lone_surrogate(text: &[u8]) -> Option<Self> {
        let (unit, digits) = code_unit(text).ok()?;
        let is_half = char::from_u32(u32::from(unit)).is_none();
        is_half.then_some(Self::unit(char::REPLACEMENT_CHARACTER, digits))
    }

    /// Returns the escape of a code unit.
    fn unit(character: char, digits: Digits) -> Self {
        Self {
            character,
            length: UNIT_LENGTH,
            form: Form::Hexadecimal,
            digits,
        }
    }
}

/// Returns the byte that a backslash and this letter stand for.
pub(super) fn unescaped_byte(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' | b'\\' | b'/' => letter,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        _ => return None,
    })
}

/// Reads the number of an escape such as `\u00e9`.
fn code_unit(text: &[u8]) -> Result<(u16, Digits), EscapeError> {
    if !text.starts_with(b"\\u") {
        return Err(match b"\\u".starts_with(text) {
            true => EscapeError::Incomplete,
            false => EscapeError::Invalid,
        });
    }
    let mut number = 0;
    let mut digits = Digits::Decimal;
    for index in 2..UNIT_LENGTH {
        let byte = *text.get(index).ok_or(EscapeError::Incomplete)?;
        let digit = char::from(byte).to_digit(16).ok_or(EscapeError::Invalid)?;
        number = number << 4 | digit as u16;
        let kind = match byte {
            b'a'..=b'f' => Digits::Lower,
            b'A'..=b'F' => Digits::Upper,
            _ => Digits::Decimal,
        };
        digits = digits.and(kind).ok_or(EscapeError::Invalid)?;
    }
    Ok((number, digits))
}
