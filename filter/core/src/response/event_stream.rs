//! `application/vnd.amazon.eventstream`, decoded as it comes: messages may be cut anywhere, and
//! what of a payload is there is passed on before the rest has come.
//!
//! A message is its length, the length of its headers and a CRC-32 of these (12 bytes); headers;
//! payload; a CRC-32 of all before (4 bytes). Sources: the AWS documentation *Event stream
//! encoding* (Amazon Transcribe, Amazon Lex), for the limits botocore's `eventstream.py`, and for
//! the events botocore's model of `InvokeWithResponseStream`.

use crc32fast::Hasher;

use crate::encoding::json;
use crate::encoding::json_writer::JsonWriter;
use crate::encoding::shallow_json::ShallowJson;

const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
const MAX_HEADERS_BYTES: usize = 128 * 1024;
const MAX_PAYLOAD_BYTES: usize = 24 * 1024 * 1024;

/// The largest `InvokeComplete`, which is held whole: an error with its stack trace, and the last
/// 4 KB of the log.
const MAX_COMPLETE_BYTES: usize = 1024 * 1024;

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The function has answered.
    Complete,
    /// The function failed; its error as runtimes report one.
    Function(Vec<u8>),
    /// Lambda failed; its name of the error.
    Service(String),
}

/// What a message's payload is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A part of the function's payload.
    Chunk,
    /// The last message.
    Complete,
    /// An exception of Lambda's, with its name.
    Exception(String),
    /// An event that has no meaning here.
    Unknown,
}

#[derive(Debug)]
enum State {
    Prelude,
    /// With the lengths of headers and payload.
    Headers(usize, usize),
    /// With the bytes to come.
    Payload(Kind, usize),
    Checksum(Kind),
}

/// Reads the messages of one answer.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
    /// Over the message so far.
    checksum: Hasher,
    /// A part that is needed whole, in the making.
    part: Vec<u8>,
    /// The payload of the last message.
    complete: Vec<u8>,
    end: Option<End>,
}

/// Whether bytes begin with a message, by the checksum of its lengths; `None` if there are too few
/// to say.
pub(super) fn begins_message(bytes: &[u8]) -> Option<bool> {
    bytes.first_chunk().map(|prelude| lengths(prelude).is_ok())
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            state: State::Prelude,
            checksum: Hasher::new(),
            part: Vec::new(),
            complete: Vec::new(),
            end: None,
        }
    }

    /// Takes the next bytes, and leaves of them what is the function's payload.
    ///
    /// # Errors
    /// Why this is no event stream. Nothing more can be read then.
    pub(super) fn decode(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let (mut read, mut kept) = (0, 0);
        while let Some(rest @ [_, ..]) = bytes.get(read..) {
            let (taken, is_chunk) = self.step(rest)?;
            if is_chunk {
                bytes.copy_within(read..read + taken, kept);
                kept += taken;
            }
            read += taken;
        }
        bytes.truncate(kept);
        Ok(())
    }

    /// How the invocation ended, if the last message has come.
    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Takes some of `rest`, which is not empty: how many bytes, and whether they are the
    /// function's payload.
    fn step(&mut self, rest: &[u8]) -> Result<(usize, bool), String> {
        if self.end.is_some() {
            return Ok((rest.len(), false));
        }
        match &mut self.state {
            State::Prelude => {
                let taken = gather(&mut self.part, rest, PRELUDE_BYTES);
                if let Ok(prelude) = <&[u8; PRELUDE_BYTES]>::try_from(self.part.as_slice()) {
                    let (headers, payload) = lengths(prelude)?;
                    self.checksum = Hasher::new();
                    self.checksum.update(prelude);
                    self.part.clear();
                    self.state = State::Headers(headers, payload);
                }
                Ok((taken, false))
            }
            &mut State::Headers(headers, payload) => {
                let taken = gather(&mut self.part, rest, headers);
                if self.part.len() == headers {
                    self.checksum.update(&self.part);
                    let kind = kind(&self.part)?;
                    if kind == Kind::Complete && payload > MAX_COMPLETE_BYTES {
                        return Err(format!("InvokeComplete has {payload} bytes"));
                    }
                    self.part.clear();
                    self.state = State::Payload(kind, payload);
                }
                Ok((taken, false))
            }
            State::Payload(kind, left) => {
                let taken = rest.len().min(*left);
                let bytes = rest.get(..taken).unwrap_or_default();
                self.checksum.update(bytes);
                if *kind == Kind::Complete {
                    self.complete.extend_from_slice(bytes);
                }
                let is_chunk = *kind == Kind::Chunk;
                *left -= taken;
                if *left == 0 {
                    self.state = State::Checksum(kind.clone());
                }
                Ok((taken, is_chunk))
            }
            State::Checksum(kind) => {
                let taken = gather(&mut self.part, rest, CHECKSUM_BYTES);
                if let Ok(expected) = <[u8; CHECKSUM_BYTES]>::try_from(self.part.as_slice()) {
                    if self.checksum.clone().finalize() != u32::from_be_bytes(expected) {
                        return Err("the checksum of a message is wrong".to_owned());
                    }
                    self.end = match kind {
                        Kind::Chunk | Kind::Unknown => None,
                        Kind::Complete => Some(completed(&self.complete)?),
                        Kind::Exception(name) => Some(End::Service(std::mem::take(name))),
                    };
                    self.part.clear();
                    self.state = State::Prelude;
                }
                Ok((taken, false))
            }
        }
    }
}

