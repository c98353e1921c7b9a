//! Base64 in the standard alphabet, by SIMD where the processor has it.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

/// The number of bytes that become one block of text. It is a multiple of three, so that only the last block
/// is padded.
const BLOCK_BYTES: usize = 12 * 1024;

/// Padding is written, and optional in a text that is read: some encoders leave it out.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn engine() -> base64::engine::Simd {
    base64::engine::Simd::standard(CONFIG)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn engine() -> &'static base64::engine::GeneralPurpose {
    use base64::alphabet::STANDARD;
    use base64::engine::GeneralPurpose;

    static ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
    &ENGINE
}

/// Appends bytes in base64. The space for a block is filled with zeros just before, so that it is still in the
/// processor's cache when the text is written.
pub(crate) fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    let engine = engine();
    out.reserve(encoded_len(bytes.len()));
    for block in bytes.chunks(BLOCK_BYTES) {
        let start = out.len();
        out.resize(start + encoded_len(block.len()), 0);
        if let Some(space) = out.get_mut(start..) {
            // The space has the length of the text.
            let written = engine.encode_slice(block, space).unwrap_or_default();
            out.truncate(start + written);
        }
    }
}

/// Returns the length of bytes in base64.
fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Returns the bytes of a text in base64.
///
/// # Errors
/// The text is something else.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    engine().decode(text)
}

/// Writes the bytes of a text in base64 to `space`, which has room for them, and returns their number. An error has
/// the place of the first byte that does not belong there, if there is one.
pub(crate) fn decode_to(space: &mut [u8], text: &[u8]) -> Result<usize, Option<usize>> {
    use base64::{DecodeError, DecodeSliceError};

    match engine().decode_slice(text, space) {
        Ok(length) => Ok(length),
        Err(DecodeSliceError::DecodeError(DecodeError::InvalidByte(place, _))) => Err(Some(place)),
        Err(_) => Err(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_number_of_blocks_are_read_back() {
        for length in [
            0,
            1,
            2,
            3,
            100,
            BLOCK_BYTES - 1,
            BLOCK_BYTES,
            BLOCK_BYTES + 1,
        ] {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7 % 256) as u8).collect();
            let mut text = b"=".to_vec();
            encode(&mut text, &bytes);
            let text = text.strip_prefix(b"=").unwrap();
            assert_eq!(text.len(), encoded_len(length));
            assert_eq!(decode(text).unwrap(), bytes);
            let unpadded = text.trim_ascii_end().split(|&byte| byte == b'=').next();
            assert_eq!(decode(unpadded.unwrap()).unwrap(), bytes);
        }
        for text in ["a", "ab=c", "abcd\n", "a-b_", "YR"] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
