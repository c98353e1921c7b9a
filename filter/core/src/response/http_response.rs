//! The client's response.

/// A response for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status, 200 to 599.
    pub status: u16,
    /// The headers, checked and with names in lower case. `content-length` is not among them.
    pub headers: Vec<(String, String)>,
    /// The decoded body.
    pub body: Vec<u8>,
    /// The function's own `content-length`, which counts for a HEAD request without a body.
    pub declared_length: Option<u64>,
}

/// Returns whether a response with this status may have a body: RFC 9110, sections 15.3.5, 15.3.6 and
/// 15.4.5.
#[must_use]
pub(crate) fn has_content(status: u16) -> bool {
    !matches!(status, 204 | 205 | 304)
}