/// Moves bytes from `rest` until `part` has `wanted`: how many.
fn gather(part: &mut Vec<u8>, rest: &[u8], wanted: usize) -> usize {
    let taken = rest.len().min(wanted.saturating_sub(part.len()));
    part.extend_from_slice(rest.get(..taken).unwrap_or_default());
    taken
}

/// The lengths of headers and payload.
fn lengths(prelude: &[u8; PRELUDE_BYTES]) -> Result<(usize, usize), String> {
    let [a, b, c, d, e, f, g, h, checksum @ ..] = *prelude;
    if crc32fast::hash(&[a, b, c, d, e, f, g, h]) != u32::from_be_bytes(checksum) {
        return Err("the checksum of a message's lengths is wrong".to_owned());
    }
    let [total, headers] =
        [[a, b, c, d], [e, f, g, h]].map(|bytes| u32::from_be_bytes(bytes) as usize);
    let payload = total.checked_sub(headers.saturating_add(PRELUDE_BYTES + CHECKSUM_BYTES));
    match payload {
        Some(payload) if headers <= MAX_HEADERS_BYTES && payload <= MAX_PAYLOAD_BYTES => {
            Ok((headers, payload))
        }
        _ => Err(format!(
            "a message has {total} bytes, of which {headers} are headers"
        )),
    }
}

/// What the headers of a message say that it is.
fn kind(mut headers: &[u8]) -> Result<Kind, String> {
    let (mut message, mut event, mut exception, mut code) = ("event", "", "", "");
    while !headers.is_empty() {
        let (name, value) = header(&mut headers).ok_or("the headers of a message end early")?;
        match name {
            b":message-type" => message = value,
            b":event-type" => event = value,
            b":exception-type" => exception = value,
            b":error-code" => code = value,
            _ => {}
        }
    }
    Ok(match (message, event) {
        ("event", "PayloadChunk") => Kind::Chunk,
        ("event", "InvokeComplete") => Kind::Complete,
        ("exception", _) => Kind::Exception(exception.to_owned()),
        ("error", _) => Kind::Exception(code.to_owned()),
        _ => Kind::Unknown,
    })
}

/// The name of the next header, and its value if that is text.
fn header<'a>(headers: &mut &'a [u8]) -> Option<(&'a [u8], &'a str)> {
    let length = byte(headers)?;
    let name = take(headers, length)?;
    let length = match byte(headers)? {
        // True and false.
        0 | 1 => 0,
        // Integers of 1, 2, 4 and 8 bytes.
        2 => 1,
        3 => 2,
        4 => 4,
        // With a time stamp.
        5 | 8 => 8,
        kind @ (6 | 7) => {
            let (length, rest) = headers.split_first_chunk()?;
            *headers = rest;
            let value = take(headers, u16::from_be_bytes(*length).into())?;
            let text = (kind == 7).then(|| std::str::from_utf8(value).ok());
            return Some((name, text.flatten().unwrap_or_default()));
        }
        // A UUID.
        9 => 16,
        _ => return None,
    };
    take(headers, length)?;
    Some((name, ""))
}

fn byte(bytes: &mut &[u8]) -> Option<usize> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(first.into())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

/// What `InvokeComplete` says.
fn completed(payload: &[u8]) -> Result<End, String> {
    if payload.trim_ascii().is_empty() {
        return Ok(End::Complete);
    }
    let wrong = |what: &str| format!("InvokeComplete is not what Lambda sends: {what}");
    let complete = ShallowJson::parse(payload).map_err(|error| wrong(&error))?;
    if !matches!(complete, ShallowJson::Map(_)) {
        return Err(wrong("it is not an object"));
    }
    let text = |name| match complete.member(name) {
        None | Some(ShallowJson::Null) => Ok(None),
        Some(ShallowJson::Text(text)) => Ok(Some(text.clone().into_owned())),
        Some(_) => Err(wrong(&format!("`{name}` is not a string"))),
    };
    let (code, details) = (
        text("ErrorCode")?,
        text("ErrorDetails")?.unwrap_or_default(),
    );
    let Some(code) = code else {
        return Ok(End::Complete);
    };
    // The error as the runtime reported it, or a text.
    if details.starts_with('{') && json::check(details.as_bytes()).is_ok() {
        return Ok(End::Function(details.into_bytes()));
    }
    let mut error = JsonWriter::with_capacity(code.len() + details.len() + 40);
    error.object(|error| {
        error.key("errorType").string(&code);
        error.key("errorMessage").string(&details);
    });
    Ok(End::Function(error.into_bytes()))
}

#[cfg(test)]
#[path = "event_stream_tests.rs"]
mod tests;
