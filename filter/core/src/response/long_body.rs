//! A long body, decoded part by part as it comes.
//!
//! A host that can replace a part of a body then holds the client's body, and not a payload that is a third longer.
//! Nothing is left to be copied when the payload is whole. Only the members behind a body say what it is. So a body
//! is decoded if it may be, and is encoded again if it must not: the only bodies that are read here are those that an
//! encoder writes. Everything else is left to [`decode`](super::decode), which needs the whole payload.

use super::around_body::{self, BodyEncoding, MAX_OTHER_BYTES};
use super::http_response::HttpResponse;
use crate::config::Config;
use crate::encoding::base64;
use crate::encoding::beginning::Beginning;
use crate::encoding::string_reader::{EXTRA_SPACE, StringReader};
use crate::request::HeaderMap;

/// The number of characters that stand for three bytes.
const QUANTUM: usize = 4;

/// Bytes that take the place of others in a body.
///
/// A host may use one buffer for all bodies. Its space stays, and is not filled with zeros again.
#[derive(Debug, Default)]
pub struct PartBuffer {
    space: Vec<u8>,
    written: usize,
}

impl PartBuffer {
    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.space.get(..self.written).unwrap_or_default()
    }

    /// Removes all bytes. An unusually large space is given up.
    pub fn clear(&mut self) {
        self.written = 0;
        if self.space.len() > MAX_SPACE_BYTES {
            self.space = Vec::new();
        }
    }

    /// Returns the space behind the bytes, of at least this length.
    fn space(&mut self, length: usize) -> &mut [u8] {
        let wanted = self.written + length;
        if self.space.len() < wanted {
            self.space.resize(wanted, 0);
        }
        self.space.get_mut(self.written..).unwrap_or_default()
    }
}

/// The largest space that is kept. A piece of Envoy's buffers has 16 KiB.
const MAX_SPACE_BYTES: usize = 128 * 1024;

/// A payload with a long body, as far as it has come.
#[derive(Debug)]
pub(crate) struct LongBody {
    /// The payload up to the quotation mark in front of the body's text.
    head: Vec<u8>,
    /// The payload from the quotation mark behind the body's text on.
    tail: Vec<u8>,
    progress: Progress,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    reader: BodyReader,
    /// The length of the tail.
    tail: usize,
}

#[derive(Debug, Clone, Copy)]
#[expect(clippy::large_enum_variant, reason = "there is one for a response")]
enum BodyReader {
    Base64(Base64Reader),
    Text(StringReader),
}

impl LongBody {
    /// Reads the first piece of a payload, and appends the decoded bytes to `out`. Returns `None` if the piece
    /// does not have the beginning of a body.
    pub(crate) fn begin(piece: &[u8], out: &mut PartBuffer) -> Option<Self> {
        let (head, text) = around_body::split(piece)?;
        let before = out.written;
        let mut readers = [
            BodyReader::Base64(Base64Reader::default()),
            BodyReader::Text(StringReader::default()),
        ]
        .into_iter()
        .take(if around_body::has_status(head) { 2 } else { 1 });
        readers.find_map(|reader| {
            out.written = before;
            let mut body = Self {
                head: head.to_vec(),
                tail: Vec::new(),
                progress: Progress { reader, tail: 0 },
            };
            body.read(text, out).then_some(body)
        })
    }

    /// Reads the next piece, and appends the decoded bytes to `out`. Returns `false` if the body cannot be read
    /// here.
    pub(crate) fn read(&mut self, piece: &[u8], out: &mut PartBuffer) -> bool {
        let behind = match self.progress.tail {
            0 => self.progress.reader.read(piece, out),
            _ => Some(piece),
        };
        if let Some(bytes) = behind {
            self.tail.truncate(self.progress.tail);
            self.tail.extend_from_slice(bytes);
            self.progress.tail = self.tail.len();
        }
        behind.is_some() && self.tail.len() <= MAX_OTHER_BYTES
    }

    /// Reads a part of several pieces by `pieces`. If that returns `false`, no piece of the part counts.
    pub(crate) fn read_part(&mut self, pieces: impl FnOnce(&mut Self) -> bool) -> bool {
        let before = self.progress;
        let is_read = pieces(self);
        if !is_read {
            self.progress = before;
        }
        is_read
    }

