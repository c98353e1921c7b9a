//! The start of a token that is split over two pieces: an escape, a character, four characters of base64.

/// The buffered start of a token that is split over two pieces. A token has at most `MAX` bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning<const MAX: usize> {
    bytes: [u8; MAX],
    length: usize,
}

impl<const MAX: usize> Default for Beginning<MAX> {
    fn default() -> Self {
        Self {
            bytes: [0; MAX],
            length: 0,
        }
    }
}

impl<const MAX: usize> Beginning<MAX> {
    /// Returns the bytes so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Appends bytes, and returns those for which there is no room.
    pub(crate) fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.bytes.iter_mut().skip(self.length);
        let filled = room.zip(bytes).map(|(place, byte)| *place = *byte).count();
        self.length += filled;
        bytes.get(filled..).unwrap_or_default()
    }

    /// Removes all bytes.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }
}
