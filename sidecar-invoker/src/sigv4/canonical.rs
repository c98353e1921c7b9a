//! The canonical form of a request, of which a signature is made.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use hyper::header::HeaderName;
use ring::digest;

pub(super) const SERVICE: &str = "lambda";
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(super) static DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(super) static SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// A larger payload is hashed on a blocking thread, where that delays no other caller.
const LARGE_PAYLOAD_BYTES: usize = 128 << 10;
/// The usual length of a canonical request with a session token.
const USUAL_BYTES: usize = 2_048;

/// The parts of a request that its signature covers, besides the headers.
pub(crate) struct SignedParts<'r> {
    /// The path as sent, percent-encoded.
    pub(crate) path: &'r str,
    /// The query as sent, encoded like the path, with sorted parameters. Empty without a query.
    pub(crate) query: &'r str,
    /// The host, with the port unless it is the default port of the scheme.
    pub(crate) host: &'r str,
    /// The digest of the payload.
    pub(crate) payload: &'r Digest,
    /// The region of the endpoint.
    pub(crate) region: &'r str,
}

/// A SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest(pub(super) [u8; 32]);

impl Digest {
    /// Computes the digest of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, bytes);
        // A SHA-256 digest always has this length.
        Self(digest.as_ref().try_into().unwrap_or_default())
    }

    /// Computes the digest of a payload, which may be large. Returns `None` if the runtime shuts down.
    pub(crate) async fn of_payload(payload: &Bytes) -> Option<Self> {
        if payload.len() < LARGE_PAYLOAD_BYTES {
            return Some(Self::of(payload));
        }
        let payload = payload.clone();
        let digest = tokio::task::spawn_blocking(move || Self::of(&payload));
        digest.await.ok()
    }
}

/// Returns the canonical request, and the range in it with the names of the signed headers. `signed` has
/// these headers with their values, in the order of their names.
pub(super) fn canonical_request(
    method: &str,
    request: &SignedParts<'_>,
    signed: &[(&str, Cow<'_, [u8]>)],
) -> (Vec<u8>, Range<usize>) {
    let mut text = Vec::with_capacity(USUAL_BYTES);
    text.extend_from_slice(method.as_bytes());
    text.push(b'\n');
    // All services except S3 sign a path that is encoded once more than the path sent.
    for &byte in request.path.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                text.push(byte);
            }
            _ => text.extend([b'%', digit(byte >> 4, b'A'), digit(byte & 15, b'A')]),
        }
    }
    text.push(b'\n');
    text.extend_from_slice(request.query.as_bytes());
    text.push(b'\n');
    for (name, value) in signed {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        push_trimmed(&mut text, value);
        text.push(b'\n');
    }
    text.push(b'\n');
    let start = text.len();
    for (index, (name, _)) in signed.iter().enumerate() {
        if index > 0 {
            text.push(b';');
        }
        text.extend_from_slice(name.as_bytes());
    }
    let names = start..text.len();
    text.push(b'\n');
    push_hex(&mut text, &request.payload.0);
    (text, names)
}

/// Returns the text of which the signature is the code.
pub(super) fn string_to_sign(time: &str, scope: &str, canonical: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    for line in [ALGORITHM, time, scope] {
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    push_hex(&mut text, &Digest::of(canonical).0);
    text
}

/// Appends `bytes` in hexadecimal digits, in lower case.
pub(super) fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    let digits = |byte: &u8| [digit(byte >> 4, b'a'), digit(byte & 15, b'a')];
    text.extend(bytes.iter().flat_map(digits));
}

/// Returns the hexadecimal digit of a value below 16. `ten` is the digit of 10.
fn digit(value: u8, ten: u8) -> u8 {
    match value {
        0..10 => b'0' + value,
        _ => ten + (value - 10),
    }
}

/// Appends `value` without spaces at its ends, and with single spaces for runs of spaces.
fn push_trimmed(text: &mut Vec<u8>, value: &[u8]) {
    if !value.contains(&b' ') {
        // The fast path, above all for the session token.
        text.extend_from_slice(value);
        return;
    }
    let words = value.split(|byte| *byte == b' ');
    for (index, word) in words.filter(|word| !word.is_empty()).enumerate() {
        if index > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}