    /// Returns the response, with another body, and the length of its body. `None` if the payload is anything else
    /// than a response with this body.
    pub(crate) fn finish(
        &self,
        headers: &HeaderMap,
        config: &Config,
    ) -> Option<(HttpResponse, usize)> {
        let decoded = self.progress.reader.decoded();
        // An empty body is not like others.
        if self.progress.tail == 0 || decoded == 0 {
            return None;
        }
        let (response, encoding) = around_body::decode(&self.head, &self.tail, headers, config)?;
        let read = match self.progress.reader {
            BodyReader::Base64(_) => BodyEncoding::Base64,
            BodyReader::Text(_) => BodyEncoding::Text,
        };
        (encoding == read).then_some((response, decoded))
    }

    /// Returns the payload as it came, from what the host holds.
    pub(crate) fn payload(&self, held: &[u8]) -> Vec<u8> {
        let Progress { reader, tail } = self.progress;
        let (decoded, rest) = held
            .split_at_checked(reader.decoded())
            .unwrap_or((held, b""));
        let mut payload = self.head.clone();
        match reader {
            BodyReader::Base64(reader) => reader.write_again(decoded, &mut payload),
            BodyReader::Text(reader) => reader.write_again(decoded, &mut payload),
        }
        payload.extend(self.tail.iter().take(tail));
        payload.extend_from_slice(rest);
        payload
    }
}

impl BodyReader {
    fn decoded(&self) -> usize {
        match self {
            Self::Base64(reader) => reader.decoded,
            Self::Text(reader) => reader.decoded(),
        }
    }

    /// Reads the next piece. Returns what is behind the body's text, from its quotation mark on, and `None` if the
    /// body cannot be read here.
    fn read<'a>(&mut self, piece: &'a [u8], out: &mut PartBuffer) -> Option<&'a [u8]> {
        match self {
            Self::Base64(reader) => reader.read(piece, out),
            Self::Text(reader) => {
                let space = out.space(piece.len() + EXTRA_SPACE);
                let (written, behind) = reader.read(piece, space)?;
                out.written += written;
                Some(behind)
            }
        }
    }
}

/// A reader of the inside of a string in base64, as an encoder writes it.
#[derive(Debug, Default, Clone, Copy)]
struct Base64Reader {
    /// The beginning of a quantum.
    open: Beginning<QUANTUM>,
    /// The number of bytes that are decoded.
    decoded: usize,
    /// True if the text has ended with padding.
    is_padded: bool,
}

impl Base64Reader {
    /// Reads the next piece of the text. Returns what is behind the text, from its quotation mark on, and `None`
    /// if the text is not what an encoder writes.
    fn read<'a>(&mut self, piece: &'a [u8], out: &mut PartBuffer) -> Option<&'a [u8]> {
        let mut text = piece;
        if !self.open.bytes().is_empty() {
            text = self.open.fill(text);
            if self.open.bytes().len() < QUANTUM {
                return Some(text);
            }
            let quantum = std::mem::take(&mut self.open);
            self.decode(quantum.bytes(), out).ok()?;
        }
        let (quanta, mut rest) = text.split_at_checked(text.len() / QUANTUM * QUANTUM)?;
        if let Err(place) = self.decode(quanta, out) {
            // Padding may stand between that place and the quotation mark.
            let mut marks = text.get(place?..)?.iter().take(QUANTUM - 1);
            let end = place? + marks.position(|byte| *byte == b'"')?;
            let (quanta, behind) = text.split_at_checked(end)?;
            if !end.is_multiple_of(QUANTUM) {
                return None;
            }
            self.decode(quanta, out).ok()?;
            rest = behind;
        }
        if rest.starts_with(b"\"") {
            return Some(rest);
        }
        Some(self.open.fill(rest))
    }

    /// Appends the text as it came to `out`. `decoded` is what was decoded of it.
    fn write_again(&self, decoded: &[u8], out: &mut Vec<u8>) {
        base64::encode(out, decoded);
        out.extend_from_slice(self.open.bytes());
    }

    /// Decodes whole quanta. An error has the place of the first byte that does not belong there, if there is
    /// one.
    fn decode(&mut self, quanta: &[u8], out: &mut PartBuffer) -> Result<(), Option<usize>> {
        if self.is_padded && !quanta.is_empty() {
            return Err(Some(0));
        }
        let decoded = base64::decode_to(out.space(quanta.len() / QUANTUM * 3), quanta)?;
        out.written += decoded;
        self.decoded += decoded;
        self.is_padded |= decoded < quanta.len() / QUANTUM * 3;
        Ok(())
    }
}
