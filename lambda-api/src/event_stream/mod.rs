//! `application/vnd.amazon.eventstream`, in which *InvokeWithResponseStream* responds.
//!
//! Our own code passes payload through in place and before its message is whole; AWS's crate
//! `aws-smithy-eventstream` (0.60.18, for Rust 1.88) yields whole messages and needs
//! `aws-smithy-types`. The tests check each against the other.
//!
//! A stream is a sequence of messages. A message is
//!
//! | bytes | content |
//! |---|---|
//! | 4 | the length of the whole message |
//! | 4 | the length of its headers |
//! | 4 | the CRC-32 of these 8 bytes |
//! | … | headers, each a name and a typed value |
//! | … | payload |
//! | 4 | the CRC-32 of all bytes before |
//!
//! All integers are big-endian. A function's payload comes in events `PayloadChunk`, and the last
//! message is either the event `InvokeComplete` or an exception.
//!
//! Sources: "Amazon Event Stream Specification" of Smithy; for the limits botocore's
//! `eventstream.py`; for the events `InvokeWithResponseStreamResponseEvent` in botocore's
//! `lambda/2015-03-31/service-2.json`.

mod reader;
mod writer;

pub use reader::{End, Reader, StreamError, begins_message};
pub use writer::{Message, exception, invoke_complete, message, payload_chunk};

/// The media type of an event stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The largest headers of one message, in bytes.
pub const MAX_MESSAGE_HEADERS_BYTES: usize = 128 * 1024;

/// The largest payload of one message, in bytes.
pub const MAX_MESSAGE_PAYLOAD_BYTES: usize = 24 * 1024 * 1024;

/// The largest payload of `InvokeComplete` that a [`Reader`] accepts, in bytes. It has an error with
/// its stack trace and the last 4 KB of the log.
pub const MAX_COMPLETE_BYTES: usize = 1024 * 1024;

/// The member of `InvokeComplete` with the type of a function error, a string: `Unhandled`.
pub const ERROR_CODE: &str = "ErrorCode";

/// The member of `InvokeComplete` with a function error, a string: the error's payload, or a text.
pub const ERROR_DETAILS: &str = "ErrorDetails";

/// The member of `InvokeComplete` with the last 4 KB of the log, a string in base64.
pub const LOG_RESULT: &str = "LogResult";

/// The media type of a streamed payload that begins with an HTTP prelude: a JSON object with status
/// and headers, [`HTTP_PRELUDE_DELIMITER`], and the body.
///
/// Source: "Response streaming" in the "Custom runtimes" chapter of the AWS Lambda developer guide.
pub const HTTP_RESPONSE_CONTENT_TYPE: &str = "application/vnd.awslambda.http-integration-response";

/// The bytes between an HTTP prelude and the body.
pub const HTTP_PRELUDE_DELIMITER: [u8; 8] = [0; 8];

/// The lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;

/// The type of a header's value that is text.
const STRING: u8 = 7;

const MESSAGE_TYPE: &str = ":message-type";
const EVENT_TYPE: &str = ":event-type";
const EXCEPTION_TYPE: &str = ":exception-type";
const ERROR_CODE_HEADER: &str = ":error-code";
const CONTENT_TYPE_HEADER: &str = ":content-type";

const PAYLOAD_CHUNK: &str = "PayloadChunk";
const INVOKE_COMPLETE: &str = "InvokeComplete";

/// The headers of a `PayloadChunk`, encoded. A reader that compares them with these need not parse
/// them; other headers of the same meaning are parsed.
const PAYLOAD_CHUNK_HEADERS: &[u8] = b"\x0b:event-type\x07\0\x0cPayloadChunk\
    \x0d:content-type\x07\0\x18application/octet-stream\
    \x0d:message-type\x07\0\x05event";

#[cfg(test)]
mod aws_tests;
#[cfg(test)]
mod tests;
