//! The X-Ray trace header, [`headers::TRACE_ID`](crate::headers::TRACE_ID):
//! `Root=1-SECONDS-RANDOM`, with `;Parent=…` and `;Sampled=0` or `;Sampled=1` in addition.
//!
//! Source: "Tracing header" in the AWS X-Ray developer guide.

use crate::limits::MAX_TRACE_ID_BYTES;

/// Returns a trace header with a new root and no parent.
///
/// `seconds` are those since 1970. Of `random` the low 96 bits are used. `sampled` is left out if
/// it is `None`: the receiver decides then.
///
/// ```
/// assert_eq!(
///     lambda_api::trace::new(0x5759_e988, 0xbd86_2e3f_e1be_46a9_9427_2793, Some(false)),
///     "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0",
/// );
/// ```
#[must_use]
pub fn new(seconds: u32, random: u128, sampled: Option<bool>) -> String {
    let random = random & ((1 << 96) - 1);
    let sampled = match sampled {
        None => "",
        Some(false) => ";Sampled=0",
        Some(true) => ";Sampled=1",
    };
    format!("Root=1-{seconds:08x}-{random:024x}{sampled}")
}

/// Returns whether a caller's trace header may be passed on: at most
/// [`MAX_TRACE_ID_BYTES`] of visible ASCII without spaces.
///
/// The value reaches the function in a header of the Runtime API. Longer values and other
/// characters have ended runtimes.
#[must_use]
pub fn is_valid(value: &[u8]) -> bool {
    value.len() <= MAX_TRACE_ID_BYTES && value.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_trace_has_24_digits_of_randomness() {
        assert_eq!(new(1, 2, None), "Root=1-00000001-000000000000000000000002");
        assert_eq!(
            new(u32::MAX, u128::MAX, Some(true)),
            "Root=1-ffffffff-ffffffffffffffffffffffff;Sampled=1"
        );
        assert!(is_valid(new(u32::MAX, u128::MAX, Some(true)).as_bytes()));
    }

    #[test]
    fn a_valid_trace_is_short_and_visible() {
        assert!(is_valid(&[b'a'; MAX_TRACE_ID_BYTES]));
        assert!(!is_valid(&[b'a'; MAX_TRACE_ID_BYTES + 1]));
        assert!(!is_valid(b"\xff"));
        assert!(!is_valid(b"a b"));
    }
}
