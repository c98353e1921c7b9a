//! The secret that the filter sends to the invoker in the header
//! [`SECRET`](crate::headers::SECRET).

use crate::limits::{MAX_SECRET_BYTES, MIN_SECRET_BYTES};

/// The form of a secret as a regular expression (ECMA 262).
pub const PATTERN: &str = "^[!-~]{32,256}$";

/// Returns whether a text can be a secret: long enough, and of visible ASCII characters, which every
/// header may have.
#[must_use]
pub fn is_valid(text: &str) -> bool {
    (MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_and_can_stand_in_a_header() {
        assert!(is_valid(&"~".repeat(32)));
        assert!(is_valid(&"!".repeat(256)));
        for wrong in ["", "-", &"a".repeat(31), &"a".repeat(257)] {
            assert!(!is_valid(wrong), "{wrong}");
        }
        for character in [" ", "\n", "\u{7f}", "\u{e9}"] {
            assert!(!is_valid(&character.repeat(40)), "{character:?}");
        }
    }

    #[test]
    fn the_pattern_has_the_same_limits() {
        assert_eq!(
            PATTERN,
            format!("^[!-~]{{{MIN_SECRET_BYTES},{MAX_SECRET_BYTES}}}$")
        );
    }
}
