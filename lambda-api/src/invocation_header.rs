//! The header [`headers::INVOCATION`](crate::headers::INVOCATION): a whole invocation, which the
//! filter adds to a request without a body.
//!
//! Envoy lets no filter give such a request a body. The value is `TYPE TRACE PATH EVENT` with one
//! space between each: the [`InvocationType`], the trace header, the path of the Invoke API with
//! its query, and the event, which may have spaces. The event is at most
//! [`MAX_HEADER_EVENT_BYTES`](crate::limits::MAX_HEADER_EVENT_BYTES) long and has no control
//! characters, since no header may have them.

use std::fmt;

use crate::operation::InvocationType;

/// Appends all of the value but the event, which the caller appends next.
///
/// `trace_id` is [valid](crate::trace::is_valid), and `path_and_query` is percent-encoded: neither
/// has a space.
pub fn write(
    value: &mut Vec<u8>,
    invocation_type: InvocationType,
    trace_id: &str,
    path_and_query: &str,
) {
    let kind = invocation_type.as_str();
    value.reserve(kind.len() + trace_id.len() + path_and_query.len() + 3);
    for word in [kind, trace_id, path_and_query] {
        value.extend_from_slice(word.as_bytes());
        value.push(b' ');
    }
}

/// An invocation that was read from a header; the value is not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvocationHeader<'a> {
    /// The response that the caller waits for.
    pub invocation_type: InvocationType,
    /// The trace header. It is not checked: see [`trace::is_valid`](crate::trace::is_valid).
    pub trace_id: &'a [u8],
    /// The path and query, which begin with `/`, in visible ASCII.
    pub path_and_query: &'a str,
    /// The event. It is not checked.
    pub event: &'a [u8],
}

/// Reads the value.
///
/// # Errors
/// Fewer than four words, an unknown type, and a path that is none.
pub fn read(value: &[u8]) -> Result<InvocationHeader<'_>, InvocationHeaderError> {
    let mut words = value.splitn(4, |&byte| byte == b' ');
    let mut word = || words.next().ok_or(InvocationHeaderError);
    let (kind, trace_id, path, event) = (word()?, word()?, word()?, word()?);
    let is_path = path.first() == Some(&b'/') && path.iter().all(u8::is_ascii_graphic);
    let path = std::str::from_utf8(path).ok().filter(|_| is_path);
    Ok(InvocationHeader {
        invocation_type: InvocationType::from_bytes(kind).map_err(|_| InvocationHeaderError)?,
        trace_id,
        path_and_query: path.ok_or(InvocationHeaderError)?,
        event,
    })
}

/// A value that is no invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvocationHeaderError;

impl fmt::Display for InvocationHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the header x-lambda-mesh-invocation is `TYPE TRACE PATH EVENT`")
    }
}

impl std::error::Error for InvocationHeaderError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_value_is_read_back() {
        let mut value = Vec::new();
        write(&mut value, InvocationType::Event, "Root=1-a-b", "/path?q=1");
        assert_eq!(value, b"Event Root=1-a-b /path?q=1 ");
        for event in ["{}", "", "{ \"a\": \"b c\" } "] {
            let mut value = value.clone();
            value.extend_from_slice(event.as_bytes());
            let expected = InvocationHeader {
                invocation_type: InvocationType::Event,
                trace_id: b"Root=1-a-b",
                path_and_query: "/path?q=1",
                event: event.as_bytes(),
            };
            assert_eq!(read(&value), Ok(expected));
        }
    }

    #[test]
    fn any_other_value_is_refused() {
        for value in [
            &b""[..],
            b"Event",
            b"Event Root=1 /path",
            b"event Root=1 /path {}",
            b"Event Root=1 path {}",
            b"Event Root=1  {}",
            b"Event Root=1 http://host/path {}",
            b"Event Root=1 /\xff {}",
        ] {
            assert_eq!(read(value), Err(InvocationHeaderError), "{value:?}");
        }
    }
}
